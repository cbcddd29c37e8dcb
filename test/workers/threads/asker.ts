// A thread that sends `count` requests to the echo thread with `depth` in flight, checks every answer, and tells the
// main thread what it saw.

import assert from 'node:assert';
import { Buffer } from 'node:buffer';
import { joinHost } from '../../../workers/index.js';

export interface AskerData {
  count: number;
  depth: number;
  payloadBytes: number;
  /** Where payloads lie: in the thread's slab, in ordinary memory, or in none. */
  payloads: 'slab' | 'heap' | 'none';
}

const host = joinHost<AskerData>();
const { count, depth, payloadBytes, payloads } = host.data;
const channel = host.channel('echo');
const body = Buffer.alloc(16);
const heap = Buffer.alloc(payloadBytes);
const startMs = performance.now();
let sent = 0;
let answered = 0;

function payloadOf(number: number): Buffer | null {
  if (payloads === 'none') return null;
  const buffer = payloads === 'slab' ? host.slab!.allocate(payloadBytes) : heap;
  assert(buffer, 'slab is full');
  buffer.writeDoubleLE(number, 0);
  if (payloads === 'slab') buffer.writeDoubleLE(number, payloadBytes - 8);
  return buffer;
}

function ask(): void {
  const number = sent++;
  const payload = payloadOf(number);
  body.writeDoubleLE(number, 0);
  channel.call(number % 60_000, 7, body, payload, (status, answer, echoed) => {
    assert.strictEqual(status, (number % 60_000) % 100);
    assert.strictEqual(answer.remaining, 16);
    assert.strictEqual(answer.buffer.readDoubleLE(answer.position), number);
    assert.strictEqual(echoed.length, payload === null ? 0 : payloadBytes);
    if (payloads === 'slab') {
      assert.strictEqual(echoed.readDoubleLE(0), number);
      assert.strictEqual(echoed.readDoubleLE(payloadBytes - 8), number);
      host.slab!.release(payload!);
    }
    answered++;
    if (sent < count) ask();
    else if (answered === count) host.post({ answered, elapsedMs: performance.now() - startMs });
  });
}

host.onMessage(() => {
  for (let index = 0; index < depth && index < count; index++) ask();
});
host.ready();
