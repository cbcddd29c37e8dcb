// The checkpoints of a simulated state machine: files on the simulated disk, written beside what is in use, checked,
// then renamed. Received snapshots likewise. Whatever is on the disk when a process dies, a start finds a whole state.

import type {
  GroupStart,
  SnapshotInfo,
  SnapshotReader,
  SnapshotStore,
  SnapshotWriter,
  WalFile,
  WalStorage,
} from '../../../node/raft/index.js';
import type { Configuration } from '../../../proto/raft/index.js';
import type { Process } from '../process.js';
import type { SimState, StateKind } from './state.js';

const CHECKPOINT = 'checkpoint';
const RECEIVED = 'received';
const NEW = 'new.tmp';
const ARRIVING = 'arriving.tmp';
const ENDED = Symbol('ended');

export interface CheckpointsOptions {
  readonly storage: WalStorage;
  readonly process: Process;
  readonly kind: StateKind;
  /** Of a piece of a file. */
  readonly pieceBytes: number;
  /** The state machine becomes this. */
  readonly onInstalled: (state: SimState) => void;
}

function write(file: WalFile, bytes: Buffer, position: number): Promise<void> {
  return new Promise((resolve, reject) => {
    file.write(bytes, position, (error) => (error === null ? resolve() : reject(error)));
  });
}

function readAll(file: WalFile): Buffer {
  const bytes = Buffer.alloc(file.sizeBytes);
  file.read(bytes, 0);
  return bytes;
}

export class Checkpoints implements SnapshotStore {
  newest: SnapshotInfo | null = null;
  private file: WalFile | undefined;
  /** Changes of the directory, one after another. */
  private work: Promise<void> = Promise.resolve();
  private ended = false;

  constructor(private readonly options: CheckpointsOptions) {}

  /** Nothing of it is wanted any more. */
  async clear(): Promise<void> {
    const { storage } = this.options;
    for (const name of await storage.list()) await storage.remove(name);
  }

  /** What a start finds. `live`: what the process before it left in the page cache, if that is still there. */
  async load(
    live: SimState | undefined,
    configuration: Configuration,
    start: GroupStart | undefined,
  ): Promise<SimState> {
    const { storage } = this.options;
    const names = await storage.list();
    for (const name of [NEW, ARRIVING]) if (names.includes(name)) await storage.remove(name);
    if (names.includes(RECEIVED)) await this.settleReceived(start);
    const checkpoint = await this.loadCheckpoint();
    const state = live ?? checkpoint ?? this.options.kind.empty(configuration);
    return checkpoint !== undefined && start !== undefined && state.index < start.index ? checkpoint : state;
  }

  /** Takes a checkpoint of the state as it is now. Resolves with its index, 0 if there is a newer one. */
  checkpoint(state: SimState): Promise<number> {
    const bytes = state.encode();
    const { index, term, configuration } = state;
    return this.serially(async () => {
      const { storage } = this.options;
      if (index <= (this.newest?.index ?? 0)) return 0;
      const file = await storage.create(NEW);
      await this.fill(file, bytes);
      const written = await storage.open(NEW);
      if (this.options.kind.decode(readAll(written)) === undefined)
        throw new Error('a checkpoint does not read as written');
      await storage.rename(NEW, CHECKPOINT);
      this.take(written, { index, term, configuration, bytes: bytes.length });
      return index;
    });
  }

  open(): SnapshotReader {
    const { file } = this;
    const { process } = this.options;
    return {
      read: (offset, length, onRead) => {
        process.later(20, () => {
          const data = Buffer.alloc(length);
          file?.read(data, offset);
          onRead(null, data);
        });
      },
      close: () => undefined,
    };
  }

  receive(snapshot: SnapshotInfo): SnapshotWriter {
    return new Receiving(this.options, snapshot, (work) => this.serially(work));
  }

  install(snapshot: GroupStart, onInstalled: (error: Error | null) => void): void {
    const installing = this.serially(async () => {
      const { storage } = this.options;
      const file = await storage.open(RECEIVED);
      const bytes = readAll(file);
      const state = this.options.kind.decode(bytes);
      if (state === undefined || state.index !== snapshot.index)
        throw new Error('what was received is not what was checked');
      await storage.rename(RECEIVED, CHECKPOINT);
      const { index, term, configuration } = state;
      this.take(file, { index, term, configuration, bytes: bytes.length });
      this.options.onInstalled(state);
    });
    installing.then(() => onInstalled(null), onInstalled);
  }

  private async settleReceived(start: GroupStart | undefined): Promise<void> {
    const { storage } = this.options;
    const state = this.options.kind.decode(readAll(await storage.open(RECEIVED)));
    const named = state !== undefined && start?.index === state.index && start.term === state.term;
    if (named) await storage.rename(RECEIVED, CHECKPOINT);
    else await storage.remove(RECEIVED);
  }

  private async loadCheckpoint(): Promise<SimState | undefined> {
    const { storage } = this.options;
    if (!(await storage.list()).includes(CHECKPOINT)) return undefined;
    const file = await storage.open(CHECKPOINT);
    const state = this.options.kind.decode(readAll(file));
    if (state === undefined) throw Object.assign(new Error('the checkpoint is damaged'), { damaged: true });
    const { index, term, configuration } = state;
    this.take(file, { index, term, configuration, bytes: file.sizeBytes });
    return state;
  }

  private async fill(file: WalFile, bytes: Buffer): Promise<void> {
    const { pieceBytes } = this.options;
    for (let at = 0; at < bytes.length; at += pieceBytes) await write(file, bytes.subarray(at, at + pieceBytes), at);
  }

  private take(file: WalFile, snapshot: SnapshotInfo): void {
    this.file = file;
    this.newest = snapshot;
  }

  /** Nothing more is begun. Resolves when what is under way is done. */
  end(): Promise<void> {
    this.ended = true;
    return this.work;
  }

  private serially<T>(work: () => Promise<T>): Promise<T> {
    const done = this.work.then<T | typeof ENDED>(() => (this.ended ? ENDED : work()));
    this.work = done.then(
      () => undefined,
      () => undefined,
    );
    // Who waits for what is not begun any more waits for ever, as with a process that has ended.
    return done.then((result) => (result === ENDED ? new Promise<T>(() => undefined) : result));
  }
}

class Receiving implements SnapshotWriter {
  received = 0;
  private file: WalFile | undefined;
  private discarded = false;

  constructor(
    private readonly options: CheckpointsOptions,
    private readonly snapshot: SnapshotInfo,
    private readonly serially: (work: () => Promise<void>) => Promise<void>,
  ) {}

  write(data: Buffer, onWritten: (error: Error | null) => void): void {
    const writing = this.serially(async () => {
      this.file ??= await this.options.storage.create(ARRIVING);
      await write(this.file, data, this.received);
      this.received += data.length;
    });
    writing.then(() => onWritten(null), onWritten);
  }

  finish(onFinished: (error: Error | null) => void): void {
    const finishing = this.serially(async () => {
      const { storage } = this.options;
      if (this.discarded) throw new Error('not wanted any more');
      const state = this.options.kind.decode(readAll(await storage.open(ARRIVING)));
      const { index, term } = this.snapshot;
      if (state?.index !== index || state.term !== term) throw new Error('not the snapshot that was announced');
      await storage.rename(ARRIVING, RECEIVED);
    });
    finishing.then(() => onFinished(null), onFinished);
  }

  discard(): void {
    if (this.discarded) return;
    this.discarded = true;
    const { storage } = this.options;
    void this.serially(async () => {
      await storage.remove(ARRIVING);
      await storage.remove(RECEIVED);
    });
  }
}
