// The thread that writes notices to the device (notifier.ts): it may be held in each write, for as long as requests on
// the inode are pending. Ends when its ring has, or the mount.

import assert from 'node:assert';
import { writeSync } from 'node:fs';
import { isMainThread, workerData } from 'node:worker_threads';
import { createDoorbell, Doorbell, RingConsumer } from '../../workers/ring/index.js';
import type { NotifierThreadData } from './notifier.js';

const WAIT_MS = 60_000;

/** False when the mount is no more. */
function writeNotice(descriptor: number, notice: Buffer): boolean {
  try {
    writeSync(descriptor, notice);
    return true;
  } catch (error) {
    const code = (error as NodeJS.ErrnoException).code;
    // ENOENT: the kernel does not have it. ENOTEMPTY, EBUSY: a name with mounts below, which stays.
    if (code === 'ENOENT' || code === 'ENOTEMPTY' || code === 'EBUSY' || code === 'ENOTDIR') return true;
    if (code === 'ENODEV' || code === 'ECONNABORTED' || code === 'ENOTCONN') return false;
    throw error;
  }
}

function run(data: NotifierThreadData): void {
  const bell = new Doorbell(data.bell);
  // The producer looks for room again by the clock, so it has no bell to ring.
  const consumer = new RingConsumer(data.ring, new Doorbell(createDoorbell()));
  while (!consumer.ended()) {
    while (consumer.next()) {
      const notice = consumer.bytes.subarray(consumer.offset, consumer.offset + consumer.length);
      if (!writeNotice(data.descriptor, notice)) return;
      consumer.release();
    }
    bell.announce();
    if (consumer.available() || consumer.ended()) bell.withdraw();
    else bell.wait(WAIT_MS);
  }
}

assert(!isMainThread, 'the notifier starts this');
run(workerData as NotifierThreadData);
