// The bytes of blocks: random mostly; now and then such as may be taken for something else.

import { NEEDLE_MAGIC } from '../../../proto/block/index.js';
import type { Random } from '../random.js';
import type { Universe } from './universe.js';
import { volumeOf } from './volume-files.js';

export function dataOf(universe: Universe, random: Random, length: number): Buffer {
  const data = Buffer.allocUnsafe(length);
  if (!universe.has('strange-data') || random.chance(0.7)) return fill(data, random);
  const kind = random.below(3);
  if (kind === 0) return data.fill(0);
  if (kind === 1) {
    data.fill(0);
    for (let at = 0; at + 4 <= length; at += 4) data.writeUInt32LE(NEEDLE_MAGIC, at);
    return data;
  }
  // A copy of a part of a volume: who keeps his volumes in themselves.
  const files = [...universe.fileSystem.names].filter(([name, { size }]) => volumeOf(name) !== undefined && size > 64);
  if (files.length === 0) return data.fill(0);
  const [, inode] = random.pick(files);
  const from = random.below(inode.size) & ~7;
  inode.cache.copy(fill(data, random), 0, from, Math.min(inode.size, from + length));
  return data;
}

function fill(data: Buffer, random: Random): Buffer {
  let state = random.word() | 1;
  let at = 0;
  for (; at + 4 <= data.length; at += 4) {
    state ^= state << 13;
    state ^= state >>> 17;
    state ^= state << 5;
    data.writeInt32LE(state, at);
  }
  for (; at < data.length; at++) data[at] = random.below(256);
  return data;
}
