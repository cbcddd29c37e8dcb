// The metadata service as clients see it (interface.ts), over one channel for each meta thread of the node and, in the
// node's own process, the local reader. Keeps this client's session with every group it uses: opens it before the first
// write, renews it with the inodes held, and takes a new one when the service has let it go.

import { randomInt } from 'node:crypto';
import { type Codec, DecodeError, Reader, Writer } from '../../proto/codec.js';
import { limits } from '../../proto/limits.js';
import { type MetaOperationName, type MetaOperations, metaOperations } from '../../proto/meta/index.js';
import type { AnswerOf, Operation, RequestOf } from '../../proto/operation.js';
import { OfsError, Status, statusName } from '../../proto/status.js';
import type { Channel } from '../../workers/channel.js';
import type { MetaChannel } from './interface.js';

type Request<K extends MetaOperationName> = RequestOf<MetaOperations[K]>;
type Answer<K extends MetaOperationName> = AnswerOf<MetaOperations[K]>;

/** Reads of this process's own database (node/meta's local reader); undefined where no lease allows it. */
export interface LocalReads {
  read<K extends MetaOperationName>(name: K, group: number, request: Request<K>): Answer<K> | undefined;
}

export interface MetaClientOptions {
  /** One for each meta thread; a group is served by thread `group % channels.length`. */
  channels: readonly Channel[];
  local: LocalReads | null;
  /** What the service shows of this client. */
  client: string;
  /** Told the number of a new session, before it is used: transports bind their retries to it. */
  onSession: (session: number) => void;
  warn: (message: string) => void;
}

interface GroupState {
  /** Resolves when the session stands in the group. */
  opened: Promise<void>;
  /** How often each inode is held. */
  readonly held: Map<number, number>;
}

const BUSY_FIRST_MS = 2;
const BUSY_MAX_MS = 100;
/** Nothing was done, and will be when it is asked again. CLOSED: the node is ending; the next one answers. */
const RETRIED: ReadonlySet<number> = new Set([Status.BUSY, Status.NOT_LEADER, Status.CLOSED]);

export function newSession(): number {
  return randomInt(1, 2 ** 48 - 1);
}

export class MetaClient implements MetaChannel {
  private readonly writer = new Writer(4096, limits.frameBodyBytes);
  private readonly groups = new Map<number, GroupState>();
  private readonly renewTimer: NodeJS.Timeout;
  private currentSession = newSession();
  private closing = false;

  constructor(private readonly options: MetaClientOptions) {
    options.onSession(this.currentSession);
    this.renewTimer = setInterval(() => this.renewAll(), limits.sessionRenewMs);
    this.renewTimer.unref();
  }

  /** This client's session, the same in every group. It stands in a group once `session(group)` has resolved. */
  get sessionNumber(): number {
    return this.currentSession;
  }

  readLocal<K extends MetaOperationName>(name: K, group: number, request: Request<K>): Answer<K> | undefined {
    return this.options.local?.read(name, group, request);
  }

  async call<K extends MetaOperationName>(
    name: K,
    group: number,
    request: Request<K>,
    payload: Buffer | null = null,
  ): Promise<Answer<K>> {
    const deadline = performance.now() + limits.requestTimeoutMs;
    for (let pauseMs = BUSY_FIRST_MS; ; pauseMs = Math.min(pauseMs * 2, BUSY_MAX_MS)) {
      try {
        return await this.callOnce(name, group, request, payload);
      } catch (error) {
        const again = error instanceof OfsError && RETRIED.has(error.status);
        if (!again || this.closing || performance.now() + pauseMs > deadline) throw error;
        await new Promise((resolve) => setTimeout(resolve, pauseMs));
      }
    }
  }

  async session(group: number): Promise<number> {
    await this.group(group).opened;
    return this.currentSession;
  }

  hold(group: number, inode: number): void {
    const { held } = this.group(group);
    const count = held.get(inode) ?? 0;
    held.set(inode, count + 1);
  }

