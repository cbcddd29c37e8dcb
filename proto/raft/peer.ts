// What the nodes of a cluster say to each other about their groups: batches of messages, and snapshots in pieces, which
// travel beside them so that neither waits for the other.
//
//   PieceAnswer.state   MORE: `received` bytes are there, send what follows   DONE: all of it, checked   REFUSED

import type { Buffer } from 'node:buffer';
import { type Codec, list, struct, u8, u32, u53 } from '../codec.js';
import { limits } from '../limits.js';
import { type Configuration, configurationCodec } from './configuration.js';
import { type Message, messageCodec } from './message.js';

export interface GroupMessage {
  readonly group: number;
  readonly message: Message;
}

/** All that one node has to say to another at a moment. An empty one says that the node lives. */
export const peerBatchCodec: Codec<GroupMessage[]> = list(
  struct({ group: u32, message: messageCodec }),
  limits.raftBatchMessages,
) as Codec<GroupMessage[]>;

export interface SnapshotPiece {
  readonly group: number;
  readonly from: number;
  readonly to: number;
  /** The leader's. */
  readonly term: number;
  readonly index: number;
  readonly logTerm: number;
  readonly configuration: Configuration;
  /** Of the whole snapshot. */
  readonly bytes: number;
  readonly offset: number;
  readonly data: Buffer;
}

const pieceData: Codec<Buffer> = {
  shape: { kind: 'bytes', max: limits.raftSnapshotPieceBytes },
  write: (writer, value) => writer.bytes(value),
  read: (reader) => reader.bytes(limits.raftSnapshotPieceBytes),
};

export const snapshotPieceCodec: Codec<SnapshotPiece> = struct({
  group: u32,
  from: u32,
  to: u32,
  term: u53,
  index: u53,
  logTerm: u53,
  configuration: configurationCodec,
  bytes: u53,
  offset: u53,
  data: pieceData,
}) as Codec<SnapshotPiece>;

export const PieceState = { MORE: 0, DONE: 1, REFUSED: 2 } as const;

export interface PieceAnswer {
  readonly group: number;
  readonly from: number;
  readonly to: number;
  readonly index: number;
  readonly logTerm: number;
  readonly received: number;
  readonly state: number;
}

export const pieceAnswerCodec: Codec<PieceAnswer> = struct({
  group: u32,
  from: u32,
  to: u32,
  index: u53,
  logTerm: u53,
  received: u53,
  state: u8,
});
