// Notices to the kernel: what it caches of an inode, or under a name, is no longer so. The kernel blocks the write of a
// notice until requests pending on the inode are answered, so a thread of its own writes them, and nobody waits for it:
// a thread that answers requests would wait for itself. The thread starts with the first notice.

import { Worker } from 'node:worker_threads';
import type { ByteString } from '../../proto/codec.js';
import { answerHeader, invalEntryOut, invalInodeOut, NotifyCode } from '../../proto/fuse/index.js';
import { limits } from '../../proto/limits.js';
import { createDoorbell, createRing, Doorbell, RingProducer } from '../../workers/ring/index.js';
import type { Log } from './context.js';
import type { NodeTable } from './nodes.js';

export interface NotifierThreadData {
  readonly descriptor: number;
  readonly ring: SharedArrayBuffer;
  readonly bell: SharedArrayBuffer;
}

const RETRY_MS = 10;

export class Notifier {
  private producer: RingProducer | null = null;
  private left: Promise<void> = Promise.resolve();
  private closed = false;
  /** Notices for which the ring had no room, by what they say, so that one is not kept twice. */
  private readonly waiting = new Map<string, Buffer>();
  private timer: NodeJS.Timeout | null = null;
  private dropped = 0;

  constructor(
    private readonly descriptor: number,
    private readonly nodes: NodeTable,
    private readonly log: Log,
  ) {}

  /** Attributes and all pages of an inode are not to be believed. */
  invalidate(inode: number): void {
    if (this.nodes.find(inode) === undefined) return;
    const notice = createNotice(NotifyCode.INVAL_INODE, invalInodeOut.bytes);
    // Length 0: to the end of the file.
    invalInodeOut.write(notice, answerHeader.bytes, { node: this.nodes.nodeOf(inode), offset: 0, length: 0 });
    this.post(`${inode}`, notice);
  }

  /** What stands under a name is not to be believed, nor that nothing does. */
  invalidateEntry(parent: number, name: ByteString): void {
    if (this.nodes.find(parent) === undefined) return;
    this.nodes.change(parent);
    const notice = createNotice(NotifyCode.INVAL_ENTRY, invalEntryOut.bytes + name.length + 1);
    const node = this.nodes.nodeOf(parent);
    invalEntryOut.write(notice, answerHeader.bytes, { parent: node, nameLength: name.length, flags: 0 });
    notice.latin1Write(name, answerHeader.bytes + invalEntryOut.bytes);
    this.post(`${parent}/${name}`, notice);
  }

  /** No more notices. Resolves when the thread has ended; what it has not written by then is of no use any more. */
  async close(): Promise<void> {
    this.closed = true;
    this.waiting.clear();
    if (this.timer !== null) clearTimeout(this.timer);
    this.producer?.close();
    await this.left;
  }

  private post(key: string, notice: Buffer): void {
    if (this.closed) return;
    if (this.waiting.size === 0 && this.send(notice)) return;
    if (this.waiting.size >= limits.fuseNotices) {
      if (this.dropped++ === 0) this.log('more changes than the kernel takes notices of; caches live out their time');
      return;
    }
    this.waiting.set(key, notice);
    this.timer ??= setTimeout(this.retry, RETRY_MS);
  }

  private readonly retry = (): void => {
    this.timer = null;
    for (const [key, notice] of this.waiting) {
      if (!this.send(notice)) {
        this.timer = setTimeout(this.retry, RETRY_MS);
        return;
      }
      this.waiting.delete(key);
    }
    this.dropped = 0;
  };

  private send(notice: Buffer): boolean {
    this.producer ??= this.start();
    const at = this.producer.reserve(notice.length);
    if (at < 0) return false;
    notice.copy(this.producer.bytes, at);
    this.producer.commit(notice.length);
    this.producer.publish();
    return true;
  }

  private start(): RingProducer {
    const data: NotifierThreadData = {
      descriptor: this.descriptor,
      ring: createRing(limits.ringBytes),
      bell: createDoorbell(),
    };
    const worker = new Worker(new URL('./notifier-thread.js', import.meta.url), { workerData: data });
    worker.on('error', (error: unknown) => this.log(`notices to the kernel have ended: ${error}`));
    this.left = new Promise((resolve) => {
      worker.on('exit', () => {
        this.closed = true;
        resolve();
      });
    });
    return new RingProducer(data.ring, new Doorbell(data.bell));
  }
}

function createNotice(code: number, bodyBytes: number): Buffer {
  const notice = Buffer.alloc(answerHeader.bytes + bodyBytes);
  answerHeader.write(notice, 0, { length: notice.length, error: code, unique: 0 });
  return notice;
}
