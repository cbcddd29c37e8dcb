// Reads of the metadata by any thread of the process, without asking the meta thread: the lease says that this node may
// answer, the thread's own view of LMDB answers. One check, one fresh snapshot, one operation. This is what an S3 GET
// stands on.

import fs from 'node:fs';
import path from 'node:path';
import type { MetaOperationName, Time } from '../../proto/meta/index.js';
import { Engine } from './engine.js';
import type { ReadHandlers } from './operation-table.js';
import type { MetaAnswer, MetaRequest, ReadContext, View } from './view.js';

const NANOSECONDS_PER_MS = 1_000_000;

/** Thrown within a handler that asks what only the meta thread knows. */
class NotLocal extends Error {}
const notLocal = new NotLocal();

class LocalContext implements ReadContext {
  partition = 0;

  get now(): Time {
    const nowMs = Date.now();
    return { sec: Math.floor(nowMs / 1000), nsec: (nowMs % 1000) * NANOSECONDS_PER_MS };
  }

  holds(): boolean {
    throw notLocal;
  }
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
  private readonly engines = new Map<number, Engine>();
  private readonly context = new LocalContext();
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
    const engine = this.engines.get(group) ?? this.open(group);
    engine.refresh();
    try {
      return handler(engine, request, this.context);
    } catch (error) {
      if (error === notLocal) return undefined;
      throw error;
    }
  }

  async close(): Promise<void> {
    const engines = [...this.engines.values()];
    this.engines.clear();
    await Promise.all([...this.closed, ...engines.map((engine) => engine.close())]);
  }

  private open(group: number): Engine {
    const engine = new Engine(this.file(group));
    this.engines.set(group, engine);
    return engine;
  }

  /** The group's volume was deleted: its files are only held by whoever has them open. */
  private forgetIfGone(group: number): void {
    const engine = this.engines.get(group);
    if (engine === undefined || fs.existsSync(this.file(group))) return;
    this.engines.delete(group);
    this.closed.push(engine.close());
  }

  private file(group: number): string {
    return path.join(this.directory, 'meta', 'groups', String(group), 'data.mdb');
  }
}
