// How the nodes of a cluster reach each other. The driver says what is to leave and hears what arrives; connections,
// their limits and their loss are the transport's.

import { type GroupMessage, memberNode, type PieceAnswer, type SnapshotPiece } from '../../../proto/raft/index.js';

/** What arrives. Each of these ends what a batch may do wrong by throwing OfsError MALFORMED: the connection is to be closed. */
export interface TransportReceiver {
  receive(node: number, batch: readonly GroupMessage[]): void;
  receivePiece(node: number, piece: SnapshotPiece): void;
  receivePieceAnswer(node: number, answer: PieceAnswer): void;
  /** What was sent to this node lately may not arrive. */
  lost(node: number): void;
}

/** Each send may be lost, but arrives whole or not at all. What was sent does not change afterwards. */
export interface Transport {
  /** Called once, before anything is sent. */
  attach(receiver: TransportReceiver): void;
  /** All that there is to say at this moment; an empty batch says that this node lives. */
  send(node: number, batch: readonly GroupMessage[]): void;
  /** Beside the batches, which must not wait for it. */
  sendPiece(node: number, piece: SnapshotPiece): void;
  sendPieceAnswer(node: number, answer: PieceAnswer): void;
}

/** Of a node that has no peers. */
export const noTransport: Transport = {
  attach: () => undefined,
  send: () => undefined,
  sendPiece: () => undefined,
  sendPieceAnswer: () => undefined,
};

/** Messages of all groups to each node, until they leave together. */
export class Outbox {
  private readonly batches = new Map<number, GroupMessage[]>();

  constructor(private readonly transport: Transport) {}

  add(group: number, message: GroupMessage['message']): void {
    const node = memberNode(message.to);
    const batch = this.batches.get(node);
    if (batch === undefined) this.batches.set(node, [{ group, message }]);
    else batch.push({ group, message });
  }

  /** Adds nothing, but lets the node hear that this one lives. */
  greet(node: number): void {
    if (!this.batches.has(node)) this.batches.set(node, []);
  }

  flush(): void {
    if (this.batches.size === 0) return;
    for (const [node, batch] of this.batches) this.transport.send(node, batch);
    this.batches.clear();
  }
}
