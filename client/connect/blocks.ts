// One operation of a block server, for commands; clients that read and write use client/blocks.

import { encode } from '../../proto/codec.js';
import type { Operation } from '../../proto/operation.js';
import type { Status } from '../../proto/status.js';
import type { Channel } from '../../workers/channel.js';
import { failure } from '../channel/index.js';

/** Rejects with OfsError. */
export function callBlocks<Q, A>(channel: Channel, operation: Operation<Q, A>, request: Q): Promise<A> {
  return new Promise((resolve, reject) => {
    channel.call(operation.code, 0, encode(operation.request, request), null, (status, body) => {
      if (status !== 0) return reject(failure(operation.name, status as Status, body));
      try {
        resolve(operation.answer.read(body));
      } catch (error) {
        reject(error);
      }
    });
  });
}
