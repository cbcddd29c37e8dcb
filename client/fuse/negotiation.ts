// The first exchange on a new mount: the kernel says what it can do, we say what we want of it.

import { read, writeSync } from 'node:fs';
import { promisify } from 'node:util';
import {
  answerHeader,
  FUSE_MAJOR,
  FUSE_MINOR,
  FUSE_MINOR_OLDEST,
  InitFlag,
  initIn,
  initOut,
  Opcode,
  requestHeader,
} from '../../proto/fuse/index.js';
import { limits } from '../../proto/limits.js';
import { OfsError, Status } from '../../proto/status.js';
import { SLOT_BYTES } from './shared.js';

const readDevice = promisify(read);
const RETRY_MS = 2;
/** The kernel's pages; a kernel with larger ones takes as many pages and so larger requests than it is told to send. */
const PAGE_BYTES = 4096;

/**
 * Wanted, where the kernel has it. Not wanted: WRITEBACK_CACHE (design.md, section 6); POSIX_LOCKS and FLOCK_LOCKS (locks
 * hold within this mount); POSIX_ACL; AUTO_INVAL_DATA (pages live from open to open, and a write of our own would drop
 * them); DONT_MASK (the kernel applies the umask).
 */
const WANTED =
  InitFlag.ASYNC_READ |
  InitFlag.ATOMIC_O_TRUNC |
  InitFlag.EXPORT_SUPPORT |
  InitFlag.BIG_WRITES |
  InitFlag.DO_READDIRPLUS |
  InitFlag.READDIRPLUS_AUTO |
  InitFlag.ASYNC_DIO |
  InitFlag.PARALLEL_DIROPS |
  InitFlag.ABORT_ERROR |
  InitFlag.MAX_PAGES |
  InitFlag.CACHE_SYMLINKS |
  InitFlag.HANDLE_KILLPRIV_V2;

export interface Negotiated {
  readonly minor: number;
  readonly flags: number;
}

/** Reads the kernel's INIT; until the mount stands, the device refuses reading (EPERM). */
async function readInit(
  descriptor: number,
  buffer: Buffer,
  mounting: { failed: boolean },
): Promise<number | undefined> {
  while (!mounting.failed) {
    try {
      const { bytesRead } = await readDevice(descriptor, buffer, 0, buffer.length, null);
      return bytesRead;
    } catch (error) {
      const code = (error as NodeJS.ErrnoException).code;
      if (code !== 'EPERM' && code !== 'EINTR' && code !== 'EAGAIN') throw error;
      await new Promise((resolve) => setTimeout(resolve, RETRY_MS));
    }
  }
  return undefined;
}

/**
 * Answers INIT while `mounting` is under way (mount(8) may look at what it has mounted). Rejects as `mounting` does, or
 * with OfsError when the kernel is too old.
 */
export async function negotiate(descriptor: number, mounting: Promise<void>): Promise<Negotiated> {
  const outcome = { failed: false };
  const buffer = Buffer.allocUnsafeSlow(SLOT_BYTES);
  const mounted = mounting.catch((error: unknown) => {
    outcome.failed = true;
    throw error;
  });
  const length = await Promise.race([
    readInit(descriptor, buffer, outcome),
    mounted.then(() => new Promise<never>(() => {})),
  ]);
  if (length === undefined) {
    await mounted;
    throw new OfsError(Status.IO, 'the kernel said nothing on the new mount');
  }
  const result = answerInit(descriptor, buffer, length);
  await mounted;
  return result;
}

function answerInit(descriptor: number, buffer: Buffer, length: number): Negotiated {
  const header = requestHeader.read(buffer, 0, length);
  if (header.opcode !== Opcode.INIT) throw new OfsError(Status.MALFORMED, `the kernel began with ${header.opcode}`);
  const init = initIn.read(buffer, requestHeader.bytes, length);
  if (init.major !== FUSE_MAJOR || init.minor < FUSE_MINOR_OLDEST) {
    throw new OfsError(
      Status.OPNOTSUPP,
      `the kernel speaks FUSE ${init.major}.${init.minor}, needed is ${FUSE_MAJOR}.${FUSE_MINOR_OLDEST} (Linux 5.4)`,
    );
  }
  const flags = init.flags & WANTED;
  const answer = Buffer.alloc(answerHeader.bytes + initOut.bytes);
  answerHeader.write(answer, 0, { length: answer.length, error: 0, unique: header.unique });
  initOut.write(answer, answerHeader.bytes, {
    major: FUSE_MAJOR,
    minor: Math.min(init.minor, FUSE_MINOR),
    maxReadahead: limits.fuseReadAheadBytes,
    flags: flags >>> 0,
    maxBackground: limits.fuseBackgroundRequests,
    congestionThreshold: Math.floor((limits.fuseBackgroundRequests * 3) / 4),
    maxWrite: limits.fuseRequestBytes,
    timeGranularityNs: 1,
    maxPages: limits.fuseRequestBytes / PAGE_BYTES,
  });
  writeSync(descriptor, answer);
  return { minor: init.minor, flags };
}
