// A machine with one disk, and the lives of a process on it, one after the other. What happens to them, and what they
// tell, is here; what must hold is looked at where it can be seen.

import { blockVolume } from '../../../proto/ids.js';
import { limits } from '../../../proto/limits.js';
import { OfsError, Status } from '../../../proto/status.js';
import { Random } from '../random.js';
import { ASSERTION } from '../shell/reports.js';
import type { World } from '../world.js';
import { FileSystem } from './file-system.js';
import { BOUNDS, FULL_DISK, Invariants, SYNCED } from './invariants.js';
import { Life, LOST } from './life.js';
import { type Blob, type Block, Model } from './model.js';
import type { BlockOptions, FaultName } from './options.js';
import { Killed } from './process-disk.js';
import { blocksNamedIn, livesIn, needlesIn, volumeFile, volumeOf } from './volume-files.js';

const RESTART_US = 1000;

export class Universe {
  readonly fileSystem = new FileSystem();
  readonly model = new Model();
  readonly invariants: Invariants;
  readonly random: Random;
  /** Nothing bad happens any more. */
  calm = false;
  lives = 0;
  up = false;
  life: Life | undefined;
  /** Blobs whose deletion is under way, and the most of them at one time. */
  private deleting = 0;
  private mostDeleting = 0;
  private waiting: (() => void)[] = [];
  private readonly lifeRandom: Random;
  private readonly diskRandom: Random;

  constructor(
    readonly options: BlockOptions,
    readonly world: World,
  ) {
    const random = new Random(options.seed);
    this.random = random.split(1);
    this.lifeRandom = random.split(2);
    this.diskRandom = random.split(3);
    this.invariants = new Invariants(this.model, () => world.nowUs);
  }

  has(fault: FaultName): boolean {
    return this.options.faults.has(fault);
  }

  tell(line: string): void {
    this.world.tell?.(`${(this.world.nowUs / 1000).toFixed(3)} ms: ${line}`);
  }

  /** Something that happens after a while, whatever lives. */
  after(delayUs: number, run: () => void): void {
    this.world.after(delayUs, () => {
      run();
      this.world.promisesSettled();
    });
  }

  sleep(us: number): Promise<void> {
    return new Promise((resolve) => this.after(us, resolve));
  }

  /** The process, when it serves. */
  async whenUp(): Promise<Life> {
    while (!this.up) await new Promise<void>((resolve) => this.waiting.push(resolve));
    return this.life!; // it is up
  }

  start(): void {
    const life = new Life(this, this.lifeRandom.split(this.lives), this.lives);
    this.lives++;
    this.life = life;
    this.world.note(1, this.lives);
    this.tell(`life ${life.number} begins, ${life.threads} threads`);
    this.open(life).catch((error: unknown) => this.crashed(error));
  }

  private async open(life: Life): Promise<void> {
    try {
      await life.open();
    } catch (error) {
      if (!life.alive) return;
      const code = (error as NodeJS.ErrnoException).code;
      if (code === 'EIO' && !this.calm) return this.die(life, 'a start failed');
      this.invariants.report(code === 'ENOSPC' ? FULL_DISK : ASSERTION, `a start fails: ${(error as Error).stack}`);
      return this.die(life, 'a start failed');
    }
    if (!life.alive) return;
    this.up = true;
    const { waiting } = this;
    this.waiting = [];
    for (const resume of waiting) resume();
    await this.readAll(life, 'a start');
  }

  crashed(error: unknown): void {
    if (!(error instanceof Killed)) this.invariants.report(ASSERTION, (error as Error).stack ?? String(error));
  }

  /** The life ends at this moment, by a kill or by a loss of power as the seed has it. */
  die(life: Life, why: string): void {
    const power = this.has('power') || this.has('power-at-io');
    const killed = this.has('kill') || this.has('kill-at-io');
    this.end(life, why, power && (!killed || this.random.chance(0.5)));
  }

  end(life: Life, why: string, power: boolean): void {
    if (!life.alive) return;
    this.up = false;
    life.end();
    const { diskRandom } = this;
    if (power) {
      this.fileSystem.losePower(diskRandom, {
        tornBytes: this.has('torn-bytes'),
        stale: this.has('stale'),
        anyNames: this.has('names'),
      });
    } else {
      this.fileSystem.open.clear();
      if (this.has('evict') && diskRandom.chance(0.5)) this.fileSystem.evict();
    }
    if (power) this.findUnnamed();
    this.world.note(2, life.number, power ? 1 : 0);
    this.tell(`life ${life.number} ends (${why})${power ? ', power is lost' : ''}`);
    this.after(RESTART_US, () => this.start());
  }

