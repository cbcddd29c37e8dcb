// Stand-ins for the tests of node/meta: a log of one voter that keeps its entries in a file, rules over a few
// operations, and a way to ask.

import fs from 'node:fs';
import os from 'node:os';
import path from 'node:path';
import type { MetaService } from '../../../node/meta/index.js';
import type { CommittedEntry, RaftGroup, RaftHost, StateMachine } from '../../../node/raft/interface.js';
import { decode, encode, Reader } from '../../../proto/codec.js';
import { type MetaOperationName, type MetaOperations, metaOperations } from '../../../proto/meta/index.js';
import type { AnswerOf, Operation, RequestOf } from '../../../proto/operation.js';
import { OfsError, Status } from '../../../proto/status.js';

export function temporaryDirectory(): string {
  return fs.mkdtempSync(path.join(os.tmpdir(), 'ofs-meta-'));
}

/** Resolves when `condition` holds; rejects after `limitMs`. */
export async function until(condition: () => boolean, what: string, limitMs = 20_000): Promise<void> {
  const deadline = performance.now() + limitMs;
  while (!condition()) {
    if (performance.now() > deadline) throw new Error(`timed out: ${what}`);
    await new Promise((resolve) => setTimeout(resolve, 2));
  }
}

interface StoredEntry {
  index: number;
  term: number;
  payload: Buffer;
}

class FileLog implements RaftGroup {
  entries: StoredEntry[] = [];
  first = 1;
  term = 0;
  leading = false;
  accepts = true;
  private applied: number;

  constructor(
    readonly file: string,
    readonly machine: StateMachine,
    private readonly planSync: () => void,
  ) {
    this.load();
    this.applied = machine.appliedIndex;
  }

  private load(): void {
    if (!fs.existsSync(this.file)) return;
    const bytes = fs.readFileSync(this.file);
    for (let at = 0; at + 24 <= bytes.length; ) {
      const length = bytes.readUInt32LE(at + 16);
      if (at + 24 + length > bytes.length) break;
      const index = bytes.readDoubleLE(at);
      const entry = { index, term: bytes.readDoubleLE(at + 8), payload: bytes.subarray(at + 24, at + 24 + length) };
      if (this.entries.length === 0) this.first = index;
      this.entries.push(entry);
      this.term = entry.term;
      at += 24 + length;
    }
  }

  get last(): number {
    return this.first + this.entries.length - 1;
  }

  get status() {
    const { term, leading, last, applied, first } = this;
    return {
      term,
      leading,
      lastIndex: last,
      commitIndex: applied,
      appliedIndex: applied,
      firstIndex: first,
    };
  }

  propose(payload: Uint8Array): number {
    if (!this.leading || !this.accepts) return 0;
    return this.append(payload);
  }

  append(payload: Uint8Array): number {
    const entry = { index: this.last + 1, term: this.term, payload: Buffer.from(payload) };
    this.entries.push(entry);
    this.planSync();
    return entry.index;
  }

  compact(index: number): void {
    while (this.entries.length > 0 && this.first <= index) {
      this.entries.shift();
      this.first++;
    }
    fs.writeFileSync(`${this.file}.tmp`, Buffer.concat(this.entries.map(stored)));
    fs.renameSync(`${this.file}.tmp`, this.file);
    this.written = this.last;
  }

  written = 0;

  /** Writes what is new, and answers the descriptor to sync. */
  write(): void {
    if (this.written === 0) this.written = this.machine.appliedIndex;
    const fresh = this.entries.filter((entry) => entry.index > this.written);
    if (fresh.length === 0) return;
    const fd = fs.openSync(this.file, 'a');
    fs.writeSync(fd, Buffer.concat(fresh.map(stored)));
    fs.fdatasyncSync(fd);
    fs.closeSync(fd);
    this.written = this.last;
  }

  applyAll(): void {
    const ready: CommittedEntry[] = this.entries.filter(
      (entry) => entry.index > this.applied && entry.index <= this.written,
    );
    if (ready.length === 0) return;
    this.applied = ready[ready.length - 1]!.index;
    this.machine.apply(ready);
  }
}

function stored(entry: StoredEntry): Buffer {
  const head = Buffer.alloc(24);
  head.writeDoubleLE(entry.index, 0);
  head.writeDoubleLE(entry.term, 8);
  head.writeUInt32LE(entry.payload.length, 16);
  return Buffer.concat([head, entry.payload]);
}

/** A host of groups of one voter, each with a log file of its own, synced once a turn. */
export class StandInRaft implements RaftHost {
  readonly logs = new Map<number, FileLog>();
  /** While true nothing is synced or applied. */
  held = false;
  private planned = false;

  constructor(private readonly directory: string) {
    fs.mkdirSync(directory, { recursive: true });
  }

  addGroup(group: number, machine: StateMachine): RaftGroup {
    const log = new FileLog(path.join(this.directory, `${group}.log`), machine, () => this.plan());
    this.logs.set(group, log);
    log.written = Math.max(log.last, machine.appliedIndex);
    if (log.entries.length === 0) log.first = machine.appliedIndex + 1;
    setImmediate(() => {
      log.applyAll();
      log.term++;
      log.append(Buffer.alloc(0));
    });
    return log;
  }

  removeGroup(group: number): void {
    const log = this.logs.get(group);
    if (log !== undefined) fs.rmSync(log.file, { force: true });
    this.logs.delete(group);
  }

  logBytes(group: number): number {
    return this.logs.get(group)!.entries.reduce((sum, entry) => sum + entry.payload.length + 24, 0);
  }

  async close(): Promise<void> {
    this.held = false;
    this.flush();
  }

  plan(): void {
    if (this.planned || this.held) return;
    this.planned = true;
    setImmediate(() => this.flush());
  }

  flush(): void {
    this.planned = false;
    if (this.held) return;
    for (const log of this.logs.values()) {
      log.write();
      log.applyAll();
      if (!log.leading && log.entries.length > 0 && log.last === log.machine.appliedIndex) {
        log.leading = true;
        log.machine.leadership(true, log.term);
      }
    }
  }
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
}

let lastNumber = 0;

/** Sends a request's bytes and resolves with the answer's. */
export function askRaw(service: MetaService, kind: number, body: Buffer, how: Asking = {}): Promise<Answer> {
  return new Promise((resolve, reject) => {
    let answered = false;
    service.service({
      kind,
      group: how.group ?? 0,
      session: how.session ?? 0,
      number: how.number ?? ++lastNumber,
      window: how.window ?? 0,
      body: new Reader(Buffer.from(body)),
      payload: Buffer.alloc(0),
      answer: (status, answerBody = Buffer.alloc(0)) => {
        if (answered) reject(new Error('answered twice'));
        answered = true;
        resolve({ status, body: Buffer.from(answerBody) });
      },
    });
  });
}

/** One operation; rejects with the OfsError of its answer. */
export async function ask<K extends MetaOperationName>(
  service: MetaService,
  name: K,
  request: RequestOf<MetaOperations[K]>,
  how: Asking = {},
): Promise<AnswerOf<MetaOperations[K]>> {
  const operation = metaOperations[name] as unknown as Operation<typeof request, AnswerOf<MetaOperations[K]>>;
  const { status, body } = await askRaw(service, operation.code, encode(operation.request, request), how);
  if (status !== Status.OK) throw new OfsError(status as Status, body.toString('utf8'));
  return decode(operation.answer, body);
}
