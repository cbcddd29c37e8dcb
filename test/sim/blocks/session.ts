// A client of the block store: writes blobs block by block, deletes, reads, lists. What it is not answered it asks for
// again in the next life, or leaves, and then does not know.

import { pieceChecksums } from '../../../proto/block/index.js';
import { BLOB_BLOCKS, blockVolume, makeBlob } from '../../../proto/ids.js';
import { limits } from '../../../proto/limits.js';
import { Status } from '../../../proto/status.js';
import type { Random } from '../random.js';
import { dataOf } from './data.js';
import { IDS, LISTED } from './invariants.js';
import { type Life, LOST } from './life.js';
import { type Blob, type Block, mustBeGone, mustLive } from './model.js';
import type { Universe } from './universe.js';

const SESSION = 7;
const RETRY_US = 3000;
/** What a run writes at most, so that none takes long. */
const MOST_BLOCKS = 200;

export class Session {
  idle = false;
  stopping = false;
  /** Acknowledged, of each kind. */
  readonly done = { blocks: 0, deletions: 0, reads: 0, refusals: 0 };

  constructor(
    private readonly universe: Universe,
    private readonly random: Random,
  ) {}

  start(): void {
    this.run().catch((error: unknown) => this.universe.crashed(error));
  }

  private async run(): Promise<void> {
    const { universe, random } = this;
    const { options } = universe;
    while (!this.stopping) {
      await universe.sleep(random.exponential(options.thinkMs * 1000));
      if (this.stopping) break;
      await universe.whenUp();
      const kind = random.word() / 2 ** 32;
      if (kind < options.deletes) await this.delete();
      else if (kind < options.deletes + options.reads) await this.read();
      else if (universe.model.count < MOST_BLOCKS) await this.writeBlob();
    }
    this.idle = true;
  }

  private full(): readonly number[] {
    if (!this.universe.has('full-disk')) return [Status.BUSY];
    // To make the reserve again may fail as any write may.
    const failing = this.universe.has('fail-write') || this.universe.has('fail-sync');
    return failing ? [Status.NOSPC, Status.BUSY, Status.IO] : [Status.NOSPC, Status.BUSY];
  }

  /** Waits a little before something is asked for again. */
  private async again(): Promise<void> {
    this.done.refusals++;
    await this.universe.sleep(RETRY_US);
  }

  private data(): Buffer {
    const { random, universe } = this;
    const large = random.chance(0.1);
    const length =
      1 + random.below(large ? limits.blockBytes : Math.min(limits.blockBytes, universe.options.blockBytes));
    return dataOf(universe, random, length);
  }

  async writeBlob(): Promise<boolean> {
    const { universe, random } = this;
    const blocks = random.pick([1, 1, 1, 1, 2, 3, BLOB_BLOCKS]);
    const blob = await this.begin(this.data());
    if (blob === undefined) return false;
    for (let index = 1; index < blocks; ) {
      const together = Math.min(blocks - index, random.between(1, limits.blocksInFlightPerBlob));
      const written = Array.from({ length: together }, (_, at) => this.append(blob, index + at, this.data()));
      if (!(await Promise.all(written)).every((done) => done)) break;
      index += together;
    }
    if (random.chance(0.1)) await this.writeAgain(blob, random.pick([...blob.blocks.values()]));
    universe.world.note(4, blob.id % 2 ** 30, blob.blocks.size);
    return true;
  }

  private async begin(data: Buffer): Promise<Blob | undefined> {
    const { universe, random } = this;
    for (;;) {
      const life = await universe.whenUp();
      const request = { session: SESSION, blob: 0, index: 0, checksums: pieceChecksums(data) };
      const result = await life.request(random.below(life.threads), 'blockWrite', request, data);
      if (result === LOST || result.status === Status.CLOSED) {
        if (result === LOST) universe.model.orphans.push(data);
        return undefined;
      }
      const { status, message } = result;
      universe.invariants.answered({ what: 'beginning a blob', status, message, allowed: this.full() });
      if (status === Status.OK) return this.acknowledge(life, result.value!.blob, data);
      await this.again();
      if (random.chance(0.3) && !this.stopping) return undefined;
    }
  }

  private acknowledge(life: Life, id: number, data: Buffer): Blob {
    const { universe } = this;
    const { model } = universe;
    const before = model.byId.get(id);
    const lost = before?.blocks.get(0)?.unnamed === true;
    if (before !== undefined && !lost) universe.invariants.report(IDS, `blob ${id} is given to two`);
    if (lost) model.rotten.delete(id);
    const blob = model.begin(id);
    const block: Block = {
      id,
      data,
      acknowledged: true,
      uncertain: false,
      damaged: model.rotten.has(id),
      tombstoneDamaged: false,
      unnamed: model.rotten.has(id),
    };
    blob.blocks.set(0, block);
    model.count++;
    this.done.blocks++;
    universe.checkNeedle(life, block);
    return blob;
  }

