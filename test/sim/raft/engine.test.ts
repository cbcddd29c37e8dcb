// The engine of the simulation and that of production hold the same rows behind the same log, and say the same of them.

import assert from 'node:assert';
import fs from 'node:fs';
import os from 'node:os';
import path from 'node:path';
import { test } from 'node:test';
import { Engine } from '../../../node/meta/engine.js';
import type { View } from '../../../node/meta/view.js';
import { Writer } from '../../../proto/codec.js';
import { keys, writeDelete, writePut } from '../../../proto/meta/index.js';
import { randomNumbers, seedOf } from '../../node/raft/random.js';
import { MapEngine } from './map-engine.js';

const NOBODY = { voters: [], outgoing: [], learners: [], learnersNext: [] };
const APPLIED = keys.state('applied');

function rowsOf(view: View, start: string, end: string, most: number): [string, string][] {
  const rows: [string, string][] = [];
  view.scan(start, end, (key, value) => {
    // Where LMDB keeps what it has applied the map has fields.
    if (key !== APPLIED) rows.push([key, value.toString('hex')]);
    return rows.length < most;
  });
  return rows;
}

test('an ordered map and LMDB are equal behind equal entries, in rows, scans, snapshots and bytes', async (t) => {
  const below = randomNumbers(seedOf(t));
  const directory = fs.mkdtempSync(path.join(os.tmpdir(), 'ofs-sim-'));
  const lmdb = new Engine(path.join(directory, 'data.mdb'));
  t.after(async () => {
    await lmdb.close();
    fs.rmSync(directory, { recursive: true });
  });
  const map = new MapEngine(NOBODY);
  const key = (): string => String.fromCharCode(...Array.from({ length: 1 + below(3) }, () => below(4) * 80));
  const writer = new Writer();
  for (let index = 1; index <= 400; ) {
    const entries = Array.from({ length: 1 + below(3) }, () => {
      writer.reset();
      const changed = new Set(Array.from({ length: below(6) }, key));
      for (const row of changed) {
        if (below(3) === 0) writeDelete(writer, row);
        else writePut(writer, row, Buffer.alloc(below(40), index));
      }
      return { index: index++, term: 1 + Math.floor(index / 100), payload: writer.take() };
    });
    const snapshots = below(20) === 0 ? [map.snapshot(), lmdb.snapshot()] : [];
    const before = snapshots.map((snapshot) => rowsOf(snapshot, '', '\xff\xff', 1000));
    assert.deepStrictEqual(map.apply(entries, map.applied()), lmdb.apply(entries, lmdb.applied()));
    assert.deepStrictEqual(
      snapshots.map((snapshot) => rowsOf(snapshot, '', '\xff\xff', 1000)),
      before,
    );
    assert.deepStrictEqual(before[0], before[1]);
    for (const snapshot of snapshots) snapshot.release();
    assert.strictEqual(map.hash, map.computedHash());
    const [start, end] = [key(), key()].sort() as [string, string];
    const most = 1 + below(9);
    assert.deepStrictEqual(rowsOf(map, start, end, most), rowsOf(lmdb, start, end, most));
    const one = key();
    assert.deepStrictEqual(map.get(one)?.toString('hex'), lmdb.get(one)?.toString('hex'));
    const copy = MapEngine.decode(map.encode());
    assert.deepStrictEqual([copy?.hash, copy?.applied()], [map.hash, map.applied()]);
    assert.deepStrictEqual(copy && rowsOf(copy, '', '\xff\xff', 1000), rowsOf(lmdb, '', '\xff\xff', 1000));
  }
});
