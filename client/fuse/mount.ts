// A mount from beginning to end. The engine runs in the thread that mounts; device threads read for it. Stopping a
// reader needs the mount itself (design.md, section 6): a stop word and a statfs of our own for each, which the reader
// answers before it leaves. No call here may wait for the mount in this thread.

import { statfs } from 'node:fs/promises';
import type { ByteString } from '../../proto/codec.js';
import { limits } from '../../proto/limits.js';
import { OfsError, Status } from '../../proto/status.js';
import type { Vfs } from '../vfs/interface.js';
import { Answerer, type CacheTimes } from './answerer.js';
import type { Context, Log } from './context.js';
import type { DatabaseData } from './database.js';
import { Engine } from './engine.js';
import { FlushAccounts } from './flush-account.js';
import { HandleTable } from './handle-table.js';
import { Intake } from './intake.js';
import {
  abortConnection,
  closeDevice,
  findMount,
  mountDevice,
  openDevice,
  prepareDirectory,
  setReadAhead,
  unmountDirectory,
} from './mountpoint.js';
import { negotiate } from './negotiation.js';
import { Neighbours } from './neighbours.js';
import { NodeTable } from './nodes.js';
import { Notifier } from './notifier.js';
import { ReadBuffers } from './read-buffers.js';
import type { Departure } from './shared.js';

export interface MountOptions {
  readonly vfs: Vfs;
  readonly directory: string;
  /** Shown as `ofs#volume` in the table of mounts. */
  readonly volume: string;
  readonly readOnly?: boolean;
  /** Others than who mounts may use it. */
  readonly allowOther?: boolean;
  /** How long the kernel may believe attributes, names, and the absence of names; 0 not at all. */
  readonly attributeMs?: number;
  readonly entryMs?: number;
  readonly negativeMs?: number;
  /** Readers of the device. */
  readonly threads?: number;
  readonly log: Log;
}

export interface UnmountOptions {
  /** Also while files are open: what is open fails from then on. */
  readonly force?: boolean;
}

export interface Mount {
  readonly directory: string;
  /** Resolves when the mount is no more, whoever ended it, and everything that it held is given back to the VFS. */
  readonly stopped: Promise<void>;
  /** Resolves after `stopped`. Rejects with OfsError BUSY while files are open, and the mount stays. */
  unmount(options?: UnmountOptions): Promise<void>;
  /** Tells the kernel that another client has changed an inode, or what stands under a name. Nobody waits for it. */
  invalidate(inode: number): void;
  invalidateEntry(parent: number, name: ByteString): void;
}

const DEFAULT_CACHE_MS = 1_000;
const DEFAULT_THREADS = 2;

/** Mounts a volume. Resolves when the mount can be used; rejects with OfsError. */
export async function mountVolume(options: MountOptions): Promise<Mount> {
  const directory = await prepareDirectory(options.directory, (path) =>
    options.log(`cleared a mount on ${path} whose process is gone`),
  );
  const descriptor = openDevice();
  const mount = new ActiveMount(options, directory, descriptor);
  await mount.start();
  return mount;
}

class ActiveMount implements Mount {
  readonly stopped: Promise<void>;
  private readonly context: Context;
  private readonly engine: Engine;
  private readonly intake: Intake;
  private readonly notifier: Notifier;
  private readonly log: Log;
  private device = '';
  private leaving: Promise<void> | null = null;

  constructor(
    private readonly options: MountOptions,
    readonly directory: string,
    private readonly descriptor: number,
  ) {
    this.log = options.log;
    const nodes = new NodeTable(options.vfs.root);
    this.notifier = new Notifier(descriptor, nodes, options.log);
    this.context = createContext(options, descriptor, nodes, this.notifier);
    this.engine = new Engine({ context: this.context, readOnly: options.readOnly ?? false });
    this.intake = new Intake(
      {
        descriptor,
        threads: options.threads ?? DEFAULT_THREADS,
        flushWords: this.context.flushes.shared,
        plainFiles: this.context.nodes.plain.shared,
        database: databaseOf(options, this.context.times),
      },
      this.engine,
    );
    this.engine.onRoom = () => this.intake.resume();
    this.stopped = this.finish();
  }

  async start(): Promise<void> {
    let minor: number;
    try {
      const mounting = mountDevice({
        descriptor: this.descriptor,
        directory: this.directory,
        volume: this.options.volume,
        readOnly: this.options.readOnly ?? false,
        allowOther: this.options.allowOther ?? false,
      });
      ({ minor } = await negotiate(this.descriptor, mounting));
    } catch (error) {
      this.intake.stop();
      await this.stopped;
      if ((await findMount(this.directory))?.source === `ofs#${this.options.volume}`) {
        await unmountDirectory(this.directory, { lazy: true });
      }
      throw error;
    }
    process.on('exit', this.onExit);
    this.intake.start();
    this.device = (await findMount(this.directory))?.device ?? '';
    await setReadAhead(this.device, limits.fuseReadAheadBytes).catch((error: unknown) =>
      this.log(`reading ahead stays at the kernel's default on ${this.directory}: ${error}`),
    );
    this.log(`mounted ofs#${this.options.volume} on ${this.directory}, the kernel speaks FUSE 7.${minor}`);
  }

  invalidate(inode: number): void {
    this.notifier.invalidate(inode);
  }

