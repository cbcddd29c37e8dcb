// Reads of the metadata by any thread of the process, without asking the meta thread: the lease says that this node may
// answer, the thread's own view of LMDB answers. One check, one fresh snapshot, one operation. This is what an S3 GET
// stands on.

import fs from 'node:fs';
import path from 'node:path';
import type { MetaOperationName, Time } from '../../proto/meta/index.js';
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
  engine: Engine;
  context: ReadContext;
}

export interface LocalMeta {
  /**
   * Answers a read at once; undefined where this node may not answer it, or the meta thread has to. Throws OfsError as
   * the operation does. Bytes in the answer are the caller's.
   */
  read<K extends MetaOperationName>(name: K, group: number, request: MetaRequest<K>): MetaAnswer<K> | undefined;
  close(): Promise<void>;
}

export class LocalReader implements LocalMeta {
  private readonly groups = new Map<number, LocalGroup>();
  private readonly closed: Promise<void>[] = [];

  constructor(
    private readonly directory: string,
    private readonly handlers: ReadHandlers,
    private readonly mayRead: (group: number) => boolean,
  ) {}

  read<K extends MetaOperationName>(name: K, group: number, request: MetaRequest<K>): MetaAnswer<K> | undefined {
    const handler = this.handlers[name] as
      | ((view: View, request: MetaRequest<K>, context: ReadContext) => MetaAnswer<K>)
      | undefined;
    if (handler === undefined) return undefined;
    if (!this.mayRead(group)) {
      this.forgetIfGone(group);
      return undefined;
    }
    const opened = this.groups.get(group) ?? this.open(group);
    if (opened === undefined) return undefined;
    try {
      return handler(opened.engine, request, opened.context);
    } catch (error) {
      if (error === notLocal) return undefined;
      throw error;
    } finally {
      // The snapshot ends here: the next read has a fresh one, and this one keeps no pages from being used again.
      opened.engine.refresh();
    }
  }

  async close(): Promise<void> {
    const groups = [...this.groups.values()];
    this.groups.clear();
    await Promise.all([...this.closed, ...groups.map(({ engine }) => engine.close())]);
  }

  /** Undefined: a group that was just made, and leads before its first rows stand. */
  private open(group: number): LocalGroup | undefined {
    const engine = new Engine(this.file(group));
    const partition = group === 0 ? 0 : partitionOf(engine);
    if (partition === undefined) {
      this.closed.push(engine.close());
      return undefined;
    }
    const opened = { engine, context: new LocalContext(partition) };
    this.groups.set(group, opened);
    return opened;
  }

  /** The group's volume was deleted: its files are only held by whoever has them open. */
  private forgetIfGone(group: number): void {
    const opened = this.groups.get(group);
    if (opened === undefined || fs.existsSync(this.file(group))) return;
    this.groups.delete(group);
    this.closed.push(opened.engine.close());
  }

  private file(group: number): string {
    return path.join(this.directory, 'meta', 'groups', String(group), 'data.mdb');
  }
}
