// Who has to agree. A configuration is one majority, or two while membership changes (joint consensus: both must
// agree). Decides only on what it is given; owns no state of a group.

import assert from 'node:assert';
import { limits } from '../../../proto/limits.js';

export interface Configuration {
  readonly voters: readonly number[];
  /** The voters before the change that is under way; empty when there is none. */
  readonly outgoing: readonly number[];
}

export type VoteResult = 'won' | 'lost' | 'pending';

export function single(voter: number): Configuration {
  return { voters: [voter], outgoing: [] };
}

export function assertConfiguration(configuration: Configuration): void {
  assert(configuration.voters.length > 0 && configuration.voters.length <= limits.raftVoters);
  assert(configuration.outgoing.length <= limits.raftVoters);
  for (const half of [configuration.voters, configuration.outgoing]) assert(new Set(half).size === half.length);
}

export function isVoter(configuration: Configuration, id: number): boolean {
  return configuration.voters.includes(id) || configuration.outgoing.includes(id);
}

/** All voters, each once. */
export function members(configuration: Configuration): number[] {
  return [...new Set([...configuration.voters, ...configuration.outgoing])];
}

/** The highest index that a quorum has, where `matchOf` tells how far each voter is. */
export function committedIndex(configuration: Configuration, matchOf: (id: number) => number): number {
  const incoming = majorityIndex(configuration.voters, matchOf);
  return configuration.outgoing.length === 0
    ? incoming
    : Math.min(incoming, majorityIndex(configuration.outgoing, matchOf));
}

/** What the votes cast so far (true: granted) amount to. */
export function voteResult(configuration: Configuration, votes: ReadonlyMap<number, boolean>): VoteResult {
  const incoming = majorityResult(configuration.voters, votes);
  if (configuration.outgoing.length === 0) return incoming;
  const outgoing = majorityResult(configuration.outgoing, votes);
  if (incoming === outgoing) return incoming;
  return incoming === 'lost' || outgoing === 'lost' ? 'lost' : 'pending';
}

function majorityIndex(voters: readonly number[], matchOf: (id: number) => number): number {
  if (voters.length === 1) return matchOf(voters[0]!);
  const matches = voters.map(matchOf).sort((left, right) => right - left);
  return matches[Math.floor(voters.length / 2)]!;
}

function majorityResult(voters: readonly number[], votes: ReadonlyMap<number, boolean>): VoteResult {
  const needed = Math.floor(voters.length / 2) + 1;
  let granted = 0;
  let open = 0;
  for (const voter of voters) {
    const vote = votes.get(voter);
    if (vote === undefined) open++;
    else if (vote) granted++;
  }
  if (granted >= needed) return 'won';
  return granted + open >= needed ? 'pending' : 'lost';
}