  invalidateEntry(parent: number, name: ByteString): void {
    this.notifier.invalidateEntry(parent, name);
  }

  async unmount({ force = false }: UnmountOptions = {}): Promise<void> {
    if (await this.isMounted()) {
      try {
        if (force) await this.unmountByForce();
        else await unmountDirectory(this.directory);
      } catch (error) {
        // Somebody else may have been quicker.
        if (await this.isMounted()) throw error;
      }
    }
    await this.stopped;
  }

  private async isMounted(): Promise<boolean> {
    return (await findMount(this.directory))?.device === this.device;
  }

  /** First the readers leave, then the tree lets go, then the descriptor closes, which fails whatever is pending. */
  private async unmountByForce(): Promise<void> {
    try {
      await unmountDirectory(this.directory);
      return;
    } catch (error) {
      if (!(error instanceof OfsError) || error.status !== Status.BUSY) throw error;
    }
    this.leaving ??= this.leave();
    await this.leaving;
    await unmountDirectory(this.directory, { lazy: true });
  }

  private left(): Promise<unknown> {
    return Promise.all(this.intake.departures);
  }

  /** The stop protocol; the connection is aborted if readers have not left in time. */
  private async leave(): Promise<void> {
    this.intake.stop();
    for (let reader = 0; reader < this.intake.size; reader++) {
      // Nobody needs the answer: it is the reader that shall get the question.
      void statfs(this.directory).then(
        () => undefined,
        (error: unknown) => this.log(`statfs to stop a reader of ${this.directory}: ${error}`),
      );
    }
    if (await inTime(this.left())) return;
    this.log(`readers of ${this.directory} did not leave; aborting connection ${this.device}`);
    await abortConnection(this.device);
    await this.left();
  }

  /** Runs when every reader has left the device. Rejects if one of them failed. */
  private async finish(): Promise<void> {
    const departures = await Promise.all(this.intake.departures.map((left) => left.then(this.onDeparture)));
    await this.intake.drained();
    if (!(await inTime(this.engine.idle()))) this.log(`requests on ${this.directory} are still under way`);
    const quiet = this.notifier.close();
    if (!(await inTime(quiet))) {
      this.log(`a notice of ${this.directory} does not end; aborting connection ${this.device}`);
      await abortConnection(this.device);
      await quiet;
    }
    this.context.answer.close();
    closeDevice(this.descriptor);
    process.off('exit', this.onExit);
    await this.engine.idle();
    for (const file of this.context.files.values()) {
      if (file.writable) await this.settle(this.options.vfs.flush(file.handle), 'flush');
      await this.settle(this.options.vfs.release(file.handle), 'release');
    }
    this.context.files.clear();
    this.context.directories.clear();
    this.log(`${this.directory} is unmounted`);
    for (const departure of departures) {
      if (departure.reason === 'failed') {
        throw new OfsError(Status.IO, `a reader of ${this.directory} failed: ${departure.message}`);
      }
    }
  }

  /** If one reader fails, none goes on: the mount ends as a whole. */
  private readonly onDeparture = (departure: Departure): Departure => {
    if (departure.reason === 'failed' && this.leaving === null) {
      this.log(`a reader of ${this.directory} failed: ${departure.message}`);
      this.leaving = this.leave();
      this.leaving.catch((error: unknown) => this.log(`stopping the readers of ${this.directory} failed: ${error}`));
    }
    return departure;
  };

  private async settle(work: Promise<void>, what: string): Promise<void> {
    try {
      await work;
    } catch (error) {
      this.log(`${what} of a file left open on ${this.directory} failed: ${error}`);
    }
  }

  /**
   * The process ends without having unmounted. A thread inside the device does not hear of that and would keep the
   * process for good; only a signal reaches it.
   */
  private readonly onExit = (): void => {
    process.kill(process.pid, 'SIGKILL');
  };
}

/** Whether `work` ends within limits.fuseStopMs. Rejects as it does. */
async function inTime(work: Promise<unknown>): Promise<boolean> {
  let timer: NodeJS.Timeout | undefined;
  const late = new Promise<boolean>((resolve) => {
    timer = setTimeout(() => resolve(false), limits.fuseStopMs);
  });
  const outcome = await Promise.race([work.then(() => true), late]);
  clearTimeout(timer);
  return outcome;
}

function databaseOf({ vfs }: MountOptions, { attributeMs, negativeMs }: CacheTimes): DatabaseData | null {
  if (vfs.database === null) return null;
  return { ...vfs.database, root: vfs.root, attributeMs, absenceIsKept: negativeMs > 0 };
}

function createContext(options: MountOptions, descriptor: number, nodes: NodeTable, notifier: Notifier): Context {
  const times = {
    attributeMs: options.attributeMs ?? DEFAULT_CACHE_MS,
    entryMs: options.entryMs ?? DEFAULT_CACHE_MS,
    negativeMs: options.negativeMs ?? 0,
  };
  return {
    vfs: options.vfs,
    nodes,
    neighbours: new Neighbours(nodes, Math.min(times.attributeMs, times.entryMs)),
    times,
    answer: new Answerer(descriptor, nodes, times),
    buffers: new ReadBuffers(),
    files: new HandleTable(),
    flushes: new FlushAccounts(),
    directories: new HandleTable(),
    log: options.log,
    invalidate: (inode) => notifier.invalidate(inode),
  };
}
