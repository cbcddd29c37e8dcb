// One raft group's state machine, on its owner thread: runs reads and transactions on the pending state, proposes the
// write sets, applies what is committed to LMDB. Every answer, also an error, a read or a retry's, leaves only when the
// newest proposal in the state that it was made from is committed: before it is applied, where few wait, since then they
// wait for the time that LMDB takes; with the others of its batch when that is applied, where many do.

import assert from 'node:assert';
import { DecodeError, Reader, Writer } from '../../proto/codec.js';
import { limits } from '../../proto/limits.js';
import type { MetaOperationName } from '../../proto/meta/index.js';
import { OfsError, Status } from '../../proto/status.js';
import type { Reserve } from '../disk/index.js';
import type { CommittedEntry, RaftGroup, StateMachine } from '../raft/interface.js';
import { type Caller, Reply, refuse } from './caller.js';
import { GroupContext, type ReadBlock } from './context.js';
import { Dedupe, type RequestIdentity } from './dedupe.js';
import type { AppliedState, GroupEngine } from './engine.js';
import { LongTransaction } from './long-transaction.js';
import type { BoundOperation, MetaLogic } from './operation-table.js';
import { Proposals } from './proposals.js';
import { FileQueues, hashOf } from './queues.js';
import { type Monotonic, Sessions } from './sessions.js';
import { PendingState, type Proposal } from './transaction.js';
import type { Transaction, WriteContext } from './view.js';

const NOTHING = Buffer.alloc(0);
/** Of whichever group of the thread is running: what is in them is used in the same turn. */
const bodyWriter = new Writer(4096, limits.frameBodyBytes);
const payloadWriter = new Writer(64 * 1024, limits.raftEntryBytes);
/** What an entry takes in the log beyond its payload, roughly. */
const ENTRY_OVERHEAD_BYTES = 32;

export interface GroupOptions {
  readonly id: number;
  /** The partition whose inodes the group makes. */
  readonly partition: number;
  readonly engine: GroupEngine;
  /** Whether this node may answer for the group without asking the others. */
  readonly holdsLease: () => boolean;
  readonly monotonic: Monotonic;
  /** Milliseconds since 1970. */
  readonly wallClock: () => number;
  readonly readBlock: ReadBlock;
  readonly hashTarget: MetaLogic['hashTarget'];
  /** Space kept back for applying what is committed. */
  readonly reserve: Pick<Reserve, 'stands' | 'giveUp'>;
  /** Told how many bytes of log were applied. */
  readonly onApplied: (bytes: number) => void;
}

/** What is taken on a full disk, since it frees space or belongs to what does. */
const FREEING: ReadonlySet<MetaOperationName> = new Set<MetaOperationName>([
  'unlink',
  'rmdir',
  'objectDelete',
  'uploadAbort',
  'xattrRemove',
  'volumeDelete',
  'keyDelete',
  'sessionOpen',
  'sessionClose',
]);

interface Waiting {
  readonly operation: BoundOperation;
  readonly body: Buffer;
  readonly bytes: number;
  readonly caller: Caller;
}

export class MetaGroup implements StateMachine {
  readonly id: number;
  readonly sessions: Sessions;
  readonly context: GroupContext;
  readonly state: PendingState;
  private readonly engine: GroupEngine;
  private readonly dedupe = new Dedupe();
  private readonly queues = new FileQueues<Waiting>();
  private readonly reader = new Reader();
  private readonly proposals = new Proposals();
  private readonly longs = new Set<LongTransaction>();
  private at: AppliedState;
  private raft: RaftGroup | null = null;
  private leads = false;
  private stalled = false;
  private onLeading: (() => void)[] = [];
  private onProposed: (() => void) | null = null;

  constructor(private readonly options: GroupOptions) {
    this.id = options.id;
    this.engine = options.engine;
    this.at = options.engine.applied();
    this.state = new PendingState(options.engine);
    this.sessions = new Sessions(options.monotonic);
    this.context = new GroupContext(options.partition, this.sessions, options.wallClock, options.readBlock);
  }

  /** Before anything else: the group's log, which calls this state machine. */
  attach(raft: RaftGroup): void {
    this.raft = raft;
  }

  get raftGroup(): RaftGroup {
    assert(this.raft !== null, 'attached first');
    return this.raft;
  }

  get appliedIndex(): number {
    return this.at.index;
  }

  get appliedTerm(): number {
    return this.at.term;
  }

  get leading(): boolean {
    return this.leads;
  }

  /** Proposals under way. */
  get pending(): number {
    return this.proposals.size;
  }

