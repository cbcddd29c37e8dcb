// For the tests of node/meta: a node's metadata service over the real log and the real rules, a way to ask it, and a
// log that does only what a test tells it.

import assert from 'node:assert';
import fs from 'node:fs';
import os from 'node:os';
import path from 'node:path';
import { Engine, partitionOf, setPartition } from '../../../node/meta/engine.js';
import { MetaGroup } from '../../../node/meta/group.js';
import { type OpenedMeta, type OpenMetaOptions, openMetaService } from '../../../node/meta/index.js';
import { logic } from '../../../node/meta/open.js';
import { bindOperations } from '../../../node/meta/operation-table.js';
import { handlersOf } from '../../../node/meta/service-handlers.js';
import { createLeases } from '../../../node/raft/index.js';
import type { CommittedEntry, RaftGroup, RaftHost, StateMachine } from '../../../node/raft/interface.js';
import { decode, encode, Reader } from '../../../proto/codec.js';
import { type MetaOperationName, type MetaOperations, metaOperations } from '../../../proto/meta/index.js';
import type { AnswerOf, Operation, RequestOf } from '../../../proto/operation.js';
import { OfsError, Status } from '../../../proto/status.js';
import type { Service } from '../../../workers/channel.js';

export function temporaryDirectory(): string {
  return fs.mkdtempSync(path.join(os.tmpdir(), 'ofs-meta-'));
}

/** The seed of a random test, from the environment's SEED if it is given; said so that a failure can be run again. */
export function seedOf(name: string): number {
  const seed = Number(process.env.SEED ?? Date.now() % 1_000_000_000);
  process.stderr.write(`${name}: SEED=${seed}\n`);
  return seed;
}

/** Resolves when `condition` holds; rejects after `limitMs`. */
export async function until(
  condition: () => boolean | Promise<boolean>,
  what: string,
  limitMs = 20_000,
): Promise<void> {
  const deadline = performance.now() + limitMs;
  while (!(await condition())) {
    if (performance.now() > deadline) throw new Error(`timed out: ${what}`);
    await new Promise((resolve) => setTimeout(resolve, 2));
  }
}

export interface Node extends OpenedMeta {
  directory: string;
  leases: SharedArrayBuffer;
  /** Blobs that were given up for deletion. */
  deleted: number[];
  warnings: string[];
}

export async function startNode(directory: string, options: Partial<OpenMetaOptions> = {}): Promise<Node> {
  const leases = createLeases();
  const deleted: number[] = [];
  const warnings: string[] = [];
  const opened = await openMetaService({
    directory,
    thread: 0,
    threads: 1,
    leases,
    bootId: 'boot-1',
    deleteBlobs: async (blobs) => {
      for (const { blob } of blobs) deleted.push(blob);
    },
    clusterInfo: { node: 'test', bootId: 'boot-1', directory: '', leases: 0, metaPorts: [], blockPorts: [] },
    warn: (message) => warnings.push(message),
    fatal: (error) => {
      throw error;
    },
    ...options,
  });
  await opened.ready;
  return { ...opened, directory, leases, deleted, warnings };
}

export interface Answer {
  status: number;
  body: Buffer;
}

export interface Asking {
  session?: number;
  number?: number;
  window?: number;
  group?: number;
  payload?: Buffer;
}

let lastNumber = 0;

/** Sends a request's bytes and resolves with the answer's. */
export function askRaw(node: { service: Service }, kind: number, body: Buffer, how: Asking = {}): Promise<Answer> {
  return new Promise((resolve, reject) => {
    let answered = false;
    // The bytes are overwritten when the service's call is over, as a transport does.
    const bytes = Buffer.from(body);
    node.service({
      kind,
      group: how.group ?? 0,
      session: how.session ?? 0,
      number: how.number ?? ++lastNumber,
      window: how.window ?? 0,
      body: new Reader(bytes),
      payload: how.payload ?? Buffer.alloc(0),
      answer: (status, answerBody = Buffer.alloc(0)) => {
        if (answered) reject(new Error('answered twice'));
        answered = true;
        resolve({ status, body: Buffer.from(answerBody) });
      },
    });
    bytes.fill(0xee);
  });
}

/** One operation; rejects with the OfsError of its answer. */
export async function ask<K extends MetaOperationName>(
  node: { service: Service },
  name: K,
  request: RequestOf<MetaOperations[K]>,
  how: Asking = {},
): Promise<AnswerOf<MetaOperations[K]>> {
  const operation = metaOperations[name] as unknown as Operation<typeof request, AnswerOf<MetaOperations[K]>>;
  const { status, body } = await askRaw(node, operation.code, encode(operation.request, request), how);
  if (status !== Status.OK) throw new OfsError(status as Status, body.toString('utf8'));
  return decode(operation.answer, body);
}

/** Makes a volume; answers its group and its root. */
export async function makeVolume(
  node: { service: Service },
  name = 'volume',
): Promise<{ group: number; root: number }> {
  const { volume } = await ask(node, 'volumeCreate', { name, owner: 'owner' });
  return { group: volume.group, root: volume.partition * 2 ** 38 + 1 };
}

