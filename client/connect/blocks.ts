// Operations of block servers, one at a time, for commands; clients that read and write use client/blocks.

import { type BlockOperations, blockOperations } from '../../proto/block/index.js';
import { encode } from '../../proto/codec.js';
import { blockVolume } from '../../proto/ids.js';
import type { AnswerOf, Operation } from '../../proto/operation.js';
import type { Status } from '../../proto/status.js';
import type { Channel } from '../../workers/channel.js';
import { failure } from '../channel/index.js';
import type { RemoteNode } from './remote.js';

interface Answered<A> {
  readonly answer: A;
  readonly payload: Buffer;
}

/** Rejects with OfsError. */
export async function callBlocks<Q, A>(channel: Channel, operation: Operation<Q, A>, request: Q): Promise<A> {
  return (await callWithPayload(channel, operation, request)).answer;
}

/** The first `length` bytes of a block with the checksums of their pieces, unchecked. Rejects with OfsError. */
export function readBlock(
  node: RemoteNode,
  block: number,
  length: number,
): Promise<Answered<AnswerOf<BlockOperations['blockRead']>>> {
  const channel = node.blockChannels[blockVolume(block) % node.blockChannels.length]!; // a node has block threads
  return callWithPayload(channel, blockOperations.blockRead, { block, offset: 0, length });
}

function callWithPayload<Q, A>(channel: Channel, operation: Operation<Q, A>, request: Q): Promise<Answered<A>> {
  return new Promise((resolve, reject) => {
    channel.call(operation.code, 0, encode(operation.request, request), null, (status, body, payload) => {
      if (status !== 0) return reject(failure(operation.name, status as Status, body));
      try {
        resolve({ answer: operation.answer.read(body), payload: Buffer.from(payload) });
      } catch (error) {
        reject(error);
      }
    });
  });
}
