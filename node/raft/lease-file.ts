// The leases of a node (lease.ts) for other processes of its machine: a file that whoever may read the node's directory
// may read, and with it the databases. A record is written whenever it changes, before the change counts: an answer leaves
// when what it rests on is here.
//
//   head     magic, CRC32 of what follows, instance, until when it is believed (µs), time namespace
//   records  a slot of 64 bytes for each of the table: its words, instance, CRC32 of both
//
// Guarantees, beside those of the table:
// - A node that starts makes all records of the one before it void, in place, before it does anything else.
// - A record that is torn or of another instance allows nothing.
// - A file that nobody keeps any more (its directory was moved away) allows nothing after BELIEVED_US.
// A reader that has been told it may read may be slow: what it then reads is no older than what it was told of.

import assert from 'node:assert';
import { randomInt } from 'node:crypto';
import fs from 'node:fs';
import { crc32 } from 'node:zlib';
import {
  ACKNOWLEDGED,
  APPLIED,
  DEADLINE,
  FOREVER,
  firstSlot,
  GROUP,
  keyOf,
  type LeasePublisher,
  monotonicUs,
  SLOTS,
  WORD,
  WORDS,
} from './lease.js';

const MAGIC = 0x314c464f;
const SLOT_BYTES = 64;
const FILE_BYTES = (1 + SLOTS) * SLOT_BYTES;
const INSTANCE = WORDS * 4;
const RECORD_CRC = INSTANCE + 8;
const HEAD_CRC = 4;
const HEAD_INSTANCE = 8;
const HEAD_UNTIL = 16;
const HEAD_NAMESPACE = 24;
const HEAD_END = 32;
/** How long after its last sign of life a node is believed to be there, and how often it gives one. */
export const BELIEVED_US = 1_000_000;
const SIGN_MS = 250;
/** Attempts to read a record that is being written. */
const ATTEMPTS = 3;

/** Clocks of other namespaces differ. 0 where the kernel has none. */
function timeNamespace(): number {
  try {
    return fs.statSync('/proc/self/ns/time').ino;
  } catch {
    return 0;
  }
}

/** The file of a node, kept by one thread as long as the node runs. */
export class LeaseFile {
  /** Another one each time that the node starts. */
  readonly instance = randomInt(1, 2 ** 48 - 1);
  private readonly head = Buffer.alloc(HEAD_END);
  private readonly timer: NodeJS.Timeout;

  private constructor(private readonly fd: number) {
    this.head.writeUInt32LE(MAGIC, 0);
    this.head.writeDoubleLE(this.instance, HEAD_INSTANCE);
    this.head.writeDoubleLE(timeNamespace(), HEAD_NAMESPACE);
    this.giveSign();
    this.timer = setInterval(() => this.giveSign(), SIGN_MS);
    this.timer.unref();
  }

  /** Voids what a node before this one has left. Throws what the file system says. */
  static create(path: string): LeaseFile {
    const fd = fs.openSync(path, fs.constants.O_RDWR | fs.constants.O_CREAT, 0o600);
    try {
      const zeros = Buffer.alloc(FILE_BYTES);
      const written = fs.writeSync(fd, zeros, 0, FILE_BYTES, 0);
      assert(written === FILE_BYTES, `${path} takes only ${written} of ${FILE_BYTES} bytes`);
    } catch (error) {
      fs.closeSync(fd);
      throw error;
    }
    return new LeaseFile(fd);
  }

  close(): void {
    clearInterval(this.timer);
    fs.writeSync(this.fd, Buffer.alloc(HEAD_END), 0, HEAD_END, 0);
    fs.closeSync(this.fd);
  }

  private giveSign(): void {
    const { head } = this;
    head.writeDoubleLE(monotonicUs() + BELIEVED_US, HEAD_UNTIL);
    head.writeUInt32LE(crc32(head.subarray(HEAD_INSTANCE)), HEAD_CRC);
    fs.writeSync(this.fd, head, 0, HEAD_END, 0);
  }
}

/** For a thread that writes leases: each record that changes is in the file when `publish` returns. */
export class FilePublisher implements LeasePublisher {
  private readonly record = Buffer.alloc(SLOT_BYTES);
  private readonly checked = this.record.subarray(0, RECORD_CRC);
  private readonly fd: number;