  /** A clean stop, and a start after it. */
  async stop(life: Life): Promise<void> {
    this.up = false;
    life.closing = true;
    this.tell(`life ${life.number} is stopped`);
    try {
      if ((await life.outcome(life.close())) === LOST) return;
    } catch (error) {
      return this.fatal(life, error as Error);
    }
    life.stopped = true;
    this.end(life, 'stopped', this.has('power') && this.random.chance(0.5));
  }

  heal(): void {
    this.calm = true;
    this.fileSystem.capacityBytes = Number.POSITIVE_INFINITY;
    if (this.life !== undefined) this.life.disk.calm = true;
    this.tell('all is healed');
  }

  fatal(life: Life, error: Error): void {
    if (!life.alive || error instanceof Killed) return;
    const code = (error as NodeJS.ErrnoException).code;
    if (code !== 'EIO') {
      const invariant = code === 'ENOSPC' ? FULL_DISK : ASSERTION;
      this.invariants.report(invariant, `the process ends: ${error.stack}`);
    }
    this.die(life, `fatal: ${error.message}`);
  }

  warned(life: Life, message: string): void {
    if (!life.alive) return;
    this.tell(`life ${life.number} warns: ${message}`);
    const named = /volume (\d+)/.exec(message)?.[1];
    const file = /([0-9a-f]{8})\.(?:needles|index)/.exec(message)?.[1];
    const volume = named !== undefined ? Number(named) : file !== undefined ? Number.parseInt(file, 16) : undefined;
    const full = this.has('full-disk');
    const failing = full || this.has('fail-sync') || this.has('fail-write');
    this.invariants.warned({ message, volume, full, failing });
  }

  step(life: Life, name: string): void {
    if (!life.alive) throw new Killed();
    if (this.calm || !this.random.chance(this.options.crashAtStep)) return;
    this.die(life, `at step ${name}`);
    throw new Killed();
  }

  wrote(name: string, buffers: number, bytes: number): void {
    this.world.note(3, buffers, bytes);
    if (!name.endsWith('.needles')) return;
    const most = Math.max(limits.appendBatchBytes, limits.blockBytes) + limits.appendBatchNeedles * 100;
    const mostBytes = Math.max(most + limits.volumeZeroBytes, limits.compactStepBytes + 2 * limits.blockBytes);
    if (bytes > mostBytes) this.invariants.report(BOUNDS, `a write of ${bytes} bytes`);
  }

  /** A deletion of so many blobs begins, or ends. */
  deletes(blobs: number): void {
    this.deleting += blobs;
    this.mostDeleting = Math.max(this.mostDeleting, this.deleting);
  }

  opened(files: number): void {
    const { volumeFilesPerThread, openVolumesPerThread } = limits;
    // Each of two threads, a pair a volume: the sealed and the open, those that seal, what is copied or made.
    const usual = 2 * 2 * (volumeFilesPerThread + 2 * openVolumesPerThread + 6);
    // A volume stays open while a tombstone is on its way, and until another is opened.
    const most = usual + 2 * this.mostDeleting;
    // On a full disk volumes stay open whose index lines wait for space.
    if (files > most && !this.has('full-disk'))
      this.invariants.report(BOUNDS, `${files} files are open to write, more than ${most}`);
  }

  /** What an operation of a reader ends with. */
  async statusOf(life: Life, work: Promise<void>): Promise<number | typeof LOST> {
    try {
      const outcome = await life.outcome(work);
      return outcome === LOST || !life.alive ? LOST : Status.OK;
    } catch (error) {
      if (!(error instanceof OfsError)) throw error;
      return life.alive ? error.status : LOST;
    }
  }

  /** Reads a block whole through the reader. */
  async readBlock(life: Life, blob: Blob, block: Block, how: string): Promise<void> {
    const known = { acknowledged: block.acknowledged, deleted: blob.deletion === 'acknowledged' };
    const target = Buffer.alloc(block.data.length);
    const status = await this.statusOf(life, life.reader.read(block.id, 0, target));
    if (status === LOST) return;
    this.invariants.read({ blob, block, known, status, right: status === Status.OK && target.equals(block.data), how });
  }