  /** Resolves when this node leads the group. */
  whenLeading(): Promise<void> {
    return this.leads ? Promise.resolve() : new Promise((resolve) => this.onLeading.push(resolve));
  }

  /** Called by a handler: what to do when the transaction that it runs in was proposed, or had nothing to change. */
  afterProposal(effect: () => void): void {
    this.onProposed = effect;
  }

  /** Ends a session in a transaction of whoever calls: as its client wishes, or because nothing was heard of it. */
  endSession(transaction: Transaction, session: number, how: 'CLOSED' | 'LOST'): void {
    this.sessions.end(transaction, session, this.context.nowMs);
    this.onProposed = () => {
      if (how === 'CLOSED') this.sessions.closed(session);
      else this.sessions.lose(session);
      this.dedupe.forget(session);
    };
  }

  /**
   * Whether a request is to be run: this node leads, and it was not run before, as far as is known yet. Throws OfsError
   * where it must not be run.
   */
  mayRun(caller: RequestIdentity): boolean {
    if (!this.leads) throw new OfsError(Status.NOT_LEADER, `this node does not lead group ${this.id}`);
    return caller.session === 0 || this.dedupe.find(this.state, caller) === undefined;
  }

  /** Takes a request over: `body` is read before it returns. The caller is answered once, now or later. */
  receive(operation: BoundOperation, body: Reader, caller: Caller): void {
    const start = body.position;
    const request = decodeRequest(operation, body, caller);
    if (request === undefined) return;
    const overtakes = this.queues.size > 0 && this.queues.holds(this.hash(operation, request));
    if (!overtakes && this.perform(operation, request, caller)) return;
    const copy = Buffer.from(body.buffer.subarray(start, body.end));
    const taken = this.queues.offer(this.hash(operation, request), {
      operation,
      body: copy,
      bytes: copy.length,
      caller,
    });
    if (!taken) refuse(caller, Status.BUSY, `the queue of group ${this.id} is full: try again later`);
  }

  /**
   * Runs a transaction of the service's own. Resolves with what `work` returned when its changes are applied; rejects
   * with what it threw, or with an OfsError when the group does not lead or takes no more.
   */
  run<T>(work: (transaction: Transaction, context: WriteContext) => T): Promise<T> {
    return new Promise((resolve, reject) => {
      if (!this.leads) {
        reject(new OfsError(Status.NOT_LEADER, `this node does not lead group ${this.id}`));
        return;
      }
      if (this.pending >= limits.pendingTransactions) {
        reject(new OfsError(Status.BUSY, `group ${this.id} has too much under way: try again later`));
        return;
      }
      this.context.tick();
      const proposal = this.state.begin();
      this.onProposed = null;
      let result: T;
      try {
        result = work(this.state, this.context);
      } catch (error) {
        this.state.rollback();
        reject(error);
        return;
      }
      const fault = this.propose(proposal);
      if (fault !== undefined) {
        reject(fault);
        return;
      }
      this.runEffect();
      const settle = (applied: boolean): void => {
        if (applied) resolve(result);
        else reject(new OfsError(Status.NOT_LEADER, `this node lost the leadership of group ${this.id}`));
      };
      const { newest } = this.proposals;
      if (newest === undefined) resolve(result);
      else this.proposals.wait(newest, { isPressing: false, settle });
    });
  }

  /**
   * Runs a transaction of many turns on a snapshot of what is applied. `work` may wait, once it has decoded what it has
   * read; it runs again, from the start, when what it read was changed meanwhile and it has changes to make. Rejects as `run` does, and with BUSY when it was overtaken every time.
   */
  async runLong<T>(work: (transaction: Transaction, context: WriteContext) => Promise<T>): Promise<T> {
    for (let attempt = 0; attempt < limits.longTransactionAttempts; attempt++) {
      const snapshot = this.engine.snapshot();
      const long = new LongTransaction(snapshot);
      const { term } = this.raftGroup.status;
      this.longs.add(long);
      try {
        const result = await work(long.transaction, this.context);
        if (long.readOnly) return result;
        if (term === this.raftGroup.status.term && !long.conflicts(this.proposals.keys)) {
          return await this.run((transaction) => {
            long.replay(transaction);
            return result;
          });
        }
      } finally {
        this.longs.delete(long);
        snapshot.release();
      }
      // What overtook it is in the next snapshot.
      await this.run(() => undefined);
    }
    throw new OfsError(Status.BUSY, `a long transaction of group ${this.id} was overtaken each time: try again later`);
  }

