// Who is to be answered, and an answer that waits until it is certain.

import { Status } from '../../proto/status.js';
import type { RequestIdentity } from './dedupe.js';
import type { Waiter } from './transaction.js';

/** A Request is one. */
export interface Caller extends RequestIdentity {
  answer(status: number, body?: Uint8Array): void;
  /** Called before the answer, if that is the one of the same request, which had come before. */
  repeats?(): void;
}

export function refuse(caller: Pick<Caller, 'answer'>, status: Status, message: string): void {
  caller.answer(status, Buffer.from(message, 'utf8'));
}

export class Reply implements Waiter {
  constructor(
    private readonly caller: Caller,
    private readonly status: number,
    private readonly body: Uint8Array,
  ) {}

  /** Callers with a session are other processes; those of this one ask over rings. */
  get isPressing(): boolean {
    return this.caller.session !== 0;
  }

  settle(applied: boolean): void {
    if (applied) this.caller.answer(this.status, this.body);
    else refuse(this.caller, Status.NOT_LEADER, 'this node lost the leadership of the group: ask again');
  }
}
