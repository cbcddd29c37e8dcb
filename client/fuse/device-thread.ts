// A device thread: blocks in read on /dev/fuse and passes what it reads to the engine, by reference or through its ring
// (shared.ts). Answers by itself a FLUSH of a file that owes none (flush-account.ts), the question for capabilities of a
// file without attributes (plain-files.ts), what the volume's database tells of directories (database.ts), and the statfs
// that this process sends itself to make readers leave; of all else it knows nothing. Inside the device it hears nothing:
// no message, not even process.exit.

import assert from 'node:assert';
import { readSync, writeSync } from 'node:fs';
import { isMainThread, parentPort, workerData } from 'node:worker_threads';
import {
  answerHeader,
  attrOut,
  flushIn,
  getxattrIn,
  Opcode,
  requestHeader,
  statfsOut,
} from '../../proto/fuse/index.js';
import { limits } from '../../proto/limits.js';
import { Errno } from '../../proto/status.js';
import { Doorbell, RingProducer } from '../../workers/ring/index.js';
import { DatabaseAnswers } from './database.js';
import { isPlain } from './plain-files.js';
import {
  CAPABILITY,
  Control,
  type Departure,
  type DeviceThreadData,
  FIRST_SLOT,
  FlushWord,
  FREED,
  INLINE,
  MESSAGE_BYTES,
  SLOT_BYTES,
  SlotState,
} from './shared.js';

/** Offsets in the request header. */
const OPCODE_OFFSET = 4;
const UNIQUE_OFFSET = 8;
const NODE_OFFSET = 16;
/** In the header of an answer. */
const ERROR_OFFSET = 4;
const CAPABILITY_NAME = Buffer.from(`${CAPABILITY}\0`, 'latin1');
const NAME_OFFSET = requestHeader.bytes + getxattrIn.bytes;
const ASKS_CAPABILITY_BYTES = NAME_OFFSET + CAPABILITY_NAME.length;
/** The upper half of a FLUSH's handle. */
const FLUSH_WORD_OFFSET = requestHeader.bytes + flushIn.fields.fh!.offset + 4;
const WAIT_MS = 1_000;
const BODY_OFFSET = answerHeader.bytes;
const WORD = 0x1_0000_0000;

/** The node that a request is about. */
function nodeOf(request: Buffer): number {
  return request.readUInt32LE(NODE_OFFSET) + request.readUInt32LE(NODE_OFFSET + 4) * WORD;
}

class DeviceReader {
  private readonly control: Int32Array;
  private readonly slots: Int32Array;
  private readonly flushWords: Int32Array;
  private readonly plainFiles: Int32Array;
  private readonly answer = Buffer.alloc(answerHeader.bytes + Math.max(statfsOut.bytes, attrOut.bytes));
  private readonly memory: Buffer;
  private readonly buffers: Buffer[] = [];
  private readonly producer: RingProducer;
  private readonly bell: Doorbell;
  private readonly database: DatabaseAnswers | null;

  constructor(private readonly data: DeviceThreadData) {
    this.control = new Int32Array(data.control);
    this.slots = new Int32Array(data.slots);
    this.flushWords = new Int32Array(data.flushWords);
    this.plainFiles = new Int32Array(data.plainFiles);
    this.memory = Buffer.from(data.memory);
    for (let at = 0; at < this.memory.length; at += SLOT_BYTES) {
      this.buffers.push(this.memory.subarray(at, at + SLOT_BYTES));
    }
    this.bell = new Doorbell(data.ownBell);
    this.producer = new RingProducer(data.ring, new Doorbell(data.engineBell));
    this.database = DatabaseAnswers.open(data.database);
  }

