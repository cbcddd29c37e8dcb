// How a failed operation is told to the kernel, which knows errno numbers alone.

import { DecodeError } from '../../proto/codec.js';
import { Errno, errnoOf, OfsError } from '../../proto/status.js';

/** An errno that no status stands for. */
export class ErrnoError extends Error {
  override name = 'ErrnoError';

  constructor(readonly errno: number) {
    super(`errno ${errno}`);
  }
}

/** The errno to answer, or undefined for an error that nobody foresaw. */
export function errnoFor(error: unknown): number | undefined {
  if (error instanceof OfsError) return errnoOf(error.status);
  if (error instanceof ErrnoError) return error.errno;
  if (error instanceof DecodeError) return Errno.EINVAL;
  return undefined;
}
