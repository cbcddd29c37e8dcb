// What the handlers cost in CPU time on a store in memory, printed; the bounds are wide, against a cost of another order only. Run
// with COST=1 for figures worth writing down.

import assert from 'node:assert';
import { test } from 'node:test';
import { World } from './memory.js';

const LONG = process.env.COST === '1';
const FILES = LONG ? 100_000 : 5_000;
const CALLS = LONG ? 200_000 : 5_000;

function measure(name: string, calls: number, run: (index: number) => void, print: (text: string) => void): number {
  for (let index = 0; index < Math.min(calls, 2000); index++) run(index);
  const start = process.cpuUsage();
  for (let index = 0; index < calls; index++) run(index);
  const { user, system } = process.cpuUsage(start);
  const microseconds = (user + system) / calls;
  print(`${name}: ${microseconds.toFixed(2)} µs`);
  return microseconds;
}

test('operations cost microseconds, and a page of a listing what it returns', async (t) => {
  const { readHandlers, writeHandlers } = await import('../../../node/meta/operations/index.js');
  const world = new World();
  world.store.strict = false;
  const context = world.context;
  const condition = { ifMatch: '', ifNoneMatch: '' };
  const object = new Uint8Array(0);
  const request = (index: number) => ({
    path: `bucket/d${index % 100}/file-${index}`,
    session: 1,
    size: 4096,
    chunks: [{ chunk: 0, slices: [world.slice(0, 4096)] }],
    etag: 'd41d8cd98f00b204e9800998ecf8427e',
    object,
    uid: 0,
    gid: 0,
    condition,
  });
  const print = (text: string): void => t.diagnostic(text);
  const put = (index: number): void => void writeHandlers.objectPut(world.store, request(index), context);
  const puts = measure('objectPut, new keys', FILES, put, print);
  const parent = world.call('resolve', { path: 'bucket/d7/' }).attr.inode;
  const lookup = (index: number): void => {
    readHandlers.lookup(world.store, { parent, name: `file-${(index % (FILES / 100)) * 100 + 7}` }, context);
  };
  const open = (index: number): void => {
    const file = index % FILES;
    readHandlers.objectOpen(world.store, { path: `bucket/d${file % 100}/file-${file}` }, context);
  };
  const list = (delimiter: string) => (): void => {
    const page = { prefix: '', delimiter, marker: 'bucket/d5/', limit: 1000 };
    assert.equal(readHandlers.objectList(world.store, page, context).entries.length, delimiter === '' ? 1000 : 0);
  };
  const lookups = measure('lookup', CALLS, lookup, print);
  measure('objectOpen', CALLS, open, print);
  measure('objectPut, over a key that stands', Math.min(CALLS, FILES), put, print);
  const pages = measure('objectList of 1000 keys', LONG ? 300 : 20, list(''), print);
  measure('objectList of one common prefix', CALLS / 100, list('/'), print);
  assert(lookups < 200 && puts < 2000 && pages < 100_000);
});
