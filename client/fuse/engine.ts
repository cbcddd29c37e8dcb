// The engine: begins requests as they come, any number at once up to its bound, and sees that each is answered once. It
// serialises nothing; what must be in order (one handle's writes, one directory's numbers) is kept so where it lives.

import assert from 'node:assert';
import {
  decodeBatchForget,
  forgetIn,
  interruptIn,
  Opcode,
  OpenFlag,
  opcodeName,
  openIn,
  requestHeader,
} from '../../proto/fuse/index.js';
import { limits } from '../../proto/limits.js';
import { Errno } from '../../proto/status.js';
import type { Context, Request } from './context.js';
import { ErrnoError, errnoFor } from './errors.js';
import type { Arrival, IntakeTarget } from './intake.js';
import { type Operation, operationOf } from './operations.js';

export interface EngineOptions {
  readonly context: Context;
  readonly readOnly: boolean;
}

export class Engine implements IntakeTarget {
  /** Called when `mayBegin` has become true again. */
  onRoom: () => void = () => {};
  private readonly context: Context;
  private readonly readOnly: boolean;
  /** Requests begun and not answered. */
  private readonly inFlight = new Set<number>();
  private idleWaiters: (() => void)[] = [];

  constructor(options: EngineOptions) {
    this.context = options.context;
    this.readOnly = options.readOnly;
  }

  mayBegin(): boolean {
    return this.inFlight.size < limits.fuseRequestsInFlight;
  }

  isBusy(): boolean {
    return this.inFlight.size > 0;
  }

  begin(arrival: Arrival): void {
    const { buffer, at, end } = arrival;
    const header = requestHeader.read(buffer, at, end);
    const body = at + requestHeader.bytes;
    const bodyEnd = at + header.length - header.extensions * 8;
    assert(header.length === end - at && bodyEnd >= body, 'the kernel sends whole requests');
    const request: Request = {
      opcode: header.opcode,
      unique: header.unique,
      inode: this.context.nodes.inodeOf(header.node),
      who: { uid: header.uid, gid: header.gid },
      buffer,
      at: body,
      end: bodyEnd,
    };
    if (this.take(request)) return;
    const operation = operationOf(header.opcode);
    if (operation === undefined) this.refuse(request, arrival.free);
    else void this.run(operation, request, arrival.free);
  }

  /** Does at once what needs neither waiting nor an answer; false for everything else. */
  private take({ opcode, unique, inode, buffer, at, end }: Request): boolean {
    switch (opcode) {
      case Opcode.FORGET:
        this.context.nodes.forget(inode, forgetIn.read(buffer, at, end).lookups);
        return true;
      case Opcode.BATCH_FORGET:
        decodeBatchForget(buffer, at, end, this.forget);
        return true;
      case Opcode.INTERRUPT:
        this.interrupt(unique, interruptIn.read(buffer, at, end).unique);
        return true;
      case Opcode.DESTROY:
        this.context.answer.empty(unique);
        return true;
      default:
        return false;
    }
  }

  /** Resolves when no request is in flight. */
  idle(): Promise<void> {
    if (this.inFlight.size === 0) return Promise.resolve();
    return new Promise((resolve) => {
      this.idleWaiters.push(resolve);
    });
  }

  private refuse(request: Request, free: (() => void) | null): void {
    this.context.answer.error(request.unique, Errno.ENOSYS);
    free?.();
  }

  /** Never rejects. */
  private async run(operation: Operation, request: Request, free: (() => void) | null): Promise<void> {
    const { unique } = request;
    this.inFlight.add(unique);
    try {
      if (this.readOnly && isChange(operation, request)) throw new ErrnoError(Errno.EROFS);
      await operation.handler(this.context, request);
    } catch (error) {
      const errno = this.errnoOf(operation, request, error);
      // The kernel asked on the ground of what it was told; it asks again, and shall not be told the same.
      if (errno === Errno.ESTALE || operation.changes) this.context.neighbours.clear();
      this.context.answer.error(unique, errno);
    }
    free?.();
    this.inFlight.delete(unique);
    if (this.inFlight.size === limits.fuseRequestsInFlight - 1) this.onRoom();
    if (this.inFlight.size === 0) for (const wake of this.idleWaiters.splice(0)) wake();
  }

  private errnoOf(operation: Operation, request: Request, error: unknown): number {
    const errno = errnoFor(error);
    if (errno === undefined) {
      const text = error instanceof Error ? (error.stack ?? error.message) : String(error);
      this.context.log(`${opcodeName(request.opcode)} on inode ${request.inode} failed: ${text}`);
      return Errno.EIO;
    }
    if (errno === Errno.EIO) {
      this.context.log(`${opcodeName(request.opcode)} on inode ${request.inode} failed: ${error}`);
    }
    return errno === Errno.ENOENT && !operation.byName ? Errno.ESTALE : errno;
  }

  private readonly forget = (node: number, lookups: number): void => {
    this.context.nodes.forget(this.context.nodes.inodeOf(node), lookups);
  };

  /**
   * Somebody wants the operation to end. One that waits in line ends with EINTR; one that has begun ends by itself. One
   * that is not known may be on its way through another thread: EAGAIN has the kernel ask again, and it does not if the
   * answer has been given meanwhile.
   */
  private interrupt(unique: number, target: number): void {
    if (this.context.buffers.callOff(target) || this.inFlight.has(target)) return;
    this.context.answer.error(unique, Errno.EAGAIN);
  }
}

function isChange(operation: Operation, request: Request): boolean {
  if (operation.changes) return true;
  if (request.opcode !== Opcode.OPEN) return false;
  const { flags } = openIn.read(request.buffer, request.at, request.end);
  return (flags & OpenFlag.ACCESS) !== OpenFlag.READ_ONLY || (flags & OpenFlag.TRUNCATE) !== 0;
}
