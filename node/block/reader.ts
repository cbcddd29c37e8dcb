// Reading blocks from any thread of the process, without asking the thread that owns them: the place from the index in
// shared memory, the bytes from the volume's file, checked. Bytes that do not fit are never handed out: place and data
// are read again, and only then is the block said to be damaged. Each thread has a reader of its own, which opens files
// itself and again when the volume's generation moved (GC put another file in place).

import { AssertionError } from 'node:assert';
import {
  dataFits,
  emptyNeedleHeader,
  NEEDLE_HEADER_BYTES,
  needleBytes,
  pieceCount,
  readNeedleHeader,
  trailerBytes,
  trailerFits,
  VOLUME_KEYS,
  writeNeedleHeader,
} from '../../proto/block/index.js';
import { BLOB_BLOCKS, blockVolume } from '../../proto/ids.js';
import { limits } from '../../proto/limits.js';
import { OfsError, Status } from '../../proto/status.js';
import { Arena } from './arena.js';
import { type Clock, type Disk, readUpToAsync, systemClock, systemDisk, turn } from './disk.js';
import { dataPath } from './files.js';
import { IndexTable } from './index-table.js';
import type { BlockPieces, BlockPlace, BlockReader, NeedleSpan } from './reading.js';

const PIECE = limits.checksumPieceBytes;
/** The largest needle that is read whole, whatever part of it is asked for. */
const SMALL_NEEDLE = needleBytes(PIECE);
const SCRATCH_BUFFERS = 2 * limits.blockReadsInFlight;
const TRAILERS = 1024;
/** How many blobs further on is looked for one that stands: of small ones about as many as a client reads at once. */
const SPAN_STEPS = [64, 16, 4, 1];
/** How long a swap of files may keep a reader waiting. */
const SWAP_WAIT_US = 10_000_000;

export interface BlockReaderOptions {
  /** Of the node. */
  directory: string;
  arena: SharedArrayBuffer;
  /** For tests. */
  disk?: Disk;
  clock?: Clock;
}

export function openBlockReader(options: BlockReaderOptions): BlockReader {
  const { directory, arena, disk = systemDisk, clock = systemClock } = options;
  return new ArenaReader(directory, new Arena(arena), disk, clock);
}

/** A volume as this thread has it open. */
interface View {
  readonly volume: number;
  readonly entry: number;
  readonly generation: number;
  readonly table: IndexTable;
  readonly cookie: number;
  readonly fd: number;
  /** Reads on their way; the file is closed when the view is retired and none is left. */
  users: number;
  retired: boolean;
}

/** A block's slot, read. */
interface Needle {
  view: View;
  block: number;
  slot: number;
  offset: number;
  length: number;
  session: number;
}

type Use<T> = (needle: Needle) => Promise<T | undefined>;

class ArenaReader implements BlockReader {
  private readonly views = new Map<number, View>();
  private readonly scratch = Buffer.allocUnsafeSlow(SMALL_NEEDLE);
  private readonly spare: Buffer[] = [];
  private readonly header = emptyNeedleHeader();
  private readonly span: NeedleSpan = { position: 0, until: 0 };
  private readonly headerBytes = Buffer.alloc(NEEDLE_HEADER_BYTES);
  /** Trailers of large blocks that verified; a block never changes, so they stay true. */
  private readonly trailers = new Map<number, Buffer>();

  constructor(
    private readonly directory: string,
    private readonly arena: Arena,
    private readonly disk: Disk,
    private readonly clock: Clock,
  ) {}

  readSync(block: number, offset: number, target: Buffer): boolean {
    if (target.length > limits.syncReadBytes) return false;
    try {
      const view = this.view(blockVolume(block));
      if (view === null) return false;
      const slot = view.table.find(block % VOLUME_KEYS);
      return slot >= 0 && view.table.isWarm(slot) && this.readSlotSync(this.needle(view, block, slot), offset, target);
    } catch (error) {
      // `read` comes upon the same and says it.
      if (error instanceof AssertionError) throw error;
      return false;
    }
  }

  spanOf(block: number): NeedleSpan | null {
    const view = this.view(blockVolume(block));
    if (view === null) return null;
    const { table } = view;
    const slot = table.find(block % VOLUME_KEYS);
    if (slot < 0) return null;
    const { span } = this;
    span.position = table.offset(slot);
    span.until = span.position + needleBytes(table.length(slot));
    for (const distance of SPAN_STEPS) {
      const ahead = table.find((block + distance * BLOB_BLOCKS) % VOLUME_KEYS);
      if (ahead < 0 || table.offset(ahead) < span.position) continue;
      span.until = table.offset(ahead) + needleBytes(table.length(ahead));
      break;
    }
    return span;
  }