  async run(): Promise<Departure> {
    while (Atomics.load(this.control, Control.GO) === 0) {
      if (this.stopping()) return { reason: 'stopped' };
      Atomics.wait(this.control, Control.GO, 0, WAIT_MS);
    }
    let slot = 0;
    for (;;) {
      const turn = this.database?.turn();
      if (turn != null) await turn;
      const buffer = this.buffers[slot]!;
      let length: number;
      try {
        length = readSync(this.data.descriptor, buffer, 0, SLOT_BYTES, null);
      } catch (error) {
        const code = (error as NodeJS.ErrnoException).code;
        // ENOENT: the request was taken back while it was read. EINTR, EAGAIN: nothing was read.
        if (code === 'ENOENT' || code === 'EINTR' || code === 'EAGAIN') continue;
        if (code === 'ENODEV' || code === 'ECONNABORTED') return { reason: 'gone' };
        return { reason: 'failed', message: String(error) };
      }
      const opcode = buffer.readUInt32LE(OPCODE_OFFSET);
      if (opcode === Opcode.STATFS && this.stopping()) {
        this.answerStatfs(buffer);
        return { reason: 'stopped' };
      }
      if (opcode === Opcode.WRITE) {
        Atomics.store(this.slots, FIRST_SLOT + slot, SlotState.ENGINE);
        this.send(slot, buffer, 0, length);
        slot = this.freeSlot();
      } else if (opcode === Opcode.FLUSH && this.owesNothing(buffer)) {
        this.reply(buffer, 0);
      } else if (opcode === Opcode.GETXATTR && this.hasNoCapability(buffer, length)) {
        this.reply(buffer, 0, Errno.ENODATA);
      } else if (opcode === Opcode.GETATTR && this.database?.directory(nodeOf(buffer), this.answer, BODY_OFFSET)) {
        this.reply(buffer, attrOut.bytes);
      } else if (opcode === Opcode.LOOKUP && this.database?.isAbsent(nodeOf(buffer), buffer, length)) {
        this.reply(buffer, 0, Errno.ENOENT);
      } else {
        this.send(INLINE, buffer, length, length);
      }
    }
  }

  async close(): Promise<void> {
    this.producer.close();
    await this.database?.close();
  }

  private stopping(): boolean {
    return Atomics.load(this.control, Control.STOP) === 1;
  }

  private send(slot: number, request: Buffer, inlineBytes: number, length: number): void {
    let at = this.producer.reserve(MESSAGE_BYTES + inlineBytes);
    while (at < 0) {
      this.bell.announce();
      this.producer.wantSpace();
      if (!this.producer.fits(MESSAGE_BYTES + inlineBytes)) this.bell.wait(WAIT_MS);
      else this.bell.withdraw();
      at = this.producer.reserve(MESSAGE_BYTES + inlineBytes);
    }
    const target = this.producer.bytes;
    target.writeUInt32LE(slot, at);
    target.writeUInt32LE(length, at + 4);
    if (inlineBytes > 0) request.copy(target, at + MESSAGE_BYTES, 0, inlineBytes);
    this.producer.commit(MESSAGE_BYTES + inlineBytes);
    this.producer.publish();
  }

  /** The first slot that the engine does not hold, so that few are ever touched; waits until there is one. */
  private freeSlot(): number {
    const count = this.buffers.length;
    for (;;) {
      const freed = Atomics.load(this.slots, FREED);
      for (let slot = 0; slot < count; slot++) {
        if (Atomics.load(this.slots, FIRST_SLOT + slot) === SlotState.FREE) return slot;
      }
      Atomics.wait(this.slots, FREED, freed, WAIT_MS);
    }
  }

  private answerStatfs(request: Buffer): void {
    this.answer.writeUInt32LE(limits.nameBytes, BODY_OFFSET + statfsOut.fields.nameLength!.offset);
    this.reply(request, statfsOut.bytes);
  }

  private owesNothing(flush: Buffer): boolean {
    const word = flush.readUInt32LE(FLUSH_WORD_OFFSET);
    return word !== 0 && Atomics.load(this.flushWords, word) === FlushWord.SETTLED;
  }

  private hasNoCapability(getxattr: Buffer, length: number): boolean {
    if (length !== ASKS_CAPABILITY_BYTES) return false;
    const low = getxattr.readInt32LE(NODE_OFFSET);
    const high = getxattr.readUInt32LE(NODE_OFFSET + 4);
    return (
      isPlain(this.plainFiles, low, high) && getxattr.compare(CAPABILITY_NAME, 0, undefined, NAME_OFFSET, length) === 0
    );
  }

  private reply(request: Buffer, bodyBytes: number, errno = 0): void {
    const { answer } = this;
    const length = answerHeader.bytes + bodyBytes;
    answer.writeUInt32LE(length, 0);
    answer.writeInt32LE(-errno, ERROR_OFFSET);
    request.copy(answer, 8, UNIQUE_OFFSET, UNIQUE_OFFSET + 8);
    try {
      writeSync(this.data.descriptor, answer, 0, length);
    } catch (error) {
      // Whoever asked has gone meanwhile (ENOENT), or the mount has: either way nobody waits for it.
      const code = (error as NodeJS.ErrnoException).code;
      assert(code === 'ENOENT' || code === 'ENODEV' || code === 'ECONNABORTED', `answer refused: ${error}`);
    }
  }
}

assert(!isMainThread && parentPort !== null, 'a device thread is started by the engine');
const reader = new DeviceReader(workerData as DeviceThreadData);
const departure = await reader.run();
await reader.close();
parentPort.postMessage(departure);