  /**
   * Whoever reads locally must not miss what was answered, and asks this thread until it is applied. So answers leave early
   * where one at a time is waited for (a mount's), not where many are (a gateway's, whose thread reads locally itself).
   */
  committed(index: number): void {
    if (!this.proposals.press(index)) return;
    this.raftGroup.acknowledging(index);
    this.proposals.answer(index);
  }

  apply(entries: readonly CommittedEntry[]): void {
    const fresh = entries.filter((entry) => entry.index > this.at.index);
    if (fresh.length === 0) return;
    this.at = this.applyRows(fresh);
    this.options.onApplied(fresh.reduce((bytes, entry) => bytes + entry.payload.length + ENTRY_OVERHEAD_BYTES, 0));
    const done = this.proposals.takeApplied(this.at.index);
    for (const proposal of done) {
      this.state.applied(proposal);
      for (const long of this.longs) long.applied(proposal.keys);
    }
    for (const proposal of done) this.proposals.settle(proposal, true);
    this.stalled = false;
    this.drain();
  }

  /** The engine was set to a snapshot. Who waits asks again, of another: this node follows. */
  restored(): void {
    assert(!this.leads, 'a leader is never set to a snapshot');
    this.dropped(0);
    this.at = this.engine.applied();
  }

  private applyRows(entries: readonly CommittedEntry[]): AppliedState {
    try {
      return this.engine.apply(entries, this.at);
    } catch (error) {
      // A full disk shows as one of several errors; what is committed has the reserve to go to, once.
      if (!this.options.reserve.giveUp()) throw error;
      return this.engine.apply(entries, this.at);
    }
  }

  leadership(leading: boolean, _term: number): void {
    this.leads = leading;
    this.dedupe.clear();
    if (!leading) {
      this.drain();
      return;
    }
    assert(this.pending === 0, 'a leader begins with everything applied');
    this.sessions.load(this.state);
    for (const resolve of this.onLeading.splice(0)) resolve();
  }

  dropped(fromIndex: number): void {
    const lost = this.proposals.takeDropped(fromIndex);
    for (const proposal of lost) this.state.dropped(proposal);
    this.dedupe.clear();
    for (const proposal of lost.reverse()) this.proposals.settle(proposal, false);
    this.stalled = false;
    this.drain();
  }

  private hash(operation: BoundOperation, request: object): number {
    return hashOf(this.options.hashTarget(operation.name, request));
  }

  private runEffect(): void {
    this.onProposed?.();
  }

  /** False: the group takes no more for now; nothing was done, and the request is to wait. */
  private perform(operation: BoundOperation, request: object, caller: Caller): boolean {
    if (!this.leads) {
      refuse(caller, Status.NOT_LEADER, `this node does not lead group ${this.id}`);
      return true;
    }
    this.context.tick();
    if (operation.write !== null) return this.write(operation, operation.write, request, caller);
    assert(operation.read !== null);
    if (this.proposals.waiting >= limits.queueRequests) return false;
    try {
      this.encodeAnswer(operation, operation.read(this.state, request, this.context));
    } catch (error) {
      this.fail(error, caller);
      return true;
    }
    this.answerWhenCertain(caller, Status.OK, bodyWriter);
    return true;
  }

  private write(
    operation: BoundOperation,
    handler: NonNullable<BoundOperation['write']>,
    request: object,
    caller: Caller,
  ): boolean {
    if (this.stalled || this.pending >= limits.pendingTransactions) return false;
    if (!this.options.reserve.stands && !FREEING.has(operation.name)) {
      refuse(caller, Status.NOSPC, 'the disk has no room for metadata: delete something, or make room');
      return true;
    }
    // Before a transaction begins: an answer may need one of its own, to be certain.
    try {
      if (this.answerRetry(caller)) return true;
    } catch (error) {
      this.fail(error, caller);
      return true;
    }
    const proposal = this.state.begin();
    this.onProposed = null;
    let body: Buffer;
    try {
      this.encodeAnswer(operation, handler(this.state, request, this.context));
      if (proposal.keys.length === 0) {
        this.state.rollback();
        this.runEffect();
        this.answerWhenCertain(caller, Status.OK, bodyWriter);
        return true;
      }
      body = bodyWriter.take();
      if (caller.session !== 0) this.dedupe.keep(this.state, caller, { status: Status.OK, body });
    } catch (error) {
      this.state.rollback();
      this.fail(error, caller);
      return true;
    }
    const fault = this.propose(proposal);
    if (fault !== undefined) {
      if (fault.status === Status.BUSY && this.pending > 0) {
        this.stalled = true;
        return false;
      }
      this.fail(fault, caller);
      return true;
    }
    if (caller.session !== 0) this.dedupe.kept(caller);
    this.runEffect();
    if (caller.session !== 0) this.sessions.seen(caller.session);
    this.proposals.wait(proposal, new Reply(caller, Status.OK, body));
    return true;
  }

