// Reads of the metadata by any thread of the process, without asking the meta thread: the lease says that this node may
// answer, the thread's own view of LMDB answers. One check, one fresh snapshot, one operation. This is what an S3 GET
// stands on.

import fs from 'node:fs';
import path from 'node:path';
import type { MetaOperationName, Time } from '../../proto/meta/index.js';
import { OfsError } from '../../proto/status.js';
import { Engine, partitionOf } from './engine.js';
import type { ReadHandlers } from './operation-table.js';
import type { MetaAnswer, MetaRequest, ReadContext, View } from './view.js';

const NANOSECONDS_PER_MS = 1_000_000;

/** Thrown within a handler that asks what only the meta thread knows. */
class NotLocal extends Error {}
const notLocal = new NotLocal();

class LocalContext implements ReadContext {
  constructor(readonly partition: number) {}

  get now(): Time {
    const nowMs = Date.now();
    return { sec: Math.floor(nowMs / 1000), nsec: (nowMs % 1000) * NANOSECONDS_PER_MS };
  }

  holds(): boolean {
    throw notLocal;
  }

  /** Whoever reads here reads blocks here too. */
  blockBytes(): null {
    return null;
  }
}

interface LocalGroup {
  readonly engine: Engine;
  readonly context: ReadContext;
  /** Which file it is. */
  readonly inode: number;
  /** The start of the node up to which it is known to be the group's file. */
  instance: number;
}

export interface LocalMeta {
  /**
   * Answers a read at once; undefined where this node may not answer it, or the meta thread has to. Throws OfsError as
   * the operation does. Bytes in the answer are the caller's.
   */
  read<K extends MetaOperationName>(name: K, group: number, request: MetaRequest<K>): MetaAnswer<K> | undefined;
  close(): Promise<void>;
}

/** Who may read. */
export interface ReadLease {
  mayRead(group: number): boolean;
  /** The start of the node that allowed it: files may have been replaced between two of them. */
  readonly instance: number;
}

/** Of a reader in another process than the one that writes the databases. */
export interface Outside {
  /** A database cannot be read by this process; said once. */
  readonly warn: (message: string) => void;
  readonly onClosed: () => void;
}

export class LocalReader implements LocalMeta {
  private readonly groups = new Map<number, LocalGroup>();
  private readonly closing = new Set<Promise<void>>();
  /** A database could not be read: no other is, any more. */
  private failed = false;

  constructor(
    private readonly directory: string,
    private readonly handlers: ReadHandlers,
    private readonly lease: ReadLease,
    private readonly outside?: Outside,
  ) {}

  read<K extends MetaOperationName>(name: K, group: number, request: MetaRequest<K>): MetaAnswer<K> | undefined {
    const handler = this.handlers[name] as
      | ((view: View, request: MetaRequest<K>, context: ReadContext) => MetaAnswer<K>)
      | undefined;
    if (handler === undefined || this.failed) return undefined;
    if (!this.lease.mayRead(group)) {
      this.forgetIfGone(group);
      return undefined;
    }
    let opened = this.groups.get(group);
    if (opened === undefined || opened.instance !== this.lease.instance) opened = this.open(group);
    if (opened === undefined) return undefined;
    try {
      return handler(opened.engine, request, opened.context);
    } catch (error) {
      if (error === notLocal) return undefined;
      if (error instanceof OfsError) throw error;
      return this.giveUp(group, error);
    } finally {
      // The snapshot ends here: the next read has a fresh one, and this one keeps no pages from being used again.
      opened.engine.refresh();
    }
  }

  async close(): Promise<void> {
    for (const group of [...this.groups.keys()]) this.forget(group);
    await Promise.all(this.closing);
    this.outside?.onClosed();
  }

  /** Undefined: a group that was just made, and leads before its first rows stand; or one whose file is being replaced. */
  private open(group: number): LocalGroup | undefined {
    const file = this.file(group);
    const inode = fs.statSync(file, { throwIfNoEntry: false })?.ino;
    const known = this.groups.get(group);
    if (known !== undefined && known.inode === inode) {
      known.instance = this.lease.instance;
      return known;
    }
    if (known !== undefined) this.forget(group);
    // What is closed on this path is not closed yet.
    if (inode === undefined || this.closing.size > 0) return undefined;
    const engine = this.openEngine(group);
    if (engine === undefined) return undefined;
    const partition = group === 0 ? 0 : partitionOf(engine);
    if (partition === undefined) {
      this.end(engine);
      return undefined;
    }
    const opened = { engine, context: new LocalContext(partition), inode, instance: this.lease.instance };
    this.groups.set(group, opened);
    return opened;
  }

  private openEngine(group: number): Engine | undefined {
    try {
      return new Engine(this.file(group), this.outside !== undefined);
    } catch (error) {
      return this.giveUp(group, error);
    }
  }

  /** Another process can be asked instead of reading here; the own threads cannot do without. */
  private giveUp(group: number, error: unknown): undefined {
    if (this.outside === undefined) throw error;
    this.failed = true;
    const what = `${this.file(group)} cannot be read here, so the node is asked for everything`;
    this.outside.warn(`${what}: ${(error as Error).message}`);
    return undefined;
  }

  /** The group's volume was deleted: its files are only held by whoever has them open. */
  private forgetIfGone(group: number): void {
    if (this.groups.has(group) && !fs.existsSync(this.file(group))) this.forget(group);
  }

  private forget(group: number): void {
    const opened = this.groups.get(group);
    this.groups.delete(group);
    if (opened !== undefined) this.end(opened.engine);
  }

  private end(engine: Engine): void {
    const closed = engine.close().finally(() => this.closing.delete(closed));
    this.closing.add(closed);
  }

  private file(group: number): string {
    return path.join(this.directory, 'meta', 'groups', String(group), 'data.mdb');
  }
}
