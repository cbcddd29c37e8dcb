// What a state must remember of how it was reached, and what is checked with it, after every step (Ongaro 2014, figure
// 3.2): who led each term, and what was ever committed, in which term. Only one member changes in a step.

import assert from 'node:assert';
import type { Configuration } from '../../proto/raft/index.js';
import type { Member } from './member.js';

export interface Judged {
  readonly member: Member;
  /** Entries of the log as the core has it, and of the one on disk. */
  readonly log: readonly string[];
  readonly diskLog: readonly string[];
}

interface History {
  /** By term. */
  readonly leaders: readonly number[];
  /** Entries that were ever committed by somebody, and the term of whoever did it first. */
  readonly committed: readonly string[];
  readonly terms: readonly number[];
}

/** Histories by number. */
export class Past {
  readonly empty: number;
  private readonly histories: History[] = [];
  private readonly ids = new Map<string, number>();

  constructor() {
    this.empty = this.known({ leaders: [], committed: [], terms: [] });
  }

  /** The history when the member at this place has changed. Throws AssertionError when something is violated. */
  after(past: number, members: readonly Judged[], at: number): number {
    const changed = members[at]!; // the caller's
    let history = this.histories[past]!; // the caller's
    checkMatching(members, at);
    const { raft } = changed.member;
    if (raft.leading) {
      history = ledBy(history, raft.term, raft.id);
      checkComplete(history, changed);
    }
    history = committedBy(history, members, changed);
    return history === this.histories[past] ? past : this.known(history);
  }

  private known(history: History): number {
    const { leaders, committed, terms } = history;
    const key = `${leaders.join(',')}|${committed.join(' ')}|${terms.join(',')}`;
    let id = this.ids.get(key);
    if (id === undefined) {
      id = this.histories.push(history) - 1;
      this.ids.set(key, id);
    }
    return id;
  }
}

/** Election safety. */
function ledBy(history: History, term: number, id: number): History {
  const leader = history.leaders[term] ?? 0;
  if (leader === id) return history;
  if (leader !== 0) assert.fail(`one leader a term: ${leader} and ${id} in term ${term}`);
  const leaders = history.leaders.slice();
  while (leaders.length < term) leaders.push(0);
  leaders[term] = id;
  return { ...history, leaders };
}

/** Log matching. */
function checkMatching(members: readonly Judged[], at: number): void {
  const { log } = members[at]!; // the caller's
  for (let place = 0; place < members.length; place++) {
    const other = members[place]!.log; // below the length
    if (place === at || other === log) continue;
    let same = Math.min(log.length, other.length) - 1;
    while (same >= 0 && termOf(log[same]!) !== termOf(other[same]!)) same--;
    for (let index = same; index >= 0; index--) {
      if (log[index] === other[index]) continue;
      assert.fail(`logs match: those of ${at + 1} and ${place + 1} do not up to ${same + 1}`);
    }
  }
}

function termOf(entry: string): number {
  return Number.parseInt(entry, 10);
}

/** Leader completeness: of what was committed in earlier terms. */
function checkComplete({ committed, terms }: History, { member: { raft }, log }: Judged): void {
  for (let index = 0; index < committed.length; index++) {
    if (terms[index]! >= raft.term || log[index] === committed[index]) continue;
    assert.fail(`leader completeness: ${raft.id} in term ${raft.term} lacks entry ${index + 1}`);
  }
}

/** State machine safety, and that what is committed is on the disks of a quorum. */
function committedBy(history: History, members: readonly Judged[], changed: Judged): History {
  const { raft } = changed.member;
  const commit = raft.log.committed;
  const { committed } = history;
  for (let index = Math.min(commit, committed.length) - 1; index >= 0; index--)
    if (changed.log[index] !== committed[index]) assert.fail(`one entry is committed at ${index + 1}`);
  if (commit <= committed.length) return history;
  const more = changed.log.slice(committed.length, commit);
  assert(isDurable(raft.configuration, members, changed.log[commit - 1]!, commit), `${commit} is on a quorum's disks`);
  return { ...history, committed: [...committed, ...more], terms: [...history.terms, ...more.map(() => raft.term)] };
}

function isDurable(
  { voters, outgoing }: Configuration,
  members: readonly Judged[],
  entry: string,
  index: number,
): boolean {
  const holds = (id: number): boolean => members[id - 1]!.diskLog[index - 1] === entry;
  return [voters, outgoing].every((half) => half.length === 0 || half.filter(holds).length > half.length / 2);
}