  /** Answers a request that was run before. Throws where it must not be run. */
  private answerRetry(caller: Caller): boolean {
    if (caller.session === 0) return false;
    const kept = this.dedupe.find(this.state, caller);
    if (kept === undefined) {
      this.sessions.admit(this.state, caller.session);
      return false;
    }
    caller.repeats?.();
    bodyWriter.reset();
    bodyWriter.raw(kept.body);
    this.answerWhenCertain(caller, kept.status, bodyWriter);
    return true;
  }

  /** Ends the running transaction: proposed, or taken back with the reason. A transaction without changes is dropped. */
  private propose(proposal: Proposal): OfsError | undefined {
    if (proposal.keys.length === 0) {
      this.state.rollback();
      return undefined;
    }
    const refused = (status: Status, message: string): OfsError => {
      this.state.rollback();
      return new OfsError(status, message);
    };
    if (proposal.keys.length > limits.transactionKeys) {
      return refused(
        Status.FBIG,
        `${proposal.keys.length} rows in one transaction, the limit is ${limits.transactionKeys}`,
      );
    }
    payloadWriter.reset();
    try {
      this.state.encode(proposal, payloadWriter);
    } catch (error) {
      if (!(error instanceof RangeError)) throw error;
      return refused(Status.FBIG, `a transaction over ${limits.raftEntryBytes} bytes; do it in smaller steps`);
    }
    const index = this.raftGroup.propose(payloadWriter.view());
    if (index === 0) {
      const { leading, full } = this.raftGroup.status;
      if (full) return refused(Status.NOSPC, 'the disk has no room for the metadata log: free some, then try again');
      if (leading) return refused(Status.BUSY, `the log of group ${this.id} takes no more now: try again later`);
      return refused(Status.NOT_LEADER, `this node does not lead group ${this.id}`);
    }
    assert(index > this.at.index, 'proposals rise');
    this.state.keep();
    proposal.index = index;
    this.proposals.add(proposal);
    return undefined;
  }

  /** The answer in `body` leaves when the newest proposal is applied: at once when there is none. */
  private answerWhenCertain(caller: Caller, status: number, body: Writer): void {
    const newest = this.proposals.newest ?? this.barrier();
    if (newest === undefined) caller.answer(status, body.view());
    else this.proposals.wait(newest, new Reply(caller, status, body.take()));
  }

  /** Without a lease, an entry that changes nothing shows, once committed, that this node led when it was proposed. */
  private barrier(): Proposal | undefined {
    if (this.options.holdsLease()) return undefined;
    const proposal = this.state.begin();
    this.state.keep();
    proposal.index = this.raftGroup.propose(NOTHING);
    if (proposal.index === 0) {
      // Refused only where nothing can be certain: whoever waits on it is told that the leadership is lost.
      queueMicrotask(() => this.proposals.settle(proposal, false));
      return proposal;
    }
    this.proposals.add(proposal);
    return proposal;
  }

  private encodeAnswer(operation: BoundOperation, answer: unknown): void {
    bodyWriter.reset();
    try {
      operation.answer.write(bodyWriter, answer);
    } catch (error) {
      if (!(error instanceof RangeError)) throw error;
      throw new OfsError(Status.FBIG, `the answer of ${operation.name} is over ${limits.frameBodyBytes} bytes`);
    }
  }

  /** An error of the world is an answer like any other; anything else is a mistake of ours. */
  private fail(error: unknown, caller: Caller): void {
    if (!(error instanceof OfsError)) throw error;
    bodyWriter.reset();
    bodyWriter.raw(Buffer.from(error.message, 'utf8'));
    this.answerWhenCertain(caller, error.status, bodyWriter);
  }

  private drain(): void {
    this.queues.drain(({ operation, body, caller }) => {
      const request = decodeRequest(operation, this.reader.reset(body), caller);
      return request === undefined || this.perform(operation, request, caller);
    });
  }
}

/** Undefined: answered, since it is none. */
function decodeRequest(operation: BoundOperation, body: Reader, caller: Caller): object | undefined {
  try {
    const request = operation.request.read(body) as object;
    if (body.remaining === 0) return request;
    refuse(caller, Status.MALFORMED, `${operation.name}: ${body.remaining} bytes behind the request`);
  } catch (error) {
    if (!(error instanceof DecodeError)) throw error;
    refuse(caller, Status.MALFORMED, `${operation.name}: ${error.message}`);
  }
  return undefined;
}
