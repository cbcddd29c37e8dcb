// Where the bytes of a write go (R2.2): to the run that they continue without overlapping anything newer, else to a run
// of their own. Memory comes from the store's Space; a write that must wait for it first sends what its file holds.

import { limits } from '../../proto/limits.js';
import type { Time } from '../../proto/meta/index.js';
import { OfsError, Status } from '../../proto/status.js';
import { type Holder, Run, type Space, type SpaceRequest } from '../blocks/index.js';
import type { VfsFile } from './file.js';

const CHUNK = limits.chunkBytes;
const GROWTH = 4;

/** What a file's writes need of the VFS. */
export interface WriteHost {
  readonly space: Space;
  /** The file has pending bytes; its commit is to be planned. */
  onDirty(file: VfsFile): void;
  /** Too much is pending: commit soon. Resolves when the file may take more runs. */
  makeRoom(file: VfsFile): Promise<void>;
}

/** One file's blocks that are being filled, for others who wait for memory. */
export class FileHolder implements Holder {
  sinceMs = 0;
  readonly patienceMs = 0;
  private enlisted = false;

  constructor(
    private readonly space: Space,
    private readonly file: VfsFile,
  ) {}

  enlist(): void {
    if (this.enlisted) return;
    this.enlisted = true;
    this.sinceMs = performance.now();
    this.space.enlist(this);
  }

  cut(): number {
    this.enlisted = false;
    this.space.delist(this);
    this.file.streak = 0;
    let bytes = 0;
    for (const run of this.file.pending) {
      bytes += run.tailBytes;
      run.seal();
    }
    return bytes;
  }
}

/** Takes all of `data` over, in order with other writes to the file. Resolves when it is copied. */
export function placeWrite(host: WriteHost, file: VfsFile, offset: number, data: Buffer): Promise<void> | undefined {
  if (offset + data.length > limits.fileBytes) {
    throw new OfsError(Status.FBIG, `inode ${file.inode}: a file has at most ${limits.fileBytes} bytes`);
  }
  if (file.placing === null) {
    const taken = place(host, file, offset, data, 0);
    if (taken === data.length) return undefined;
    return queue(file, placeRest(host, file, offset, data, taken));
  }
  return queue(
    file,
    file.placing.then(() => placeRest(host, file, offset, data, 0)),
  );
}

function queue(file: VfsFile, work: Promise<void>): Promise<void> {
  const placing = work
    .catch(() => undefined) // its caller has the error
    .then(() => {
      if (file.placing === placing) file.placing = null;
    });
  file.placing = placing;
  return work;
}

async function placeRest(host: WriteHost, file: VfsFile, offset: number, data: Buffer, from: number): Promise<void> {
  let taken = from;
  while (taken < data.length) {
    taken = place(host, file, offset, data, taken);
    if (taken === data.length) return;
    if (file.pending.length >= limits.pendingRunsPerFile) {
      await host.makeRoom(file);
      continue;
    }
    const run = runFor(file, offset + taken, data.length - taken);
    if (run?.hasTail === true) run.seal();
    const want = wantedBytes(file, null, offset + taken, data.length - taken);
    const buffer = await waitForSpace(host.space, want);
    // The world may have changed: the bytes go where they belong now.
    adopt(host, file, { at: offset + taken, bytes: data.length - taken }, buffer);
  }
}

function waitForSpace(space: Space, wantBytes: number): Promise<Buffer> {
  return new Promise((resolve) => {
    const floorBytes = Math.min(wantBytes, limits.writerStartBytes);
    const request: SpaceRequest = { wantBytes, floorBytes, give: resolve };
    space.wait(request);
  });
}

/** Takes what there is memory for, from `data[from]`; answers up to where. */
function place(host: WriteHost, file: VfsFile, offset: number, data: Buffer, from: number): number {
  let taken = from;
  while (taken < data.length) {
    const at = offset + taken;
    const upTo = Math.min(data.length, taken + CHUNK - (at % CHUNK));
    const run = runFor(file, at, upTo - taken);
    if (run !== null && run.room > 0) {
      taken += run.append(data, taken, upTo);
      touch(host, file, at, offset + taken);
      continue;
    }
    if (run === null && file.pending.length >= limits.pendingRunsPerFile) return taken;
    const want = wantedBytes(file, run, at, upTo - taken);
    const floor = run?.hasTail === true ? Math.min(want, run.tailBytes * 2) : Math.min(want, limits.writerStartBytes);
    const buffer = host.space.allocate(want, floor);
    if (buffer === null) return taken;
    adopt(host, file, { at, bytes: upTo - taken }, buffer);
  }
  return taken;
}

/** Gives a buffer to the run that continues where the bytes go, or to a new one. */
function adopt(host: WriteHost, file: VfsFile, { at, bytes }: { at: number; bytes: number }, buffer: Buffer): void {
  let run = runFor(file, at, bytes);
  if (run !== null && (run.room > 0 || buffer.length <= run.tailBytes)) {
    host.space.release(buffer);
    return;
  }
  if (run === null) {
    run = new Run(host.space, at, CHUNK - (at % CHUNK));
    file.pending.push(run);
  }
  run.adopt(buffer);
  host.onDirty(file);
}

function touch(host: WriteHost, file: VfsFile, from: number, to: number): void {
  file.streak = from === file.lastEnd ? file.streak + to - from : to - from;
  file.lastEnd = to;
  file.generation++;
  file.mtime = timeNow();
  host.onDirty(file);
}

/** The run that ends at `at` and takes more, if nothing newer than it lies in [at, at + bytes). */
function runFor(file: VfsFile, at: number, bytes: number): Run | null {
  for (let index = file.pending.length - 1; index >= 0; index--) {
    const run = file.pending[index]!;
    if (run.end === at && !run.sealed && run.error === null) return run;
    if (run.start < at + bytes && run.end > at) return null;
  }
  return null;
}

function wantedBytes(file: VfsFile, run: Run | null, at: number, atHand: number): number {
  if (run?.hasTail === true) return Math.min(run.blockLimit, run.tailBytes * GROWTH);
  const most = run === null ? Math.min(limits.blockBytes, CHUNK - (at % CHUNK)) : run.blockLimit;
  const streak = run !== null || at === file.lastEnd ? file.streak : 0;
  return Math.min(most, 2 ** Math.ceil(Math.log2(Math.max(atHand, streak, limits.slabMinBytes))));
}

export function timeNow(): Time {
  const ms = Date.now();
  return { sec: Math.floor(ms / 1000), nsec: (ms % 1000) * 1_000_000 };
}