  async readAll(life: Life, how: string): Promise<void> {
    const all = this.model.blocks();
    await Promise.all(all.map(({ blob, block }) => this.readBlock(life, blob, block, how)));
  }

  /** Whether its superblock is damaged, so that needles are not known from the file alone. */
  private isUnreadable(id: number): boolean {
    return this.model.damage.get(blockVolume(id))?.superblock === true;
  }

  /** A block was acknowledged: its needle must be on the platter, under a name that is. */
  checkNeedle(life: Life, block: Block): void {
    const offset = life.offsetOf(block.id);
    if (offset === undefined || this.model.isUncertain(block) || this.isUnreadable(block.id)) return;
    const file = this.fileSystem.onPlatter(volumeFile(blockVolume(block.id), 'needles'));
    const needle = file === undefined ? [] : needlesIn(file.platter.subarray(0, file.platterSize));
    const found = needle.find((other) => other.id === block.id && !other.tombstone);
    const right =
      found !== undefined &&
      block.data.equals(file!.platter.subarray(found.offset + 32, found.offset + 32 + block.data.length));
    if (!right) this.invariants.report(SYNCED, `block ${block.id} is acknowledged, and is not on the platter`);
  }

  /** A deletion was acknowledged. */
  checkDeletion(blob: Blob): void {
    const file = this.fileSystem.onPlatter(volumeFile(blockVolume(blob.id), 'needles'));
    if (file === undefined || this.isUnreadable(blob.id)) return;
    const needles = needlesIn(file.platter.subarray(0, file.platterSize));
    for (const block of blob.blocks.values()) {
      if (this.model.isUncertain(block) || !livesIn(needles, block.id)) continue;
      this.invariants.report(SYNCED, `the deletion of block ${block.id} is acknowledged, and is not on the platter`);
    }
  }

  /** Damages some bytes of a synced file, and says what they were. */
  rot(kind: 'needles' | 'index'): void {
    const random = this.diskRandom;
    const files = [...this.fileSystem.names].filter(
      ([name, inode]) =>
        name.endsWith(kind) && volumeOf(name) !== undefined && inode.platterSize > 64 && inode.dirty.size === 0,
    );
    if (files.length === 0) return;
    const [name, inode] = random.pick(files);
    if (this.fileSystem.onPlatter(name) !== inode || inode.lying.size > 0) return;
    const volume = volumeOf(name)!; // filtered
    const end = Math.min(inode.size, inode.platterSize);
    const at = random.below(end);
    const bytes = random.pick([1, 1, 4, 64]);
    if (kind === 'needles') this.hits(volume, inode.cache.subarray(0, end), at, at + bytes);
    else this.model.damageOf(volume).index++;
    for (let byte = at; byte < Math.min(end, at + bytes); byte++) {
      const bits = 1 + random.below(255);
      inode.cache[byte]! ^= bits;
      inode.platter[byte] = inode.cache[byte]!;
    }
    this.tell(`${name} rots from ${at} to ${at + bytes}`);
    this.findUnnamed();
  }

  /** Notes which damaged blocks nothing on the disk names any more. */
  private findUnnamed(): void {
    for (const [volume, { data }] of this.model.damage) {
      if (data === 0) continue;
      const index = this.fileSystem.onPlatter(volumeFile(volume, 'index'));
      const named =
        index === undefined ? new Set() : blocksNamedIn(volume, index.platter.subarray(0, index.platterSize));
      for (const { block } of this.model.blocks(volume)) block.unnamed ||= block.damaged && !named.has(block.id);
    }
  }

  private hits(volume: number, file: Buffer, from: number, to: number): void {
    const damage = this.model.damageOf(volume);
    if (from < 64) damage.superblock = true;
    for (const needle of needlesIn(file)) {
      if (needle.offset >= to || needle.offset + needle.bytes <= from) continue;
      damage.data++;
      for (let id = needle.id; id < needle.id + Math.max(1, needle.blocks); id++) {
        if (!needle.tombstone) this.model.rotten.add(id);
        const block = this.model.block(id);
        if (block === undefined) continue;
        if (needle.tombstone) block.tombstoneDamaged = true;
        else block.damaged = true;
      }
      this.tell(`rot hits ${needle.tombstone ? 'the tombstone' : 'the needle'} of ${needle.id}`);
    }
  }
}
