// What the members of a raft group say to each other, and what a member's surroundings tell its core (Campaign,
// Stored). One shape for all kinds, so that the core's paths stay monomorphic; absent numbers are 0 and cost a byte.
//
//   kind              term                  index                 logTerm            commit   other
//   CAMPAIGN          -                     -                     -                  -        local
//   STORED            core's when handed    last entry handed     its term           -        local
//   PRE_VOTE          the one aimed at      candidate's last      its term           -
//   PRE_VOTE_ANSWER   asked, or voter's     -                     -                  -        reject
//   VOTE              candidate's           candidate's last      its term           -
//   VOTE_ANSWER       voter's               -                     -                  -        reject
//   APPEND            leader's              before the entries    its term           leader's entries
//   APPEND_ANSWER     follower's            last that matches     -                  -        reject: index refused, hint
//   HEARTBEAT         leader's              -                     -                  leader's
//   HEARTBEAT_ANSWER  follower's            -                     -                  -

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
} as const;

export type MessageKind = (typeof MessageKind)[keyof typeof MessageKind];

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
  entries: list(entryCodec, limits.raftMessageEntries),
}) as Codec<Message>;
