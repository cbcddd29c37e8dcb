// The metadata service by itself: requests to the service of a thread in this process, over the real log and LMDB; rows
// of LMDB alone; reads by a thread that is not the service's.

import fs from 'node:fs';
import path from 'node:path';
import { Engine } from '../../node/meta/engine.js';
import { type OpenedMeta, openLocalMeta, openMetaService } from '../../node/meta/index.js';
import { createLeases } from '../../node/raft/index.js';
import { decode, encode, Reader, Writer } from '../../proto/codec.js';
import { metaOperations, writePut } from '../../proto/meta/index.js';
import { Status } from '../../proto/status.js';
import { type Figure, latencyOf } from '../figures.js';
import { Histogram } from '../histogram.js';
import { syncedWrites } from '../limits.js';
import { measureCase } from './case.js';

const IN_FLIGHT = [1, 64] as const;
const LOG_BYTES = 300;
const ROWS = 10_000;
const ROWS_PER_ENTRY = 3;
const ENTRIES_PER_COMMIT = 16;
const ROW_BYTES = 150;

export async function metaCases(directory: string, seconds: number): Promise<Figure[]> {
  fs.mkdirSync(directory);
  const leases = createLeases();
  const meta = await openMetaService({
    directory,
    thread: 0,
    threads: 1,
    leases,
    bootId: 'perf',
    deleteBlobs: async () => {},
    clusterInfo: { node: 'perf', bootId: 'perf', directory: '', leases: 0, metaPorts: [], blockPorts: [] },
    warn: (message) => process.stderr.write(`${message}\n`),
    fatal: (error) => {
      throw error;
    },
  });
  const local = openLocalMeta({ dataDirectory: directory, leases });
  try {
    await meta.ready;
    const figures = await transactions(meta, directory, seconds);
    const { group } = figures;
    const head = { name: 'objectHead by another thread: lease, LMDB, rules' };
    const run = (): unknown => local.read('objectHead', group, { path: 'bench/0000000' });
    if (run() === undefined) throw new Error('the read was not answered locally');
    return [...figures.list, measureCase({ ...head, run }, seconds), ...(await rows(directory, seconds))];
  } finally {
    await local.close();
    await meta.close();
  }
}

let lastNumber = 0;

function ask(meta: OpenedMeta, group: number, kind: number, body: Buffer): Promise<Buffer> {
  return new Promise((resolve, reject) => {
    meta.service({
      kind,
      group,
      session: 0,
      number: ++lastNumber,
      window: 0,
      body: new Reader(body),
      payload: Buffer.alloc(0),
      answer: (status, answer = Buffer.alloc(0)) => {
        if (status === Status.OK) resolve(Buffer.from(answer));
        else reject(new Error(`operation ${kind} failed with status ${status}: ${Buffer.from(answer)}`));
      },
    });
  });
}

async function transactions(
  meta: OpenedMeta,
  directory: string,
  seconds: number,
): Promise<{ group: number; list: Figure[] }> {
  const { volumeCreate } = metaOperations;
  const made = await ask(meta, 0, volumeCreate.code, encode(volumeCreate.request, { name: 'perf', owner: '' }));
  const { group } = decode(volumeCreate.answer, made).volume;
  const limits = [{ name: 'write + fdatasync, one by one', value: syncedWrites(directory, LOG_BYTES, seconds) }];
  const list: Figure[] = [];
  let key = 0;
  for (const inFlight of IN_FLIGHT) {
    const latency = new Histogram();
    const begun = performance.now();
    const client = async (): Promise<void> => {
      for (let now = begun; now - begun < seconds * 1000; ) {
        await ask(meta, group, metaOperations.objectPut.code, putBody(key++));
        const done = performance.now();
        latency.record((done - now) * 1000);
        now = done;
      }
    };
    await Promise.all(Array.from({ length: inFlight }, client));
    const value = (latency.count * 1000) / (performance.now() - begun);
    const name = `transaction, objectPut through the service, ${inFlight} in flight`;
    list.push({ name, unit: 'operations/s', value, limits, latency: latencyOf(latency) });
  }
  return { group, list };
}

function putBody(key: number): Buffer {
  return encode(metaOperations.objectPut.request, {
    path: `bench/${String(key).padStart(7, '0')}`,
    session: 0,
    size: 0,
    chunks: [],
    etag: '0123456789abcdef0123456789abcdef',
    object: Buffer.alloc(0),
    uid: 0,
    gid: 0,
    condition: { ifNoneMatch: '', ifMatch: '' },
  });
}

async function rows(directory: string, seconds: number): Promise<Figure[]> {
  const engine = new Engine(path.join(directory, 'rows.mdb'));
  const value = Buffer.alloc(ROW_BYTES, 3);
  const writer = new Writer();
  const key = (row: number): string => `row/${String(row % ROWS).padStart(8, '0')}`;
  let state = engine.applied();
  let row = 0;
  const apply = (): void => {
    const entries = Array.from({ length: ENTRIES_PER_COMMIT }, (_, entry) => {
      writer.reset();
      for (let change = 0; change < ROWS_PER_ENTRY; change++) writePut(writer, key(row++ * 7919), value);
      return { index: state.index + entry + 1, term: 1, payload: writer.take() };
    });
    state = engine.apply(entries, state);
  };
  while (row < ROWS) apply();
  const commit = `LMDB apply, ${ENTRIES_PER_COMMIT} entries of ${ROWS_PER_ENTRY} rows in a commit`;
  const figures = [
    measureCase({ name: commit, run: apply }, seconds),
    measureCase({ name: 'LMDB lookup in a snapshot', run: () => engine.get(key(row++ * 7919)) }, seconds),
  ];
  await engine.close();
  return figures;
}
