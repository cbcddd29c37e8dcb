// A machine that loses power: of what was written since the last sync of a file, any part may be on the disk. Whatever
// was acknowledged before is there at the next start.

import assert from 'node:assert';
import fs from 'node:fs';
import path from 'node:path';
import { test } from 'node:test';
import { type Disk, systemDisk } from '../../../node/block/disk.js';
import { limits } from '../../../proto/limits.js';
import { BlockNode, patternBytes, seededBelow, temporaryDirectory } from './support.js';

const PAGE = 4096;

/** A disk that remembers what is not synced, by file. */
class ForgetfulDisk {
  private readonly dirty = new Map<string, { from: number; to: number }[]>();

  readonly disk: Disk = {
    ...systemDisk,
    writevSync: (fd, buffers, position) => this.writevSync(fd, buffers, position),
    writev: (fd, buffers, position) => this.writev(fd, buffers, position),
    fdatasyncSync: (fd) => this.fdatasyncSync(fd),
    fdatasync: (fd) => this.fdatasync(fd),
    fsyncSync: (fd) => this.fdatasyncSync(fd),
    fsync: (fd) => this.fdatasync(fd),
    renameSync: (source, target) => this.renameSync(source, target),
  };

  private note(fd: number, buffers: readonly Uint8Array[], from: number): void {
    const file = path.basename(fs.readlinkSync(`/proc/self/fd/${fd}`));
    const bytes = buffers.reduce((sum, buffer) => sum + buffer.length, 0);
    this.dirty.set(file, [...(this.dirty.get(file) ?? []), { from, to: from + bytes }]);
  }

  private clean(fd: number): void {
    this.dirty.delete(path.basename(fs.readlinkSync(`/proc/self/fd/${fd}`)));
  }

  private writevSync(fd: number, buffers: readonly Uint8Array[], position: number): number {
    this.note(fd, buffers, position);
    return systemDisk.writevSync(fd, buffers, position);
  }

  private writev(fd: number, buffers: readonly Uint8Array[], position: number): Promise<number> {
    this.note(fd, buffers, position);
    return systemDisk.writev(fd, buffers, position);
  }

  private fdatasyncSync(fd: number): void {
    systemDisk.fdatasyncSync(fd);
    this.clean(fd);
  }

  private async fdatasync(fd: number): Promise<void> {
    await systemDisk.fdatasync(fd);
    this.clean(fd);
  }

  private renameSync(source: string, target: string): void {
    systemDisk.renameSync(source, target);
    const dirty = this.dirty.get(path.basename(source));
    this.dirty.delete(path.basename(source));
    if (dirty !== undefined) this.dirty.set(path.basename(target), dirty);
  }

  /** Copies the directory of volumes as a loss of power might leave it: unsynced pages of data, any pages of indexes. */
  lose(source: string, target: string, below: (bound: number) => number): void {
    fs.mkdirSync(target, { recursive: true });
    for (const file of fs.readdirSync(source)) {
      const bytes = fs.readFileSync(path.join(source, file));
      for (const { from, to } of this.dirty.get(file) ?? []) zeroPages(bytes, from, to, below);
      if (file.endsWith('.index') && below(2) === 0) zeroPages(bytes, 0, bytes.length, below);
      fs.writeFileSync(path.join(target, file), bytes);
    }
  }
}

function zeroPages(bytes: Buffer, from: number, to: number, below: (bound: number) => number): void {
  for (let at = from; at < Math.min(to, bytes.length); at = (Math.floor(at / PAGE) + 1) * PAGE) {
    if (below(2) === 0) bytes.fill(0, at, Math.min(to, bytes.length, (Math.floor(at / PAGE) + 1) * PAGE));
  }
}

test('a loss of power at any moment loses nothing that was acknowledged, and no deletion', async () => {
  const below = seededBelow('power');
  const forgetful = new ForgetfulDisk();
  const node = await BlockNode.open(undefined, { disk: forgetful.disk, volumeNeedles: 150 });
  const acknowledged = new Map<number, Buffer>();
  const doubtful = new Set<number>();
  const deleted: number[] = [];
  let stop = false;
  let gate = Promise.resolve();
  const writer = async (part: number): Promise<void> => {
    for (let at = part; !stop; at += 8) {
      await gate;
      const large = part === 0 && at % 5 === 0;
      const data = patternBytes(large ? limits.appendSyncBytes + 1 + below(100_000) : 1 + below(9000), at);
      const blob = await node.write(data);
      acknowledged.set(blob, data);
      if (at % 2 === 0) continue;
      const victims = [...acknowledged.keys()];
      const victim = victims[below(victims.length)]!;
      doubtful.add(victim);
      await node.delete(victim);
      acknowledged.delete(victim);
      deleted.push(victim);
    }
  };
  const compactor = async (): Promise<void> => {
    while (!stop) {
      await gate;
      await node.compact(20);
      await new Promise((resolve) => setTimeout(resolve, 5));
    }
  };
  const work = Promise.all([...[0, 1, 2, 3, 4, 5, 6, 7].map(writer), compactor()]);
  for (let loss = 0; loss < 15; loss++) {
    const until = performance.now() + below(40);
    while (performance.now() < until) await new Promise((resolve) => setImmediate(resolve));
    const directory = temporaryDirectory();
    forgetful.lose(path.join(node.directory, 'blocks'), path.join(directory, 'blocks'), below);
    const expected = new Map(acknowledged);
    const gone = [...deleted];
    const maybe = new Set(doubtful);
    let open!: () => void;
    gate = new Promise((resolve) => {
      open = resolve;
    });
    const after = await BlockNode.open(directory, { volumeNeedles: 150 });
    for (const [block, data] of expected) {
      const bytes = await after.read(block);
      if (bytes === null) assert.ok(maybe.has(block), `block ${block} was acknowledged and is lost`);
      else assert.ok(bytes.equals(data), `block ${block} has other bytes`);
    }
    for (const block of gone) assert.strictEqual(await after.read(block), null, `block ${block} is back`);
    assert.deepStrictEqual(after.warnings, []);
    await after.close();
    open();
  }
  stop = true;
  await work;
  await node.close();
});
