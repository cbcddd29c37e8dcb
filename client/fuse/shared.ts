// The memory that the engine shares with its device threads, and the form of what goes through their rings.
//
// A ring message is 8 bytes, then the request unless it lies in a slot:
//   0  u32  slot that holds the request, or INLINE
//   4  u32  bytes of the request
//
// A slot takes the largest request. The thread reads into a slot of its own; a WRITE stays there and the slot belongs to
// the engine until that marks it free, every other request is copied into the ring (it is short) and the slot is used
// again. So payloads are never copied on their way.

import { limits } from '../../proto/limits.js';
import { createDoorbell, createRing } from '../../workers/ring/index.js';
import type { DatabaseData } from './database.js';

export const INLINE = 0xffffffff;
export const MESSAGE_BYTES = 8;

/** A request of any size that was negotiated fits; the kernel wants room for the header beside the largest write. */
export const SLOT_BYTES = limits.fuseRequestBytes + limits.fuseHeaderBytes;

/** Words of `control`. */
export const Control = {
  /** 0 until the mount stands, then 1; threads wait on it. */
  GO: 0,
  /** 1 when the threads shall leave. */
  STOP: 1,
  WORDS: 2,
} as const;

/** Words of `slots`: the number of slots that were ever freed, then one word a slot. */
export const FREED = 0;
export const FIRST_SLOT = 1;
export const SlotState = { FREE: 0, ENGINE: 1 } as const;

/** What the word of a file open for writing says (flush-account.ts). */
export const FlushWord = { OWING: 0, SETTLED: 1 } as const;

/** What the kernel asks for before a write. */
export const CAPABILITY = 'security.capability';

/** Why a thread left. */
export type Departure = { reason: 'gone' } | { reason: 'stopped' } | { reason: 'failed'; message: string };

export interface DeviceThreadData {
  readonly descriptor: number;
  readonly control: SharedArrayBuffer;
  readonly ring: SharedArrayBuffer;
  readonly engineBell: SharedArrayBuffer;
  readonly ownBell: SharedArrayBuffer;
  /** One word for each file open for writing, as handles name them. */
  readonly flushWords: SharedArrayBuffer;
  /** PlainFiles.shared. */
  readonly plainFiles: SharedArrayBuffer;
  readonly database: DatabaseData | null;
  readonly slots: SharedArrayBuffer;
  readonly memory: SharedArrayBuffer;
}

/** What one thread has for itself; the rest is shared by all threads of a mount. */
export function createThreadData(
  shared: Pick<DeviceThreadData, 'descriptor' | 'control' | 'engineBell' | 'flushWords' | 'plainFiles' | 'database'>,
): DeviceThreadData {
  const slots = limits.fuseWriteSlotsPerThread;
  return {
    ...shared,
    ring: createRing(limits.ringBytes),
    ownBell: createDoorbell(),
    slots: new SharedArrayBuffer((FIRST_SLOT + slots) * 4),
    memory: new SharedArrayBuffer(slots * SLOT_BYTES),
  };
}
