// An operation of a service: its number on the wire, and the codecs of its request and its answer. The tables of
// operations (proto/meta, proto/block) are built from it, and callers, services and tests derive from the tables.

import { type Codec, type StructOf, struct } from './codec.js';

export interface Operation<Q, A> {
  readonly code: number;
  readonly name: string;
  /** A read changes nothing and may be answered by any thread that may read locally. */
  readonly kind: 'read' | 'write';
  readonly request: Codec<Q>;
  readonly answer: Codec<A>;
}

export type RequestOf<O> = O extends Operation<infer Q, infer _A> ? Q : never;
export type AnswerOf<O> = O extends Operation<infer _Q, infer A> ? A : never;

type Fields = Parameters<typeof struct>[0];

export function operation<K extends 'read' | 'write', Q extends Fields, A extends Fields>(
  kind: K,
  code: number,
  request: Q,
  answer: A,
): Operation<StructOf<Q>, StructOf<A>> {
  return { code, name: '', kind, request: struct(request), answer: struct(answer) };
}

/** Names every operation after its key in the table, and refuses two with one code. */
export function table<T extends Record<string, Operation<unknown, unknown>>>(operations: T): T {
  const seen = new Set<number>();
  for (const [name, entry] of Object.entries(operations)) {
    if (seen.has(entry.code)) throw new Error(`operation code ${entry.code} stands twice`);
    seen.add(entry.code);
    (entry as { name: string }).name = name;
  }
  return operations;
}