export const FILE = { mode: 0o100644, uid: 0, gid: 0, rdev: 0, exclusive: true };

interface Held {
  entry: CommittedEntry;
}

/** A log of one group that syncs, refuses and loses its leadership on command. */
export class HeldLog implements RaftGroup, RaftHost {
  machine: StateMachine | null = null;
  leading = false;
  term = 1;
  last: number;
  refuses = false;
  full = false;
  entries: Held[] = [];
  /** Of everything that was ever proposed, in order. */
  readonly payloads: Buffer[] = [];

  constructor(last = 0) {
    this.last = last;
  }

  get status() {
    const { term, leading, last, full } = this;
    return { term, leading, lastIndex: last, commitIndex: last, appliedIndex: last, firstIndex: 1, full };
  }

  addGroup(_group: number, machine: StateMachine): RaftGroup {
    this.machine = machine;
    return this;
  }

  removeGroup(): void {
    this.machine = null;
  }

  logBytes(): number {
    return 0;
  }

  async close(): Promise<void> {
    this.commit();
  }

  propose(payload: Uint8Array): number {
    if (!this.leading || this.refuses || this.full) return 0;
    this.last++;
    this.payloads.push(Buffer.from(payload));
    this.entries.push({ entry: { index: this.last, term: this.term, payload: Buffer.from(payload) } });
    return this.last;
  }

  compact(): void {}

  lead(): void {
    this.term++;
    this.last++;
    this.machine!.apply([{ index: this.last, term: this.term, payload: Buffer.alloc(0) }]);
    this.leading = true;
    this.machine!.leadership(true, this.term);
  }

  /** What was said of entries to be applied before readers of their own may read. */
  acknowledged = 0;

  acknowledging(index: number): void {
    this.acknowledged = index;
  }

  /** All that waits is committed, and applied when `commit` is called. */
  decide(): void {
    this.machine!.committed(this.last);
  }

  /** Commits and applies the first `count` proposals that wait. */
  commit(count = this.entries.length): void {
    const ready = this.entries.splice(0, count);
    if (ready.length > 0) this.machine!.apply(ready.map(({ entry }) => entry));
  }

  /** Loses the leadership, and with it what waits. */
  lose(): void {
    this.leading = false;
    this.machine!.leadership(false, this.term);
    const first = this.entries[0]?.entry.index ?? this.last + 1;
    this.last = first - 1;
    this.entries = [];
    this.machine!.dropped(first);
  }
}

/** A clock that a test sets. */
export class Clock {
  nowMs = 1_000_000;
  readonly read = (): number => this.nowMs;
}

export class TestReserve {
  stands = true;

  giveUp(): boolean {
    const stood = this.stands;
    this.stands = false;
    return stood;
  }
}

export interface HeldGroup {
  group: MetaGroup;
  log: HeldLog;
  engine: Engine;
  clock: Clock;
  root: number;
  lease: { holds: boolean };
  reserve: TestReserve;
  /** Asks an operation; `settled` tells of its answer without waiting. */
  ask<K extends MetaOperationName>(
    name: K,
    request: RequestOf<MetaOperations[K]>,
    how?: Asking,
  ): Promise<AnswerOf<MetaOperations[K]>>;
}

/** A volume's group by itself, on a log that waits for `commit`. */
export function heldGroup(directory: string): HeldGroup {
  const engine = new Engine(path.join(directory, 'data.mdb'));
  const clock = new Clock();
  const lease = { holds: true };
  const reserve = new TestReserve();
  const group = new MetaGroup({
    id: 1,
    partition: 1,
    engine,
    holdsLease: () => lease.holds,
    readBlock: () => null,
    monotonic: clock.read,
    wallClock: clock.read,
    hashTarget: logic.hashTarget,
    reserve,
    onApplied: () => undefined,
  });
  const { reads, writes } = handlersOf(group, logic, {
    status: () => assert.fail('not asked here'),
    clusterInfo: { node: '', bootId: '', directory: '', leases: 0, metaPorts: [], blockPorts: [] },
  });
  const operations = bindOperations(reads, writes);
  const log = new HeldLog(engine.applied().index);
  log.addGroup(1, group);
  group.attach(log);
  log.lead();
  if (partitionOf(engine) === undefined) {
    group
      .run((transaction, context) => {
        logic.bootstrap(transaction, context);
        setPartition(transaction, 1);
      })
      .catch((error) => assert.fail(error));
    log.commit();
  }
  const service: Service = (request) => group.receive(operations[request.kind]!, request.body, request);
  return {
    group,
    log,
    engine,
    clock,
    lease,
    reserve,
    root: 2 ** 38 + 1,
    ask: (name, request, how) => ask({ service }, name, request, how),
  };
}

/** A turn of the event loop: answers that can come have come. */
export function turn(): Promise<void> {
  return new Promise((resolve) => setImmediate(resolve));
}