  private readSlotSync(needle: Needle, offset: number, target: Buffer): boolean {
    if (offset + target.length > needle.length) return false;
    if (target.length === 0) return true;
    const small = needleBytes(needle.length) <= SMALL_NEEDLE;
    const done = small ? this.readSmallSync(needle, offset, target) : this.readLargeSync(needle, offset, target);
    if (done) needle.view.table.touch(needle.slot);
    return done;
  }

  private readSmallSync(needle: Needle, offset: number, target: Buffer): boolean {
    const bytes = needleBytes(needle.length);
    if (this.disk.readSync(needle.view.fd, this.scratch, 0, bytes, needle.offset) !== bytes) return false;
    if (!this.isNeedle(this.scratch, needle)) return false;
    this.scratch.copy(target, 0, NEEDLE_HEADER_BYTES + offset, NEEDLE_HEADER_BYTES + offset + target.length);
    return true;
  }

  /** Whether `buffer` begins with this needle, its data sound. */
  private isNeedle(buffer: Buffer, needle: Needle): boolean {
    const { header } = this;
    const { view, block, length } = needle;
    if (!readNeedleHeader(buffer, 0, header)) return false;
    if (header.id !== block || header.cookie !== view.cookie || header.length !== length) return false;
    const end = NEEDLE_HEADER_BYTES + length;
    return dataFits(buffer.subarray(NEEDLE_HEADER_BYTES, end), 0, buffer, end);
  }

  private readLargeSync(needle: Needle, offset: number, target: Buffer): boolean {
    const trailer = this.trailers.get(needle.block);
    if (trailer === undefined) return false;
    const plan = this.plan(needle, offset, target, () => this.scratch);
    // Two partial pieces would need two buffers; the waiting path has them.
    if (plan.tail !== null && plan.head !== null) return false;
    const bytes = this.disk.readvSync(needle.view.fd, plan.buffers, plan.position);
    return bytes === plan.bytes && this.planFits(plan, trailer);
  }

  async read(block: number, offset: number, target: Buffer): Promise<void> {
    await this.use(block, async (needle) => {
      checkRange(needle, offset, target.length);
      const small = needleBytes(needle.length) <= SMALL_NEEDLE;
      const done = small ? await this.readSmall(needle, offset, target) : await this.readLarge(needle, offset, target);
      if (!done) return undefined;
      needle.view.table.touch(needle.slot);
      return true;
    });
  }

  private async readSmall(needle: Needle, offset: number, target: Buffer): Promise<boolean> {
    const bytes = needleBytes(needle.length);
    const buffer = this.borrow();
    try {
      const place = { length: bytes, position: needle.offset };
      if ((await readUpToAsync(this.disk, needle.view.fd, buffer, place)) !== bytes) return false;
      if (!this.isNeedle(buffer, needle)) return false;
      buffer.copy(target, 0, NEEDLE_HEADER_BYTES + offset, NEEDLE_HEADER_BYTES + offset + target.length);
      return true;
    } finally {
      this.giveBack(buffer);
    }
  }

  private async readLarge(needle: Needle, offset: number, target: Buffer): Promise<boolean> {
    if (target.length === 0) return true;
    const trailer = await this.trailer(needle);
    if (trailer === null) return false;
    const borrowed: Buffer[] = [];
    try {
      const plan = this.plan(needle, offset, target, () => {
        const buffer = this.borrow();
        borrowed.push(buffer);
        return buffer;
      });
      const bytes = await this.disk.readv(needle.view.fd, plan.buffers, plan.position);
      return bytes === plan.bytes && this.planFits(plan, trailer);
    } finally {
      for (const buffer of borrowed) this.giveBack(buffer);
    }
  }

  /** How a range is read in one call: whole pieces straight into the target, partial ones at its ends beside it. */
  private plan(needle: Needle, offset: number, target: Buffer, scratch: () => Buffer): Plan {
    const end = offset + target.length;
    const first = Math.floor(offset / PIECE);
    const last = Math.floor((end - 1) / PIECE);
    const start = first * PIECE;
    const stop = Math.min((last + 1) * PIECE, needle.length);
    const buffers: Buffer[] = [];
    let head: Part | null = null;
    let tail: Part | null = null;
    let middleStart = offset;
    let middleEnd = end;
    if (offset > start || (first === last && end < stop)) {
      const piece = scratch().subarray(0, Math.min(PIECE, needle.length - start));
      const upTo = Math.min(end, start + piece.length);
      head = { piece, from: offset - start, to: upTo - start, target, at: 0 };
      buffers.push(piece);
      middleStart = upTo;
    }
    if (middleStart < end && end < stop) {
      const lastStart = last * PIECE;
      const piece = scratch().subarray(0, stop - lastStart);
      tail = { piece, from: 0, to: end - lastStart, target, at: lastStart - offset };
      middleEnd = lastStart;
    }
    const middle = middleStart < middleEnd ? target.subarray(middleStart - offset, middleEnd - offset) : null;
    if (middle !== null) buffers.push(middle);
    if (tail !== null) buffers.push(tail.piece);
    const position = needle.offset + NEEDLE_HEADER_BYTES + start;
    return { buffers, bytes: stop - start, position, first, head, middle, tail };
  }

