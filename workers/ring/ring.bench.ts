// Benchmark of the ring between two threads: messages and bytes per second by size and batch, beside what copying
// alone would allow, and the time one way, to a consumer that looks and to one that sleeps.
// `node dist/workers/ring/ring.bench.js [--quick]` prints it; `ringBench` gives the figures to perf/.

import { Buffer } from 'node:buffer';
import { once } from 'node:events';
import { argv, stdout } from 'node:process';
import { fileURLToPath } from 'node:url';
import { Worker } from 'node:worker_threads';
import { RingConsumer } from './consumer.js';
import { createDoorbell, Doorbell } from './doorbell.js';
import { createRing } from './layout.js';
import { RingProducer } from './producer.js';
import type { PeerData } from './ring.bench.peer.js';

export interface Figure {
  name: string;
  value: number;
  unit: 'messages/s' | 'GB/s' | 'us';
}

export interface BenchOptions {
  /** How long each case runs. */
  caseMs: number;
}

const RING_BYTES = 1 << 20;
const SIZES = [16, 64, 512, 4096, 65_536];
const BATCHES = [1, 32];

export async function ringBench(options: BenchOptions): Promise<Figure[]> {
  const figures: Figure[] = [];
  for (const size of SIZES) {
    for (const batch of BATCHES) {
      const messages = await throughput(size, batch, options.caseMs);
      figures.push({ name: `${size} bytes, batch ${batch}`, value: messages, unit: 'messages/s' });
      if (size >= 4096)
        figures.push({ name: `${size} bytes, batch ${batch}`, value: gbps(messages, size), unit: 'GB/s' });
    }
    if (size < 4096) continue;
    figures.push({ name: `${size} bytes, copy alone`, value: gbps(copies(size, options.caseMs), size), unit: 'GB/s' });
  }
  for (const [name, spinUs] of [
    ['one way, consumer looks', 1000],
    ['one way, consumer sleeps', 0],
  ] as const) {
    figures.push({ name, value: await oneWayUs(spinUs, options.caseMs), unit: 'us' });
  }
  return figures;
}

function gbps(messagesPerSecond: number, size: number): number {
  return (messagesPerSecond * size) / 1e9;
}

class Peer {
  private readonly data: PeerData;
  private readonly worker: Worker;
  readonly bell: Doorbell;
  readonly producer: RingProducer;
  readonly consumer: RingConsumer;

  constructor(role: PeerData['role'], spinUs: number) {
    this.data = {
      role,
      spinUs,
      there: createRing(RING_BYTES),
      back: createRing(RING_BYTES),
      ownBell: createDoorbell(),
      peerBell: createDoorbell(),
    };
    this.worker = new Worker(new URL('./ring.bench.peer.js', import.meta.url), { workerData: this.data });
    const peerBell = new Doorbell(this.data.ownBell);
    this.bell = new Doorbell(this.data.peerBell);
    this.producer = new RingProducer(this.data.there, peerBell);
    this.consumer = new RingConsumer(this.data.back, peerBell);
  }

  async online(): Promise<void> {
    await once(this.worker, 'online');
  }

  async end(): Promise<void> {
    this.producer.close();
    await once(this.worker, 'exit');
  }

  /** Sends one message, waiting for space if there is none. */
  send(source: Buffer): void {
    const { producer } = this;
    let at = producer.reserve(source.length);
    while (at < 0) {
      producer.publish();
      this.bell.announce();
      producer.wantSpace();
      if (producer.fits(source.length)) this.bell.withdraw();
      else this.bell.wait(Number.POSITIVE_INFINITY);
      at = producer.reserve(source.length);
    }
    producer.bytes.set(source, at);
    producer.commit(source.length);
    if (producer.pendingBytes >= producer.shareBytes) producer.publish();
  }
}

/** Messages per second through the ring, copied in and read where they lie. */
async function throughput(size: number, batch: number, caseMs: number): Promise<number> {
  const peer = new Peer('sink', 20);
  await peer.online();
  const source = Buffer.alloc(size, 1);
  let sent = 0;
  const startMs = performance.now();
  while (performance.now() - startMs < caseMs) {
    for (let round = 0; round < 16; round++) {
      for (let index = 0; index < batch; index++) peer.send(source);
      peer.producer.publish();
    }
    sent += 16 * batch;
  }
  await peer.end();
  return sent / ((performance.now() - startMs) / 1000);
}

/** Copies per second of the same bytes into shared memory of the same size, with no other thread. */
function copies(size: number, caseMs: number): number {
  const source = Buffer.alloc(size, 1);
  const target = Buffer.from(new SharedArrayBuffer(RING_BYTES));
  let at = 0;
  let done = 0;
  const startMs = performance.now();
  while (performance.now() - startMs < caseMs) {
    for (let index = 0; index < 64; index++) {
      target.set(source, at);
      at = (at + size) % RING_BYTES;
    }
    done += 64;
  }
  return done / ((performance.now() - startMs) / 1000);
}

/** Half of the median round trip of one message at a time. */
async function oneWayUs(spinUs: number, caseMs: number): Promise<number> {
  const peer = new Peer('pong', spinUs);
  await peer.online();
  const source = Buffer.alloc(16, 1);
  const times: number[] = [];
  const endMs = performance.now() + caseMs;
  for (let now = performance.now(); now < endMs; ) {
    const startMs = now;
    peer.send(source);
    peer.producer.publish();
    while (!peer.consumer.next()) {
      if (spinUs > 0) continue;
      peer.bell.announce();
      if (peer.consumer.available()) peer.bell.withdraw();
      else peer.bell.wait(Number.POSITIVE_INFINITY);
    }
    peer.consumer.release();
    now = performance.now();
    times.push((now - startMs) * 1000);
  }
  await peer.end();
  times.sort((one, other) => one - other);
  return times[times.length >> 1]! / 2;
}

if (argv[1] === fileURLToPath(import.meta.url)) {
  for (const { name, value, unit } of await ringBench({ caseMs: argv.includes('--quick') ? 50 : 1000 })) {
    stdout.write(
      `${name.padEnd(30)} ${value >= 1000 ? Math.round(value).toLocaleString('en') : value.toFixed(2)} ${unit}\n`,
    );
  }
}