  /** `path`: of a LeaseFile. */
  constructor(path: string) {
    this.fd = fs.openSync(path, 'r+');
    fs.readSync(this.fd, this.record, INSTANCE, 8, HEAD_INSTANCE);
  }

  publish(words: Int32Array, base: number): void {
    const { record } = this;
    for (let word = 0; word < WORDS; word++) record.writeInt32LE(Atomics.load(words, base + word), word * 4);
    record.writeUInt32LE(crc32(this.checked), RECORD_CRC);
    const written = fs.writeSync(this.fd, record, 0, SLOT_BYTES, (1 + base / WORDS) * SLOT_BYTES);
    assert(written === SLOT_BYTES);
  }

  close(): void {
    fs.closeSync(this.fd);
  }
}

/** For other processes. */
export class PublishedLeases {
  private readonly fd: number;
  private readonly record = Buffer.alloc(SLOT_BYTES);
  private readonly checked = this.record.subarray(0, RECORD_CRC);
  private readonly head = Buffer.alloc(HEAD_END);
  private readonly checkedHead = this.head.subarray(HEAD_INSTANCE);
  private readonly namespace = timeNamespace();
  private readonly positions = new Map<number, number>();
  private untilUs = 0;
  private current = 0;

  /** Throws what the file system says. */
  constructor(path: string) {
    this.fd = fs.openSync(path, 'r');
  }

  /** Whether the file is that of a node which says of itself that it is this start. */
  isOf(instance: number): boolean {
    this.readHead(monotonicUs());
    return this.current === instance;
  }

  /** The start of the node whose record `mayRead` has looked at last; 0 if there was none. */
  get instance(): number {
    return this.current;
  }

  /** LeaseReader.mayRead. */
  mayRead(group: number): boolean {
    const nowUs = monotonicUs();
    if (nowUs >= this.untilUs && !this.readHead(nowUs)) return false;
    if (!this.find(group)) return false;
    const { record } = this;
    if (record.readDoubleLE(INSTANCE) !== this.current) {
      this.untilUs = 0;
      return false;
    }
    const deadlineUs = word(record, DEADLINE);
    if (deadlineUs !== FOREVER && nowUs >= deadlineUs) return false;
    return word(record, ACKNOWLEDGED) <= word(record, APPLIED);
  }

  close(): void {
    fs.closeSync(this.fd);
  }

  private readHead(nowUs: number): boolean {
    const { head } = this;
    this.untilUs = 0;
    const isWhole =
      fs.readSync(this.fd, head, 0, HEAD_END, 0) === HEAD_END &&
      head.readUInt32LE(0) === MAGIC &&
      head.readUInt32LE(HEAD_CRC) === crc32(this.checkedHead);
    if (!isWhole || head.readDoubleLE(HEAD_NAMESPACE) !== this.namespace) return false;
    const instance = head.readDoubleLE(HEAD_INSTANCE);
    if (instance !== this.current) this.positions.clear();
    this.current = instance;
    this.untilUs = head.readDoubleLE(HEAD_UNTIL);
    return nowUs < this.untilUs;
  }

  /** Reads the record of a group. */
  private find(group: number): boolean {
    const key = keyOf(group);
    const known = this.positions.get(group);
    if (known !== undefined) return this.read(known) && this.record.readInt32LE(GROUP * 4) === key;
    let slot = firstSlot(group);
    for (let probes = 0; probes < SLOTS; probes++) {
      const position = (1 + slot) * SLOT_BYTES;
      if (!this.read(position)) return false;
      if (this.record.readInt32LE(GROUP * 4) === key) {
        this.positions.set(group, position);
        return true;
      }
      slot = slot + 1 === SLOTS ? 0 : slot + 1;
    }
    return false;
  }

  /** False: there is no record, or none that is whole. */
  private read(position: number): boolean {
    const { record } = this;
    for (let attempt = 0; attempt < ATTEMPTS; attempt++) {
      if (fs.readSync(this.fd, record, 0, SLOT_BYTES, position) !== SLOT_BYTES) return false;
      if (record.readInt32LE(GROUP * 4) === 0) return false;
      if (record.readUInt32LE(RECORD_CRC) === crc32(this.checked)) return true;
    }
    return false;
  }
}

function word(record: Buffer, at: number): number {
  return record.readUInt32LE(at * 4) + record.readInt32LE(at * 4 + 4) * WORD;
}
