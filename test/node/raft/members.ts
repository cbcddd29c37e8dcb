// Hosts of a cluster in one process, over disks in memory and a transport that delivers in a later turn: a group of
// several members with the driver as it is, in real time but with short ticks.

import assert from 'node:assert';
import type { GroupHandle } from '../../../node/raft/driver/index.js';
import {
  type CommittedEntry,
  createLeases,
  LeaseReader,
  openRaftHost,
  type SnapshotInfo,
  type SnapshotReader,
  type SnapshotStore,
  type SnapshotWriter,
  type StateMachine,
  type Timing,
  type Transport,
  type TransportReceiver,
} from '../../../node/raft/index.js';
import { decode, encode } from '../../../proto/codec.js';
import { type Configuration, peerBatchCodec, pieceAnswerCodec, snapshotPieceCodec } from '../../../proto/raft/index.js';
import { unexpected } from './machine.js';
import { MemoryStorage } from './memory-storage.js';

export const GROUP = 1;
export const NOBODY: Configuration = { voters: [], outgoing: [], learners: [], learnersNext: [] };

const timing: Timing = {
  tickMs: 10,
  electionTicks: 10,
  heartbeatTicks: 1,
  quiesceTicks: 0,
  tickEarlyMs: 1,
  clockErrorPpm: 1000,
};

interface Image {
  readonly index: number;
  readonly term: number;
  readonly configuration: Configuration;
  readonly payloads: readonly string[];
}

/** Keeps what was applied, and its checkpoints in memory. */
export class MemberMachine implements StateMachine, SnapshotStore {
  appliedIndex = 0;
  appliedTerm = 0;
  payloads: string[] = [];
  leading = false;
  installed = 0;
  newest: SnapshotInfo | null = null;
  readonly snapshots: SnapshotStore = this;
  private checkpoint = Buffer.alloc(0);
  private arrived = Buffer.alloc(0);

  constructor(public configuration: Configuration) {}

  committed(): void {}

  apply(entries: readonly CommittedEntry[]): void {
    for (const { index, term, payload, configuration } of entries) {
      assert.strictEqual(index, this.appliedIndex + 1);
      this.appliedIndex = index;
      this.appliedTerm = term;
      if (configuration !== undefined) this.configuration = configuration;
      if (payload.length > 0) this.payloads.push(payload.toString('latin1'));
    }
  }

  leadership(leading: boolean): void {
    this.leading = leading;
  }

  dropped(): void {}

  takeCheckpoint(): number {
    const { appliedIndex: index, appliedTerm: term, configuration, payloads } = this;
    this.checkpoint = Buffer.from(JSON.stringify({ index, term, configuration, payloads } satisfies Image));
    this.newest = { index, term, configuration, bytes: this.checkpoint.length };
    return index;
  }

  open(): SnapshotReader {
    const { checkpoint } = this;
    return {
      read: (offset, length, onRead) => {
        setImmediate(() => onRead(null, checkpoint.subarray(offset, offset + length)));
      },
      close: () => undefined,
    };
  }

  receive(): SnapshotWriter {
    const pieces: Buffer[] = [];
    const writer = {
      received: 0,
      write: (data: Buffer, onWritten: (error: null) => void) => {
        pieces.push(Buffer.from(data));
        writer.received += data.length;
        setImmediate(() => onWritten(null));
      },
      finish: (onFinished: (error: null) => void) => {
        this.arrived = Buffer.concat(pieces);
        setImmediate(() => onFinished(null));
      },
      discard: () => undefined,
    };
    return writer;
  }

  install(_snapshot: unknown, onInstalled: (error: null) => void): void {
    const image = JSON.parse(this.arrived.toString()) as Image;
    this.appliedIndex = image.index;
    this.appliedTerm = image.term;
    this.configuration = image.configuration;
    this.payloads = [...image.payloads];
    this.installed++;
    this.takeCheckpoint();
    setImmediate(() => onInstalled(null));
  }
}

export class Members {
  /** Nodes that nothing reaches and that reach nobody. */
  readonly cut = new Set<number>();
  readonly machines = new Map<number, MemberMachine>();
  readonly groups = new Map<number, GroupHandle>();
  readonly leases = new Map<number, LeaseReader>();
  private readonly receivers = new Map<number, TransportReceiver>();
  private readonly closing: (() => Promise<void>)[] = [];

  async start(node: number, configuration: Configuration): Promise<void> {
    const memory = createLeases();
    const host = await openRaftHost({
      directory: 'memory',
      storage: new MemoryStorage(),
      id: node,
      leases: memory,
      timing,
      transport: this.transport(node),
      segmentBytes: 1 << 16,
      fatal: unexpected,
      warn: unexpected,
    });
    const machine = new MemberMachine(configuration);
    this.machines.set(node, machine);
    this.groups.set(node, host.addGroup(GROUP, machine) as GroupHandle);
    this.leases.set(node, new LeaseReader(memory));
    this.closing.push(() => host.close());
  }

  machine(node: number): MemberMachine {
    return this.machines.get(node)!; // started
  }

  group(node: number): GroupHandle {
    return this.groups.get(node)!; // started
  }

  receiver(node: number): TransportReceiver {
    return this.receivers.get(node)!; // started
  }

  /** The node that leads; 0 if none does. */
  get leader(): number {
    for (const [node, { leading }] of this.machines) if (leading && !this.cut.has(node)) return node;
    return 0;
  }

  async [Symbol.asyncDispose](): Promise<void> {
    for (const close of this.closing) await close();
  }

  private transport(node: number): Transport {
    const send = (to: number, deliver: (receiver: TransportReceiver) => void): void => {
      setImmediate(() => {
        const receiver = this.receivers.get(to);
        if (receiver !== undefined && !this.cut.has(node) && !this.cut.has(to)) deliver(receiver);
      });
    };
    return {
      attach: (receiver) => this.receivers.set(node, receiver),
      send: (to, batch) => {
        const bytes = encode(peerBatchCodec, [...batch]);
        send(to, (receiver) => receiver.receive(node, decode(peerBatchCodec, bytes)));
      },
      sendPiece: (to, piece) => {
        const bytes = encode(snapshotPieceCodec, piece);
        send(to, (receiver) => receiver.receivePiece(node, decode(snapshotPieceCodec, bytes)));
      },
      sendPieceAnswer: (to, answer) => {
        const bytes = encode(pieceAnswerCodec, answer);
        send(to, (receiver) => receiver.receivePieceAnswer(node, decode(pieceAnswerCodec, bytes)));
      },
    };
  }
}