  private planFits(plan: Plan, trailer: Buffer): boolean {
    let piece = plan.first;
    if (plan.head !== null && !dataFits(plan.head.piece, piece++, trailer, 0)) return false;
    if (plan.middle !== null) {
      if (!dataFits(plan.middle, piece, trailer, 0)) return false;
      piece += pieceCount(plan.middle.length);
    }
    if (plan.tail !== null && !dataFits(plan.tail.piece, piece, trailer, 0)) return false;
    for (const part of [plan.head, plan.tail]) part?.piece.copy(part.target, part.at, part.from, part.to);
    return true;
  }

  /** A block's checksums as they stand on disk, verified against what the slot says of it; null when they are not. */
  private async trailer(needle: Needle): Promise<Buffer | null> {
    const cached = this.trailers.get(needle.block);
    if (cached !== undefined) return cached;
    const bytes = trailerBytes(needle.length);
    const trailer = Buffer.alloc(bytes);
    const position = needle.offset + NEEDLE_HEADER_BYTES + needle.length;
    if ((await readUpToAsync(this.disk, needle.view.fd, trailer, { length: bytes, position })) !== bytes) return null;
    const { block: id, length, session } = needle;
    const header = { tombstone: false, blocks: 0, id, cookie: needle.view.cookie, length, session };
    writeNeedleHeader(this.headerBytes, 0, header);
    if (!trailerFits(this.headerBytes, 0, trailer, 0)) return null;
    if (this.trailers.size >= TRAILERS) this.trailers.delete(this.trailers.keys().next().value!);
    this.trailers.set(needle.block, trailer);
    return trailer;
  }

  async locate(block: number): Promise<BlockPlace> {
    return this.use(block, async (needle) => {
      const trailer = await this.trailer(needle);
      if (trailer === null) return undefined;
      return {
        volume: needle.view.volume,
        file: dataPath(this.directory, needle.view.volume),
        offset: needle.offset + NEEDLE_HEADER_BYTES,
        length: needle.length,
        checksums: checksumsOf(trailer, 0, pieceCount(needle.length)),
      };
    });
  }

  async readPieces(
    block: number,
    range: { offset: number; length: number },
    allocate: (bytes: number) => Buffer,
  ): Promise<BlockPieces> {
    return this.use(block, async (needle) => {
      checkRange(needle, range.offset, range.length);
      const trailer = await this.trailer(needle);
      if (trailer === null) return undefined;
      const first = Math.floor(range.offset / PIECE);
      const stop = Math.min(Math.ceil((range.offset + range.length) / PIECE) * PIECE, needle.length);
      const start = range.length === 0 ? stop : first * PIECE;
      const data = allocate(stop - start).subarray(0, stop - start);
      const position = needle.offset + NEEDLE_HEADER_BYTES + start;
      const { length } = data;
      if ((await readUpToAsync(this.disk, needle.view.fd, data, { length, position })) !== length) return undefined;
      needle.view.table.touch(needle.slot);
      const checksums = checksumsOf(trailer, first, pieceCount(data.length));
      return { start, blockLength: needle.length, checksums, data };
    });
  }

  /**
   * Finds a block and uses it; `action` answers undefined when what it read does not fit. Then, and when the volume
   * changed meanwhile, all is looked up again; the same twice from the same file is damage.
   */
  private async use<T>(block: number, action: Use<T>): Promise<T> {
    const deadlineUs = this.clock.nowUs() + SWAP_WAIT_US;
    let failedGeneration = -1;
    for (;;) {
      const view = this.view(blockVolume(block));
      if (view === null) {
        if (this.absent(blockVolume(block))) throw this.noVolume(block);
        if (this.clock.nowUs() > deadlineUs)
          throw new OfsError(Status.TIMEOUT, `block ${block}: its volume is in change`);
        await turn(this.clock);
        continue;
      }
      const slot = view.table.find(block % VOLUME_KEYS);
      const needle = slot < 0 ? null : this.needle(view, block, slot);
      if (this.arena.generation(view.entry) !== view.generation) continue;
      if (needle === null) throw noBlock(block);
      const result = await this.attempt(view, () => action(needle));
      if (result !== undefined) return result;
      if (this.arena.generation(view.entry) !== view.generation) continue;
      if (view.generation === failedGeneration) {
        throw new OfsError(
          Status.CORRUPT,
          `block ${block} is damaged in ${dataPath(this.directory, view.volume)} at ${needle.offset}: restore it from a replica`,
        );
      }
      failedGeneration = view.generation;
      this.retire(view);
    }
  }

