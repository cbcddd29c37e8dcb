// The tasks that the pool's threads can do: pure functions of bytes in shared memory. A task is added here, with the
// types of what it takes and gives, when it has a user.

import { Buffer } from 'node:buffer';
import { createHash } from 'node:crypto';
import { crc32, gzipSync } from 'node:zlib';

/** Bytes that a task reads where they lie. */
export interface Range {
  readonly shared: SharedArrayBuffer;
  readonly offset: number;
  readonly length: number;
}

export interface DigestInput extends Range {
  readonly algorithms: readonly ('md5' | 'sha256' | 'crc32')[];
}

/** What was asked for: MD5 and SHA-256 in hexadecimal, CRC-32 (zlib's) as an unsigned number. */
export interface Digests {
  md5?: string;
  sha256?: string;
  crc32?: number;
}

export interface GzipInput extends Range {
  /** zlib's levels, 1 to 9. */
  readonly level: number;
}

function bytesOf(range: Range): Buffer {
  return Buffer.from(range.shared, range.offset, range.length);
}

export function digest(input: DigestInput): Digests {
  const bytes = bytesOf(input);
  const digests: Digests = {};
  for (const algorithm of input.algorithms) {
    if (algorithm === 'crc32') digests.crc32 = crc32(bytes);
    else digests[algorithm] = createHash(algorithm).update(bytes).digest('hex');
  }
  return digests;
}

export function gzip(input: GzipInput): Uint8Array {
  return gzipSync(bytesOf(input), { level: input.level });
}

export const tasks = { digest, gzip };
export type Tasks = typeof tasks;
