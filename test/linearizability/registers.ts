// Registers by key, each of them an object of its own: read, write, compare-and-set. A compare-and-set is answered
// whether it was done.

import { type History, type Model, type Operation, UNKNOWN, type Unknown } from './history.js';

export type Value = number | string | null;

export type RegisterRequest =
  | { readonly kind: 'read'; readonly key: string }
  | { readonly kind: 'write'; readonly key: string; readonly value: Value }
  | { readonly kind: 'cas'; readonly key: string; readonly expected: Value; readonly value: Value };

export interface RegisterAnswer {
  /** Of a read. */
  readonly value?: Value;
  /** Of a compare-and-set. */
  readonly done?: boolean;
}

type RegisterOperation = Operation<RegisterRequest, RegisterAnswer>;

function step(state: Value, request: RegisterRequest, answer: RegisterAnswer | Unknown): readonly Value[] | null {
  switch (request.kind) {
    case 'read':
      return answer === UNKNOWN || answer.value === state ? [state] : null;
    case 'write':
      return [request.value];
    case 'cas': {
      const done = state === request.expected;
      if (answer !== UNKNOWN && answer.done !== done) return null;
      return [done ? request.value : state];
    }
  }
}

function byKey(history: readonly RegisterOperation[]): RegisterOperation[][] {
  const parts = new Map<string, RegisterOperation[]>();
  for (const operation of history) {
    const { key } = operation.request;
    const part = parts.get(key);
    if (part === undefined) parts.set(key, [operation]);
    else part.push(operation);
  }
  return [...parts.values()];
}

function hashOf(state: Value): number {
  if (typeof state === 'number') return state;
  let hash = state === null ? 1 : 0;
  for (const char of state ?? '') hash = (Math.imul(hash, 31) + char.charCodeAt(0)) | 0;
  return hash;
}

function describe({ request, answer }: RegisterOperation): string {
  const { kind, key } = request;
  if (kind === 'read') return `${key} = ${answer === UNKNOWN ? '?' : answer.value}`;
  const outcome = answer === UNKNOWN ? ' ?' : kind === 'cas' && answer.done !== true ? ' refused' : '';
  const change = kind === 'write' ? `${request.value}` : `${request.expected} → ${request.value}`;
  return `${key} := ${change}${outcome}`;
}

/** Every key holds `initial` at first. */
export function registers(initial: Value = null): Model<Value, RegisterRequest, RegisterAnswer> {
  return {
    name: 'registers by key',
    init: () => initial,
    step,
    changesNothing: (request, answer) => request.kind === 'read' || (request.kind === 'cas' && answer.done === false),
    hash: hashOf,
    equal: (left, right) => left === right,
    partition: (history: History<RegisterRequest, RegisterAnswer>) => byKey(history),
    describe,
    show: (state) => String(state),
  };
}