  /** Whether it is there now. */
  private async append(blob: Blob, index: number, data: Buffer): Promise<boolean> {
    const block: Block = {
      id: blob.id + index,
      data,
      acknowledged: false,
      uncertain: false,
      damaged: false,
      tombstoneDamaged: false,
      unnamed: false,
    };
    blob.blocks.set(index, block);
    this.universe.model.count++;
    blob.writing++;
    try {
      return await this.appendUntilDone(blob, block, index);
    } finally {
      blob.writing--;
    }
  }

  private async appendUntilDone(blob: Blob, block: Block, index: number): Promise<boolean> {
    const { universe, random } = this;
    for (;;) {
      const life = await universe.whenUp();
      if (blob.deletion !== 'none') block.uncertain = true;
      const request = { session: SESSION, blob: blob.id, index, checksums: pieceChecksums(block.data) };
      const thread = life.threadOf(blockVolume(blob.id));
      const result = await life.request(thread, 'blockWrite', request, block.data);
      if (blob.deletion !== 'none') block.uncertain = true;
      if (result !== LOST && result.status !== Status.CLOSED) {
        const { status, message } = result;
        const allowed = [...this.full(), Status.SEALED];
        if (blob.deletion !== 'none' || universe.model.damage.has(blockVolume(blob.id))) allowed.push(Status.NOENT);
        universe.invariants.answered({ what: `block ${index} of blob ${blob.id}`, status, message, allowed });
        if (status === Status.OK) {
          block.acknowledged = true;
          block.damaged = universe.model.rotten.has(block.id);
          block.unnamed ||= block.damaged;
          this.done.blocks++;
          universe.checkNeedle(life, block);
          return true;
        }
        if (status === Status.SEALED || status === Status.NOENT) return false;
        await this.again();
      }
      if (random.chance(0.2)) return false;
    }
  }

  /** A retry of what is acknowledged, and other bytes under its id. */
  private async writeAgain(blob: Blob, block: Block): Promise<void> {
    const { universe, random } = this;
    if (!block.acknowledged) return;
    const life = await universe.whenUp();
    const same = random.chance(0.5);
    const data = same ? block.data : this.data();
    const request = { session: SESSION, blob: blob.id, index: block.id - blob.id, checksums: pieceChecksums(data) };
    const result = await life.request(life.threadOf(blockVolume(blob.id)), 'blockWrite', request, data);
    if (result === LOST || result.status === Status.CLOSED) return;
    const { status, message } = result;
    const allowed: number[] = [...this.full()];
    const uncertain = blob.deletion !== 'none' || universe.model.isUncertain(block);
    if (uncertain) allowed.push(Status.NOENT, Status.SEALED, Status.EXIST, Status.CORRUPT);
    if (!same && !data.equals(block.data)) allowed.push(Status.EXIST);
    const what = `block ${block.id} written again with ${same ? 'the same' : 'other'} bytes`;
    universe.invariants.answered({ what, status, message, allowed });
    const taken = status === Status.OK && !uncertain && !data.equals(block.data);
    if (taken) universe.invariants.report(IDS, `${what} is acknowledged`);
    if (uncertain) block.uncertain = true;
  }

  private async delete(): Promise<void> {
    const { universe, random } = this;
    const { model } = universe;
    const life = await universe.whenUp();
    const thread = random.below(life.threads);
    const living = model.blobs.filter(
      ({ id, deletion }) => deletion === 'none' && life.threadOf(blockVolume(id)) === thread,
    );
    if (living.length === 0) return;
    const count = random.pick([1, 1, 3, 20]);
    const chosen = new Set(Array.from({ length: count }, () => random.pick(living)));
    // Now and then one that is deleted already.
    if (random.chance(0.1))
      chosen.add(random.pick(model.blobs.filter(({ id }) => life.threadOf(blockVolume(id)) === thread)));
    for (const blob of chosen) {
      if (blob.deletion === 'none') blob.deletion = 'asked';
      if (blob.writing > 0) for (const block of blob.blocks.values()) block.uncertain ||= !block.acknowledged;
    }
    await this.deleteUntilDone([...chosen]);
  }

  private async deleteUntilDone(blobs: readonly Blob[]): Promise<void> {
    const { universe, random } = this;
    let left = blobs;
    for (;;) {
      const life = await universe.whenUp();
      // After a start with other threads the rest belongs to another.
      const thread = life.threadOf(blockVolume(left[0]!.id));
      const mine = left.filter(({ id }) => life.threadOf(blockVolume(id)) === thread);
      const request = { blobs: mine.map(({ id }) => ({ blob: id, blocks: BLOB_BLOCKS })) };
      universe.deletes(mine.length);
      const result = await life.request(thread, 'blockDelete', request);
      universe.deletes(-mine.length);
      if (result !== LOST && result.status !== Status.CLOSED) {
        const { status, message } = result;
        universe.invariants.answered({ what: 'a deletion', status, message, allowed: this.full() });
        if (status === Status.OK) {
          for (const blob of mine) {
            blob.deletion = 'acknowledged';
            universe.checkDeletion(blob);
          }
          this.done.deletions += mine.length;
          left = left.filter((blob) => !mine.includes(blob));
          if (left.length === 0) return;
          continue;
        }
        await this.again();
      }
      if (random.chance(0.2)) return;
    }
  }

