// The threads of the channel's benchmark: one that answers, and one that asks with so many requests in flight.

import { Buffer } from 'node:buffer';
import { joinHost, type ThreadHost } from './thread.js';

export interface BenchData {
  role: 'answer' | 'ask';
  depth: number;
  payloadBytes: number;
  /** Requests of which each waits for a turn of the event loop of its own, as those of sockets do. */
  paced: boolean;
  caseMs: number;
}

export interface BenchResult {
  requests: number;
  elapsedMs: number;
  p50Us: number;
  p99Us: number;
}

const host = joinHost<BenchData>();
const NOTHING = Buffer.alloc(0);

function answerAll(): void {
  host.serve((request) => request.answer(0, NOTHING));
}

function askAll(asker: ThreadHost<BenchData>): void {
  const { depth, payloadBytes, caseMs, paced } = asker.data;
  const channel = asker.channel('answer');
  const body = Buffer.alloc(64);
  const times: number[] = [];
  const startMs = performance.now();
  let inFlight = 0;
  const ask = (): void => {
    const sentMs = performance.now();
    const payload = payloadBytes === 0 ? null : asker.slab!.allocate(payloadBytes); // The benchmark gives it a slab.
    inFlight++;
    channel.call(1, 0, body, payload, () => {
      if (payload !== null) asker.slab!.release(payload);
      inFlight--;
      const nowMs = performance.now();
      times.push((nowMs - sentMs) * 1000);
      if (nowMs - startMs < caseMs) {
        if (paced) setImmediate(ask);
        else ask();
      } else if (inFlight === 0) asker.post(summary(times, nowMs - startMs));
    });
  };
  for (let index = 0; index < depth; index++) ask();
}

function summary(times: number[], elapsedMs: number): BenchResult {
  const sorted = Float64Array.from(times).sort();
  const at = (share: number) => sorted[Math.floor((sorted.length - 1) * share)]!;
  return { requests: times.length, elapsedMs, p50Us: at(0.5), p99Us: at(0.99) };
}

if (host.data.role === 'answer') answerAll();
else host.onMessage(() => askAll(host));
host.ready();