  unhold(group: number, inode: number): void {
    const { held } = this.group(group);
    const count = held.get(inode) ?? 0;
    if (count <= 1) held.delete(inode);
    else held.set(inode, count - 1);
  }

  async close(): Promise<void> {
    this.closing = true;
    clearInterval(this.renewTimer);
    const session = this.currentSession;
    await Promise.allSettled([...this.groups.keys()].map((group) => this.callOnce('sessionClose', group, { session })));
    for (const channel of this.options.channels) channel.close();
  }

  private callOnce<K extends MetaOperationName>(
    name: K,
    group: number,
    request: Request<K>,
    payload: Buffer | null = null,
  ): Promise<Answer<K>> {
    const operation = metaOperations[name] as unknown as Operation<Request<K>, Answer<K>>;
    const { writer } = this;
    writer.reset();
    try {
      operation.request.write(writer, request);
    } catch (error) {
      if (!(error instanceof RangeError)) throw error;
      return Promise.reject(new OfsError(Status.FBIG, `${name}: request over ${limits.frameBodyBytes} bytes`));
    }
    const { channels } = this.options;
    const channel = channels[group % channels.length]!; // at least one channel
    return new Promise((resolve, reject) => {
      channel.call(operation.code, group, writer.view(), payload, (status, body) => {
        if (status !== Status.OK) return reject(failure(name, status as Status, body));
        try {
          resolve(readAnswer(operation.answer, name, body));
        } catch (error) {
          reject(error);
        }
      });
    });
  }

  private group(group: number): GroupState {
    let state = this.groups.get(group);
    if (state === undefined) {
      state = { opened: this.open(group), held: new Map() };
      state.opened.catch(() => this.groups.delete(group));
      this.groups.set(group, state);
    }
    return state;
  }

  private async open(group: number): Promise<void> {
    await this.call('sessionOpen', group, { session: this.currentSession, client: this.options.client });
  }

  private renewAll(): void {
    for (const [group, state] of this.groups) {
      this.renew(group, state).catch((error: Error) => {
        // The volume was deleted: there is nothing to hold any more.
        if (error instanceof OfsError && error.status === Status.NO_SUCH_GROUP) this.groups.delete(group);
        else this.options.warn(`renewing the session with group ${group}: ${error.message}`);
      });
    }
  }

  private async renew(group: number, state: GroupState): Promise<void> {
    const session = this.currentSession;
    await state.opened;
    const held = [...state.held.keys()];
    for (let at = 0; ; at += limits.heldInodesPerRenewal) {
      const page = held.slice(at, at + limits.heldInodesPerRenewal);
      const more = at + limits.heldInodesPerRenewal < held.length;
      const { known } = await this.callOnce('sessionRenew', group, { session, held: page, more });
      if (!known) {
        if (session === this.currentSession) this.replaceSession();
        return;
      }
      if (!more) return;
    }
  }

  /** The service has let the session go: all groups are joined again under a new one. */
  private replaceSession(): void {
    this.options.warn(`session ${this.currentSession} has expired at the service; continuing under a new one`);
    this.currentSession = newSession();
    this.options.onSession(this.currentSession);
    for (const [group, state] of this.groups) {
      state.opened = this.open(group);
      state.opened.catch(() => this.groups.delete(group));
    }
  }
}

/** What is decoded outlives the callback in which `body` is valid, and may hold views: so of a copy. */
function readAnswer<A>(codec: Codec<A>, name: string, view: Reader): A {
  const body = new Reader(Buffer.from(view.buffer.subarray(view.position, view.end)));
  const answer = codec.read(body);
  if (body.remaining !== 0) throw new DecodeError(`${name}: ${body.remaining} bytes behind the answer`);
  return answer;
}

/** The error of an answer: its body, where there is one, is a message in UTF-8. */
export function failure(
  name: string,
  status: Status,
  body: { buffer: Buffer; position: number; end: number },
): OfsError {
  const message = body.buffer.toString('utf8', body.position, body.end);
  return new OfsError(status, message === '' ? `${name}: ${statusName(status)}` : message);
}