  private async read(): Promise<void> {
    const { universe, random } = this;
    const { blobs } = universe.model;
    if (blobs.length === 0) return;
    const life = await universe.whenUp();
    const blob = random.chance(0.5)
      ? blobs[blobs.length - 1 - random.below(Math.min(8, blobs.length))]!
      : random.pick(blobs);
    const block = random.pick([...blob.blocks.values()]);
    this.done.reads++;
    const kind = random.below(20);
    if (kind < 6) this.readAtOnce(life, blob, block);
    else if (kind < 11) await universe.readBlock(life, blob, block, 'a read');
    else if (kind < 14) await this.readPart(life, blob, block);
    else if (kind < 19) await this.readPieces(life, blob, block);
    else await this.list(life, random.between(1, Math.max(1, blockVolume(blobs.at(-1)!.id))));
  }

  private part(block: Block): { offset: number; target: Buffer } {
    const offset = this.random.below(block.data.length);
    return { offset, target: Buffer.alloc(1 + this.random.below(block.data.length - offset)) };
  }

  private readAtOnce(life: Life, blob: Blob, block: Block): void {
    const known = { acknowledged: block.acknowledged, deleted: blob.deletion === 'acknowledged' };
    const { offset, target } = this.part(block);
    if (!life.reader.readSync(block.id, offset, target) || !life.alive) return;
    const right = target.equals(block.data.subarray(offset, offset + target.length));
    this.universe.invariants.read({ blob, block, known, status: Status.OK, right, how: 'a read at once' });
  }

  private async readPart(life: Life, blob: Blob, block: Block): Promise<void> {
    const known = { acknowledged: block.acknowledged, deleted: blob.deletion === 'acknowledged' };
    const { offset, target } = this.part(block);
    const status = await this.universe.statusOf(life, life.reader.read(block.id, offset, target));
    if (status === LOST) return;
    const right = target.equals(block.data.subarray(offset, offset + target.length));
    this.universe.invariants.read({ blob, block, known, status, right, how: 'a read of a part' });
  }

  /** As another process reads: who gets the pieces checks them. */
  private async readPieces(life: Life, blob: Blob, block: Block): Promise<void> {
    const { universe } = this;
    const known = { acknowledged: block.acknowledged, deleted: blob.deletion === 'acknowledged' };
    const { offset, target } = this.part(block);
    const request = { block: block.id, offset, length: target.length };
    const result = await life.request(life.threadOf(blockVolume(block.id)), 'blockRead', request);
    if (result === LOST || [Status.CLOSED, Status.BUSY].includes(result.status as never)) return;
    const { status, value, payload } = result;
    const sound = value !== undefined && pieceChecksums(payload).every((sum, at) => sum === value.checksums[at]);
    const right = sound && payload.equals(block.data.subarray(value.start, value.start + payload.length));
    const told = status === Status.OK && !sound ? Status.CORRUPT : status;
    universe.invariants.read({ blob, block, known, status: told, right, how: 'a read of pieces' });
  }

  /** A whole listing of a volume, page by page. */
  async list(life: Life, volume: number): Promise<Map<number, number> | undefined> {
    const { universe, random } = this;
    const { model, invariants } = universe;
    const before = model.blocks(volume);
    const living = before.filter(({ blob, block }) => mustLive(model, blob, block));
    const gone = new Set(
      before.filter(({ blob, block }) => mustBeGone(model, blob, block)).map(({ block }) => block.id),
    );
    const found = new Map<number, number>();
    let after = makeBlob(volume, 0) - 1;
    for (let end = false; !end; ) {
      const limit = random.pick([5, 1000, 1000]);
      const result = await life.request(life.threadOf(volume), 'blockList', { volume, after, limit });
      if (result === LOST || result.status === Status.CLOSED || result.status === Status.BUSY) return undefined;
      if (result.value === undefined) {
        const lost =
          result.status !== Status.NO_SUCH_VOLUME || living.some(({ blob, block }) => mustLive(model, blob, block));
        if (lost) invariants.report(LISTED, `volume ${volume}: ${result.message}`);
        return undefined;
      }
      for (const { block, length } of result.value.blocks) {
        if (block <= after) invariants.report(LISTED, `volume ${volume}: ${block} follows ${after}`);
        after = block;
        found.set(block, length);
      }
      end = result.value.end;
    }
    for (const { blob, block } of living) {
      if (!mustLive(model, blob, block) || found.get(block.id) === block.data.length) continue;
      invariants.report(LISTED, `volume ${volume}: block ${block.id} of ${block.data.length} bytes is not listed`);
    }
    for (const id of gone)
      if (found.has(id)) invariants.report(LISTED, `volume ${volume}: ${id} is deleted, and listed`);
    return found;
  }
}
