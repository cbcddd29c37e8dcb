// The snapshots of one group on their way: those that its core, as a leader, wants members to have, and the one that it
// receives. The core hears what becomes of them.

import { limits } from '../../../proto/limits.js';
import {
  EntryKind,
  encodeConfiguration,
  type Message,
  MessageKind,
  memberNode,
  type PieceAnswer,
  PieceState,
  type SnapshotPiece,
} from '../../../proto/raft/index.js';
import type { Raft } from '../core/index.js';
import type { SnapshotStore } from '../interface.js';
import { SnapshotReceive, SnapshotSend } from './snapshots.js';
import type { Transport } from './transport.js';

/** What all groups of a host share. */
export interface Surroundings {
  readonly transport: Transport;
  /** How many snapshots are being sent. */
  sending: number;
}

export class SnapshotTraffic {
  private readonly sends = new Map<number, SnapshotSend>();
  private readonly receiving: SnapshotReceive | undefined;

  constructor(
    private readonly group: number,
    private readonly raft: Raft,
    private readonly store: SnapshotStore | undefined,
    private readonly surroundings: Surroundings,
    private readonly deliver: (message: Message) => void,
  ) {
    if (store === undefined) return;
    this.receiving = new SnapshotReceive({
      store,
      answer: (to, answer) => surroundings.transport.sendPieceAnswer(memberNode(to), answer),
      onArrived: (piece) => this.arrived(piece),
    });
  }

  /** The core wants a member to have the newest snapshot. One already on its way to it goes on if it is the same. */
  send({ to, index, logTerm }: Message): void {
    const { raft, group, store, surroundings } = this;
    if (this.sends.get(to)?.index === index) return;
    this.stop(to);
    const snapshot = store?.newest;
    const fits = snapshot?.index === index && snapshot.term === logTerm;
    if (store === undefined || snapshot == null || !fits || surroundings.sending >= limits.raftSnapshotsSending) {
      this.report(to, index, 'failed');
      return;
    }
    surroundings.sending++;
    this.sends.set(
      to,
      new SnapshotSend({
        group,
        from: raft.id,
        to,
        term: raft.term,
        snapshot,
        reader: store.open(),
        send: (piece) => surroundings.transport.sendPiece(memberNode(to), piece),
        onStatus: (status) => this.report(to, index, status),
      }),
    );
  }

  receive(piece: SnapshotPiece): void {
    const { log } = this.raft;
    if (this.receiving === undefined || log.hasSnapshot) return;
    if (piece.index > log.committed) this.receiving.piece(piece);
    else this.answer(piece, PieceState.DONE);
  }

  receiveAnswer(answer: PieceAnswer): void {
    this.sends.get(answer.from)?.answer(answer);
  }

  /** After the core has changed: what nobody waits for any more keeps no other group's snapshot from being sent. */
  follow(): void {
    for (const [to, send] of this.sends) {
      const progress = this.raft.leading ? this.raft.tracker.progress.get(to) : undefined;
      if (progress?.state !== 'snapshot' || progress.snapshotIndex !== send.index) this.stop(to);
    }
  }

  tick(): void {
    for (const send of this.sends.values()) send.tick();
  }

  end(): void {
    for (const to of [...this.sends.keys()]) this.stop(to);
    this.receiving?.discard();
  }

  private stop(to: number): void {
    const send = this.sends.get(to);
    if (send === undefined) return;
    send.close();
    this.sends.delete(to);
    this.surroundings.sending--;
  }

  private report(to: number, index: number, status: number | 'done' | 'failed'): void {
    if (typeof status !== 'number') this.stop(to);
    const context = typeof status === 'number' ? status : 0;
    const reject = status === 'failed';
    const { raft } = this;
    this.deliver({ ...raft.message(MessageKind.SNAPSHOT_STATUS, raft.id, { index, reject, context }), from: to });
  }

  /** Whether the core takes it: if so, the store is told to install it when the log names it. */
  private arrived({ from, term, index, logTerm, configuration }: SnapshotPiece): boolean {
    const { raft } = this;
    const entries = [
      { index, term: logTerm, kind: EntryKind.CONFIGURATION, payload: encodeConfiguration(configuration) },
    ];
    this.deliver({ ...raft.message(MessageKind.SNAPSHOT, raft.id, { term, index, logTerm, entries }), from });
    return raft.log.hasSnapshot && raft.log.committed === index;
  }

  private answer({ group, from, to, index, logTerm, bytes }: SnapshotPiece, state: number): void {
    const answer = { group, from: to, to: from, index, logTerm, received: bytes, state };
    this.surroundings.transport.sendPieceAnswer(memberNode(from), answer);
  }
}