  private async attempt<T>(view: View, action: () => Promise<T | undefined>): Promise<T | undefined> {
    view.users++;
    try {
      return await action();
    } catch (error) {
      if (error instanceof OfsError) throw error;
      throw new OfsError(Status.IO, `reading ${dataPath(this.directory, view.volume)}: ${(error as Error).message}`);
    } finally {
      view.users--;
      if (view.retired && view.users === 0) this.disk.closeSync(view.fd);
    }
  }

  private needle(view: View, block: number, slot: number): Needle {
    const { table } = view;
    const session = table.session(slot);
    return { view, block, slot, offset: table.offset(slot), length: table.length(slot), session };
  }

  private absent(volume: number): boolean {
    const entry = this.arena.find(volume);
    return entry < 0 || ((this.arena.generation(entry) & 1) === 0 && this.arena.place(entry).capacity === 0);
  }

  private noVolume(block: number): OfsError {
    const volume = blockVolume(block);
    const entry = this.arena.find(volume);
    if (entry < 0 || !this.arena.isLost(entry)) return noBlock(block);
    return new OfsError(
      Status.CORRUPT,
      `block ${block} is in volume ${volume}, which is damaged or missing: restore it`,
    );
  }

  /** The volume, open; null when there is none or when its files are being swapped just now. */
  private view(volume: number): View | null {
    const known = this.views.get(volume);
    if (known !== undefined) {
      if (this.arena.generation(known.entry) === known.generation) return known;
      this.retire(known);
    }
    return this.open(volume);
  }

  private open(volume: number): View | null {
    const entry = this.arena.find(volume);
    if (entry < 0) return null;
    const generation = this.arena.generation(entry);
    const place = this.arena.place(entry);
    if ((generation & 1) !== 0 || place.capacity === 0 || !this.still(volume, entry, generation)) return null;
    let fd: number;
    try {
      fd = this.disk.openSync(dataPath(this.directory, volume), 'r');
    } catch (error) {
      if (!this.still(volume, entry, generation)) return null;
      throw new OfsError(Status.IO, `opening ${dataPath(this.directory, volume)}: ${(error as Error).message}`);
    }
    if (!this.still(volume, entry, generation)) {
      this.disk.closeSync(fd);
      return null;
    }
    if (this.views.size >= limits.volumeFilesPerThread) this.retire(this.views.values().next().value!);
    const table = new IndexTable(this.arena, place);
    const view = { volume, entry, generation, table, cookie: place.cookie, fd, users: 0, retired: false };
    this.views.set(volume, view);
    return view;
  }

  private still(volume: number, entry: number, generation: number): boolean {
    return this.arena.generation(entry) === generation && this.arena.volumeAt(entry) === volume;
  }

  private retire(view: View): void {
    if (view.retired) return;
    view.retired = true;
    if (this.views.get(view.volume) === view) this.views.delete(view.volume);
    if (view.users === 0) this.disk.closeSync(view.fd);
  }

  private borrow(): Buffer {
    return this.spare.pop() ?? Buffer.allocUnsafeSlow(SMALL_NEEDLE);
  }

  private giveBack(buffer: Buffer): void {
    if (this.spare.length < SCRATCH_BUFFERS) this.spare.push(buffer);
  }

  close(): void {
    for (const view of [...this.views.values()]) this.retire(view);
  }
}

/** A partial piece at an end of a range: read whole, used in part. */
interface Part {
  piece: Buffer;
  from: number;
  to: number;
  target: Buffer;
  at: number;
}

interface Plan {
  buffers: Buffer[];
  bytes: number;
  position: number;
  /** The first piece touched. */
  first: number;
  head: Part | null;
  middle: Buffer | null;
  tail: Part | null;
}

function checksumsOf(trailer: Buffer, first: number, count: number): number[] {
  const checksums: number[] = [];
  for (let piece = first; piece < first + count; piece++) checksums.push(trailer.readUInt32LE(piece * 4));
  return checksums;
}

function checkRange(needle: Needle, offset: number, length: number): void {
  if (offset + length <= needle.length) return;
  throw new OfsError(
    Status.INVAL,
    `block ${needle.block} has ${needle.length} bytes: [${offset}, ${offset + length}) is beyond its end`,
  );
}

function noBlock(block: number): OfsError {
  return new OfsError(Status.NOENT, `block ${block} is not here: it was deleted, or never written`);
}
