// Block operations over channels: which thread of a node answers for a block, and one call as a promise. A volume's
// blocks are all served by thread `volume % threads`; new blobs go round.

import { type BlockOperations, blockOperations } from '../../proto/block/operations.js';
import { Writer } from '../../proto/codec.js';
import { blockVolume } from '../../proto/ids.js';
import { limits } from '../../proto/limits.js';
import type { AnswerOf, Operation, RequestOf } from '../../proto/operation.js';
import { OfsError, Status } from '../../proto/status.js';
import type { Channel } from '../../workers/channel.js';
import { failure } from '../channel/index.js';

type Name = keyof BlockOperations;
type Request<K extends Name> = RequestOf<BlockOperations[K]>;
type Answer<K extends Name> = AnswerOf<BlockOperations[K]>;
/** Sees the payload of an answer, which is a view valid only while it runs. */
export type OnPayload<T, A> = (answer: A, payload: Buffer) => T;

const BUSY_FIRST_MS = 2;
const BUSY_MAX_MS = 100;

export class BlockCalls {
  private readonly writer = new Writer(4096, limits.frameBodyBytes);
  private next = 0;
  private closed = false;

  constructor(private readonly channels: readonly Channel[]) {
    // Clients that start together begin at different threads.
    this.next = Math.floor(Math.random() * channels.length);
  }

  /** The channel of the thread that owns a block's volume. */
  threadOf(block: number): number {
    return blockVolume(block) % this.channels.length;
  }

  /** The thread that begins the next blob. */
  nextThread(): number {
    this.next = (this.next + 1) % this.channels.length;
    return this.next;
  }

  /**
   * One request. Where nothing was done (BUSY; CLOSED by a node that is ending) it is asked again after a pause, for
   * limits.requestTimeoutMs at most.
   */
  async call<K extends Name, T>(
    name: K,
    thread: number,
    request: Request<K>,
    payload: Buffer | null,
    onPayload: OnPayload<T, Answer<K>>,
  ): Promise<T> {
    const deadline = performance.now() + limits.requestTimeoutMs;
    for (let pauseMs = BUSY_FIRST_MS; ; pauseMs = Math.min(pauseMs * 2, BUSY_MAX_MS)) {
      try {
        return await this.callOnce(name, thread, request, payload, onPayload);
      } catch (error) {
        const again = error instanceof OfsError && (error.status === Status.BUSY || error.status === Status.CLOSED);
        if (!again || this.closed || performance.now() + pauseMs > deadline) throw error;
        await new Promise((resolve) => setTimeout(resolve, pauseMs));
      }
    }
  }

  /** All threads of a node share its disk: one is asked. */
  capacity(): Promise<{ totalBytes: number; freeBytes: number }> {
    return this.call('volumeStats', this.nextThread(), {}, null, ({ totalBytes, freeBytes }) => ({
      totalBytes,
      freeBytes,
    }));
  }

  close(): void {
    this.closed = true;
    for (const channel of this.channels) channel.close();
  }

  private callOnce<K extends Name, T>(
    name: K,
    thread: number,
    request: Request<K>,
    payload: Buffer | null,
    onPayload: OnPayload<T, Answer<K>>,
  ): Promise<T> {
    const operation = blockOperations[name] as unknown as Operation<Request<K>, Answer<K>>;
    const { writer } = this;
    writer.reset();
    operation.request.write(writer, request);
    return new Promise((resolve, reject) => {
      this.channels[thread]!.call(operation.code, 0, writer.view(), payload, (status, body, data) => {
        if (status !== Status.OK) return reject(failure(name, status as Status, body));
        try {
          resolve(onPayload(operation.answer.read(body), data));
        } catch (error) {
          reject(error);
        }
      });
    });
  }
}
