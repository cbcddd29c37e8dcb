// Who has to agree. A configuration is one majority, or two while membership changes (joint consensus: both must
// agree). Decides only on what it is given; owns no state of a group. Guarantees:
//   Q1  Any two majorities of one set of voters share a voter.
//   Q2  While membership changes nothing is decided without a majority of the voters before and one of those after.
//   Q3  Learners count for nothing.

import assert from 'node:assert';
import { limits } from '../../../proto/limits.js';
import type { Configuration } from '../../../proto/raft/index.js';

export type VoteResult = 'won' | 'lost' | 'pending';

export function single(voter: number): Configuration {
  return { voters: [voter], outgoing: [], learners: [], learnersNext: [] };
}

/** What a new member knows that is to join a group: it waits for a leader to tell it. */
export function unknown(): Configuration {
  return { voters: [], outgoing: [], learners: [], learnersNext: [] };
}

export function assertConfiguration(configuration: Configuration): void {
  const { voters, outgoing, learners, learnersNext } = configuration;
  assert(voters.length > 0 || memberIds(configuration).length === 0);
  assert(voters.length <= limits.raftVoters);
  assert(outgoing.length <= limits.raftVoters && learners.length <= limits.raftLearners);
  for (const ids of [voters, outgoing, learners, learnersNext])
    assert(new Set(ids).size === ids.length && !ids.includes(0));
  assert(!learners.some((id) => isVoter(configuration, id)), 'Q3');
  assert(learnersNext.every((id) => outgoing.includes(id) && !voters.includes(id)));
}

export function isJoint(configuration: Configuration): boolean {
  return configuration.outgoing.length > 0;
}

export function isVoter(configuration: Configuration, id: number): boolean {
  return configuration.voters.includes(id) || configuration.outgoing.includes(id);
}

/** The voters of both halves, each once. */
export function voterIds(configuration: Configuration): number[] {
  return [...new Set([...configuration.voters, ...configuration.outgoing])];
}

/** Voters and learners, each once. */
export function memberIds(configuration: Configuration): number[] {
  return [...voterIds(configuration), ...configuration.learners];
}

/** Q2. The highest number that a quorum has reached, where `reachedBy` tells how far each voter is. */
export function quorumReached(configuration: Configuration, reachedBy: (id: number) => number): number {
  const incoming = majorityReached(configuration.voters, reachedBy);
  return isJoint(configuration) ? Math.min(incoming, majorityReached(configuration.outgoing, reachedBy)) : incoming;
}

/** Q2. What the votes cast so far (true: granted) amount to. */
export function voteResult(configuration: Configuration, votes: ReadonlyMap<number, boolean>): VoteResult {
  const incoming = majorityResult(configuration.voters, votes);
  if (!isJoint(configuration)) return incoming;
  const outgoing = majorityResult(configuration.outgoing, votes);
  if (incoming === outgoing) return incoming;
  return incoming === 'lost' || outgoing === 'lost' ? 'lost' : 'pending';
}

function majorityReached(voters: readonly number[], reachedBy: (id: number) => number): number {
  if (voters.length === 1) return reachedBy(voters[0]!);
  const reached = voters.map(reachedBy).sort((left, right) => right - left);
  return reached[Math.floor(voters.length / 2)]!; // within a list that is not empty
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
