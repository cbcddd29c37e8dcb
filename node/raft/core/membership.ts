// Which configuration is in force: the newest one in the log, committed or not (Ongaro 2014, 4.1), so it goes back when
// its entry is replaced. Guarantees:
//   M1  The configuration in force is that of the last CONFIGURATION entry of the log, or what the state machine had.
//   M2  Voters change only by way of a joint configuration, whose halves are the voters before and after.
//   M3  Nothing that is committed is taken back.

import assert from 'node:assert';
import { type Configuration, decodeConfiguration, type Entry, EntryKind } from '../../../proto/raft/index.js';
import type { RaftLog } from './log.js';
import { assertConfiguration, isJoint, isVoter } from './quorum.js';

export interface Change {
  readonly id: number;
  /** What the member shall be; gone: no member. */
  readonly to: 'voter' | 'learner' | 'gone';
}

interface Standing {
  readonly index: number;
  readonly term: number;
  readonly configuration: Configuration;
}

const NEVER_REPLACED = -1;

/** M2. What is to be proposed for some changes of a configuration that is not joint itself. */
export function changed(configuration: Configuration, changes: readonly Change[]): Configuration {
  assert(!isJoint(configuration));
  const voters = new Set(configuration.voters);
  const learners = new Set(configuration.learners);
  for (const { id, to } of changes) {
    voters.delete(id);
    learners.delete(id);
    if (to === 'voter') voters.add(id);
    else if (to === 'learner') learners.add(id);
  }
  const same = voters.size === configuration.voters.length && configuration.voters.every((id) => voters.has(id));
  if (same) return { ...configuration, learners: [...learners] };
  const outgoing = configuration.voters;
  return {
    voters: [...voters],
    outgoing,
    learners: [...learners].filter((id) => !outgoing.includes(id)),
    learnersNext: [...learners].filter((id) => outgoing.includes(id)),
  };
}

/** What a joint configuration ends in. */
export function left(configuration: Configuration): Configuration {
  assert(isJoint(configuration));
  const { voters, learners, learnersNext } = configuration;
  return { voters, outgoing: [], learners: [...learners, ...learnersNext], learnersNext: [] };
}

export class Membership {
  /** Oldest first; at least one. All but the first stand in the log. */
  private standing: Standing[];

  constructor(index: number, configuration: Configuration) {
    assertConfiguration(configuration);
    this.standing = [{ index, term: NEVER_REPLACED, configuration }];
  }

  get current(): Configuration {
    return this.newest.configuration;
  }

  /** The entry that the configuration in force stands in; it may be older than that. */
  get currentIndex(): number {
    return this.newest.index;
  }

  /** Whether it is certain, since what is in force is what the state machine has applied. */
  get settled(): boolean {
    return this.standing.length === 1;
  }

  /** Whether a member is a voter of the configuration in force, or of one that may come back into force. */
  mayVote(id: number): boolean {
    return this.standing.some(({ configuration }) => isVoter(configuration, id));
  }

  /** The log has these entries now, which may be configurations: M1. Returns whether another one is in force. */
  take(entries: readonly Entry[], log: RaftLog): boolean {
    const before = this.newest;
    while (this.standing.length > 1 && !this.stands(this.newest, log)) this.standing.pop();
    for (const entry of entries)
      if (entry.kind === EntryKind.CONFIGURATION && entry.index > this.currentIndex) this.push(entry);
    return this.newest !== before;
  }

  /** A snapshot takes the place of the log. */
  restore(index: number, configuration: Configuration): void {
    assert(index >= this.standing[0]!.index, 'M3');
    assertConfiguration(configuration);
    this.standing = [{ index, term: NEVER_REPLACED, configuration }];
  }

  /** Forgets what a committed configuration has followed: none of it can come back. */
  settle(committed: number): void {
    while (this.standing.length > 1 && this.standing[1]!.index <= committed) this.standing.shift();
  }

  private get newest(): Standing {
    return this.standing[this.standing.length - 1]!; // at least one
  }

  private stands({ index, term }: Standing, log: RaftLog): boolean {
    const stands = log.matches(index, term);
    assert(stands || index > log.committed, 'M3');
    return stands;
  }

  private push({ index, term, payload }: Entry): void {
    const configuration = decodeConfiguration(payload);
    assertConfiguration(configuration);
    this.standing.push({ index, term, configuration });
  }
}
