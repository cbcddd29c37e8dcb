// A thread that sends `count` requests to the echo thread with `depth` in flight, checks every answer, and tells the
// main thread what it saw. What is refused as BUSY is asked again a little later.

import assert from 'node:assert';
import { Buffer } from 'node:buffer';
import { Status } from '../../../proto/status.js';
import { joinHost } from '../../../workers/index.js';

export interface AskerData {
  count: number;
  depth: number;
  payloadBytes: number;
  /** Where payloads lie: in the thread's slab, in ordinary memory, or in none. */
  payloads: 'slab' | 'heap' | 'none';
}

export interface AskerResult {
  answered: number;
  /** Calls that were answered CLOSED. */
  closed: number;
  refused: number;
}

const host = joinHost<AskerData>();
const { count, depth, payloadBytes, payloads } = host.data;
const channel = host.channel('echo');
const body = Buffer.alloc(16);
const heap = Buffer.alloc(payloadBytes);
const seen = new Uint8Array(count);
let sent = 0;
let answered = 0;
let refused = 0;
let closed = 0;

function payloadOf(number: number): Buffer | null {
  if (payloads === 'none') return null;
  const buffer = payloads === 'slab' ? host.slab!.allocate(payloadBytes) : heap; // Tests with slab payloads give a slab.
  assert(buffer, 'slab is full');
  if (payloads === 'slab') {
    buffer.writeDoubleLE(number, 0);
    buffer.writeDoubleLE(number, payloadBytes - 8);
  }
  return buffer;
}

function ask(number: number): void {
  const payload = payloadOf(number);
  // The echo answers with this as its status: never one that the channel itself gives.
  const kind = 100 + (number % 20);
  body.writeDoubleLE(number, 0);
  channel.call(kind, 7, body, payload, (status, answer, echoed) => {
    if (payloads === 'slab') host.slab!.release(payload!); // Given above.
    if (status === Status.BUSY) {
      refused++;
      setTimeout(ask, 1, number);
      return;
    }
    assert.strictEqual(seen[number], 0, 'answered twice');
    seen[number] = 1;
    if (status === Status.CLOSED) {
      closed++;
      if (answered + closed === sent) report();
      return;
    }
    assert.strictEqual(status, number % 20);
    assert.strictEqual(answer.remaining, 16);
    assert.strictEqual(answer.buffer.readDoubleLE(answer.position), number);
    assert.strictEqual(echoed.length, payload === null ? 0 : payloadBytes);
    if (payloads === 'slab') {
      assert.strictEqual(echoed.readDoubleLE(0), number);
      assert.strictEqual(echoed.readDoubleLE(payloadBytes - 8), number);
    }
    answered++;
    if (sent < count) ask(sent++);
    else if (answered === count) report();
  });
}

function report(): void {
  host.post({ answered, closed, refused } satisfies AskerResult);
}

host.onMessage(() => {
  while (sent < depth && sent < count) ask(sent++);
});
host.ready();
