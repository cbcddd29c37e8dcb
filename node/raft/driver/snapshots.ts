// Snapshots on their way between nodes, one piece at a time, so that a slow receiver is sent no more than it takes. Lost
// pieces and answers are sent again by ticks; a way that was broken is taken up where it ended, as long as the receiver
// has what came. What a snapshot's bytes are is the state machine's (SnapshotStore); which is due to whom is the core's.

import { limits } from '../../../proto/limits.js';
import { type PieceAnswer, PieceState, type SnapshotPiece } from '../../../proto/raft/index.js';
import type { SnapshotInfo, SnapshotReader, SnapshotStore, SnapshotWriter } from '../interface.js';

/** What becomes of a snapshot under way: pieces that arrived so far, or how it ended. */
export type OnSnapshotStatus = (status: number | 'done' | 'failed') => void;

export interface SendOptions {
  readonly group: number;
  readonly from: number;
  readonly to: number;
  readonly term: number;
  readonly snapshot: SnapshotInfo;
  readonly reader: SnapshotReader;
  readonly send: (piece: SnapshotPiece) => void;
  readonly onStatus: OnSnapshotStatus;
}

export class SnapshotSend {
  readonly to: number;
  readonly index: number;
  private offset = 0;
  private pieces = 0;
  private ticks = 0;
  private reading = false;
  private closed = false;

  constructor(private readonly options: SendOptions) {
    this.to = options.to;
    this.index = options.snapshot.index;
    this.sendPiece();
  }

  /** The receiver says what it has. Answers that are old or doubled change nothing. */
  answer(answer: PieceAnswer): void {
    const { snapshot, onStatus } = this.options;
    if (this.closed || answer.index !== snapshot.index || answer.logTerm !== snapshot.term) return;
    if (answer.state === PieceState.DONE) {
      onStatus('done');
    } else if (answer.state === PieceState.REFUSED) {
      onStatus('failed');
    } else if (answer.received !== this.offset && answer.received <= snapshot.bytes) {
      this.offset = answer.received;
      this.pieces++;
      onStatus(this.pieces);
      this.sendPiece();
    }
  }

  tick(): void {
    if (++this.ticks >= limits.raftPieceTicks) this.sendPiece();
  }

  close(): void {
    if (this.closed) return;
    this.closed = true;
    this.options.reader.close();
  }

  private sendPiece(): void {
    this.ticks = 0;
    if (this.reading) return;
    this.reading = true;
    const { reader, snapshot, send, group, from, to, term, onStatus } = this.options;
    const { offset } = this;
    const length = Math.min(limits.raftSnapshotPieceBytes, snapshot.bytes - offset);
    reader.read(offset, length, (error, data) => {
      this.reading = false;
      if (this.closed) return;
      if (error !== null) {
        onStatus('failed');
      } else if (offset === this.offset) {
        const { index, term: logTerm, configuration, bytes } = snapshot;
        send({ group, from, to, term, index, logTerm, configuration, bytes, offset, data });
      } else {
        this.sendPiece();
      }
    });
  }
}

export interface ReceiveOptions {
  readonly store: SnapshotStore;
  readonly answer: (to: number, answer: PieceAnswer) => void;
  /** All of it has arrived and was checked: the core may be told. Returns whether the core takes it. */
  readonly onArrived: (piece: SnapshotPiece) => boolean;
}

/** What a member receives: one snapshot at a time. */
export class SnapshotReceive {
  private writer: SnapshotWriter | undefined;
  private receiving: SnapshotInfo | undefined;
  private busy = false;

  constructor(private readonly options: ReceiveOptions) {}

  piece(piece: SnapshotPiece): void {
    if (this.busy) return;
    const writer = this.open(piece);
    if (piece.offset !== writer.received) {
      this.say(piece, PieceState.MORE, writer.received);
      return;
    }
    this.busy = true;
    writer.write(piece.data, (error) => {
      if (error !== null) this.refuse(piece);
      else if (writer.received < piece.bytes) this.more(piece, writer.received);
      else this.finish(piece, writer);
    });
  }

  /** What has arrived is of no use. */
  discard(): void {
    this.writer?.discard();
    this.forget();
  }

  private open(piece: SnapshotPiece): SnapshotWriter {
    const { index, logTerm: term, configuration, bytes } = piece;
    const same = this.receiving?.index === index && this.receiving.term === term && this.receiving.bytes === bytes;
    if (this.writer !== undefined && same) return this.writer;
    this.writer?.discard();
    this.receiving = { index, term, configuration, bytes };
    this.writer = this.options.store.receive(this.receiving);
    return this.writer;
  }

  private finish(piece: SnapshotPiece, writer: SnapshotWriter): void {
    writer.finish((error) => {
      if (error !== null) {
        this.refuse(piece);
        return;
      }
      this.busy = false;
      if (!this.options.onArrived(piece)) writer.discard();
      this.forget();
      this.say(piece, PieceState.DONE, piece.bytes);
    });
  }

  private more(piece: SnapshotPiece, received: number): void {
    this.busy = false;
    this.say(piece, PieceState.MORE, received);
  }

  private refuse(piece: SnapshotPiece): void {
    this.busy = false;
    this.discard();
    this.say(piece, PieceState.REFUSED, 0);
  }

  private forget(): void {
    this.writer = undefined;
    this.receiving = undefined;
  }

  private say({ group, from, to, index, logTerm }: SnapshotPiece, state: number, received: number): void {
    this.options.answer(from, { group, from: to, to: from, index, logTerm, received, state });
  }
}
