// The operations that a group runs, by their code on the wire: codec and handler side by side. Handlers of the
// namespace are pure functions (node/meta/operations); those of sessions and of the service itself are bound to a group
// and come from there.

import type { Codec } from '../../proto/codec.js';
import { type MetaOperationName, metaOperations } from '../../proto/meta/index.js';
import type { Operation } from '../../proto/operation.js';
import type { ReclaimOptions, ReclaimPlan } from './operations/index.js';
import type { ReadContext, ReadHandler, Transaction, View, WriteContext, WriteHandler } from './view.js';

export type ReadHandlers = { readonly [K in MetaOperationName]?: ReadHandler<K> };
export type WriteHandlers = { readonly [K in MetaOperationName]?: WriteHandler<K> };

export interface DeletedBlob {
  readonly blob: number;
  readonly blocks: number;
}

/** What a group's rows mean: the pure rules over them, which node/meta/operations gives. */
export interface MetaLogic {
  readonly readHandlers: ReadHandlers;
  readonly writeHandlers: WriteHandlers;
  /** The first rows of a new volume's group. */
  bootstrap(transaction: Transaction, context: WriteContext): void;
  readonly reclaim: {
    plan(view: View, context: ReadContext, options: ReclaimOptions): ReclaimPlan;
    step(transaction: Transaction, context: WriteContext, sequence: number): void;
    /** After the blobs of the plan were deleted. */
    finish(transaction: Transaction, done: ReclaimPlan['deletes']): void;
  };
  readonly fold: {
    /** A bounded step of turning completed uploads into chunk rows; whether there is more to do. */
    step(transaction: Transaction, limit: number): boolean;
  };
  isEmptyVolume(view: View, context: Pick<ReadContext, 'partition'>): boolean;
  /** What a request is about: requests about one file run in order. */
  hashTarget(name: MetaOperationName, request: object): number | string;
}

/** An operation with the types of its request and answer forgotten: the codecs beside the handler keep them true. */
export interface BoundOperation {
  readonly name: MetaOperationName;
  readonly request: Codec<unknown>;
  readonly answer: Codec<unknown>;
  readonly read: ((view: View, request: unknown, context: ReadContext) => unknown) | null;
  readonly write: ((transaction: Transaction, request: unknown, context: WriteContext) => unknown) | null;
}

/** Handlers by code; a hole where there is none. */
export function bindOperations(reads: ReadHandlers, writes: WriteHandlers): readonly (BoundOperation | undefined)[] {
  const bound: (BoundOperation | undefined)[] = [];
  for (const name of Object.keys(metaOperations) as MetaOperationName[]) {
    const operation = metaOperations[name] as Operation<unknown, unknown>;
    const read = (reads[name] ?? null) as BoundOperation['read'];
    const write = (writes[name] ?? null) as BoundOperation['write'];
    if (read === null && write === null) continue;
    const { request, answer } = operation;
    bound[operation.code] = { name, request, answer, read, write };
  }
  return bound;
}
