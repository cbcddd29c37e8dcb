// What the members of a raft group say to each other, and what a member's surroundings tell its core (local kinds, which
// no transport may bring: `isLocal`). One shape for all kinds, so that the core's paths stay monomorphic; absent numbers
// are 0 and cost a byte.
//
//   kind              term                  index                 logTerm            other
//   CAMPAIGN          -                     -                     -                  local: stand for election, if free to
//   STORED            core's when handed    last entry handed     its term           local
//   TRANSFER          -                     -                     -                  local: from: who shall lead
//   UNREACHABLE       -                     -                     -                  local: from: messages to it were lost
//   SNAPSHOT_STATUS   -                     the snapshot's        -                  local: from: who gets it; reject: failed;
//                                                                                    context: pieces so far, 0: it has all
//   WAKE              -                     -                     -                  local: be quiescent no more
//   PRE_VOTE          the one aimed at      candidate's last      its term
//   PRE_VOTE_ANSWER   asked, or voter's     -                     -                  reject
//   VOTE              candidate's           candidate's last      its term           context: as TIMEOUT_NOW, or 0
//   VOTE_ANSWER       voter's               -                     -                  reject
//   APPEND            leader's              before the entries    its term           commit, entries
//   APPEND_ANSWER     follower's            last that matches     -                  reject: index refused, hint
//   HEARTBEAT         leader's              -                     -                  commit, context: round
//   HEARTBEAT_ANSWER  follower's            -                     -                  context: the heartbeat's
//   QUIESCE           leader's              leader's last         its term           commit, context: round
//   SNAPSHOT          leader's              the snapshot's        its term           entries: its CONFIGURATION
//   READ              reader's              -                     -                  context: reader's ticket
//   READ_ANSWER       leader's              may be read applied   -                  context: the ticket
//   TIMEOUT_NOW       leader's              -                     -                  context: last round + 1

import { bool, type Codec, list, struct, u8, u32, u53 } from '../codec.js';
import { limits } from '../limits.js';
import { type Entry, entryCodec } from './entry.js';

export const MessageKind = {
  CAMPAIGN: 0,
  STORED: 1,
  PRE_VOTE: 2,
  PRE_VOTE_ANSWER: 3,
  VOTE: 4,
  VOTE_ANSWER: 5,
  APPEND: 6,
  APPEND_ANSWER: 7,
  HEARTBEAT: 8,
  HEARTBEAT_ANSWER: 9,
  QUIESCE: 10,
  SNAPSHOT: 11,
  READ: 12,
  READ_ANSWER: 13,
  TIMEOUT_NOW: 14,
  TRANSFER: 15,
  UNREACHABLE: 16,
  SNAPSHOT_STATUS: 17,
  WAKE: 18,
} as const;

export type MessageKind = (typeof MessageKind)[keyof typeof MessageKind];

/** Whether only a member's own surroundings may say this to it. */
export function isLocal(kind: number): boolean {
  return kind < MessageKind.PRE_VOTE || kind > MessageKind.TIMEOUT_NOW;
}

export interface Message {
  readonly kind: number;
  readonly from: number;
  readonly to: number;
  readonly term: number;
  readonly index: number;
  readonly logTerm: number;
  readonly commit: number;
  readonly reject: boolean;
  /** With a refused APPEND: the last index that may match, and the term of the follower's entry there. */
  readonly hintIndex: number;
  readonly hintTerm: number;
  /** A round of heartbeats, or what an answer belongs to. */
  readonly context: number;
  readonly entries: readonly Entry[];
}

export const messageCodec: Codec<Message> = struct({
  kind: u8,
  from: u32,
  to: u32,
  term: u53,
  index: u53,
  logTerm: u53,
  commit: u53,
  reject: bool,
  hintIndex: u53,
  hintTerm: u53,
  context: u53,
  entries: list(entryCodec, limits.raftMessageEntries),
}) as Codec<Message>;
