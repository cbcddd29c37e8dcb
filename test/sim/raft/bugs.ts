// Bugs to plant, a line each: what it is, and what is written in place of what in the compiled code. The text to be
// replaced must be there exactly once, so a bug that no longer fits the code says so.

import type { Bug } from '../shell/simulation.js';

function bug(name: string, ...edits: readonly (readonly [file: string, from: string, to: string])[]): Bug {
  return { name, edits: edits.map(([file, from, to]) => ({ file: `${file}.js`, from, to })) };
}

const CORE = 'node/raft/core';
const DRIVER = 'node/raft/driver';
const LEASE = 'node/raft/lease';
const WAL = 'node/raft/wal';
const META = 'node/meta';
const SIM = 'test/sim/raft';

const elections: readonly Bug[] = [
  bug('a vote leaves before it is on disk', [
    `${CORE}/follower`,
    'raft.sendStored(raft.message(MessageKind.VOTE_ANSWER, message.from, { reject: !granted }))',
    '(granted && message.from !== raft.id ? raft.send : raft.sendStored).call(raft, raft.message(MessageKind.VOTE_ANSWER, message.from, { reject: !granted }))',
  ]),
  bug("a candidate's own vote counts before it is on disk", [
    `${CORE}/candidate`,
    'raft.sendStored(raft.message(MessageKind.VOTE_ANSWER, raft.id))',
    'count(raft, raft.id, true)',
  ]),
  bug('a member votes twice in a term', [
    `${CORE}/follower`,
    'raft.vote === NOBODY && raft.leader === NOBODY',
    'raft.leader === NOBODY',
  ]),
  bug('half of the voters elect', [
    `${CORE}/quorum`,
    'const needed = Math.floor(voters.length / 2) + 1',
    'const needed = Math.floor((voters.length + 1) / 2)',
  ]),
  bug('a vote for a log that lacks entries', [
    `${CORE}/log`,
    'return lastTerm > this.lastTerm || (lastTerm === this.lastTerm && lastIndex >= this.lastIndex)',
    'return lastTerm >= this.lastTerm',
  ]),
  bug('a member that restarted votes at once', [
    `${CORE}/raft`,
    'this.silentTicks = this.alone && this.membership.settled ? 0 : this.electionTicks;',
    'this.silentTicks = 0;',
  ]),
  bug('a member that is alone by an uncommitted configuration leads at once', [
    `${CORE}/raft`,
    'this.silentTicks = this.alone && this.membership.settled ? 0 : this.electionTicks;',
    'this.silentTicks = this.alone ? 0 : this.electionTicks;',
  ]),
  bug('a member that heard from a leader votes for another', [
    `${CORE}/steps`,
    'if (asksForVote(message) && raft.supportsLeader && !askedByLeader(raft, message))',
    'if (false)',
  ]),
  bug(
    'a late word to stand for election is heeded',
    [`${CORE}/transfer`, 'message.term === raft.term + 1 && message.context > raft.round', 'message.context > 0'],
    [`${CORE}/transfer`, 'raft.silent || message.context <= raft.round', 'raft.silent'],
  ),
  bug('the old majority is ignored while membership changes', [
    `${CORE}/quorum`,
    'return isJoint(configuration) ? Math.min(incoming, majorityReached(configuration.outgoing, reachedBy)) : incoming',
    'return incoming',
  ]),
  bug('votes of the old majority are ignored while membership changes', [
    `${CORE}/quorum`,
    'if (!isJoint(configuration))',
    'if (true)',
  ]),
  bug('a learner counts', [
    `${CORE}/quorum`,
    'const incoming = majorityReached(configuration.voters, reachedBy)',
    'const incoming = majorityReached([...configuration.voters, ...configuration.learners], reachedBy)',
  ]),
];

const logs: readonly Bug[] = [
  bug(
    'entries of an earlier term are committed by counting',
    [`${CORE}/leader`, 'index < raft.termStart || index <= raft.log.committed', 'index <= raft.log.committed'],
    [`${CORE}/leader`, "assert(raft.log.term(index) === raft.term, 'R4');", ''],
  ),
  bug('an entry counts at its leader before it is on disk', [
    `${CORE}/steps`,
    'raft.progressOf(raft.id).update(raft.log.stable)',
    'raft.progressOf(raft.id).update(raft.log.lastIndex)',
  ]),
  bug('an acknowledgement leaves before its entries are on disk', [
    `${CORE}/follower`,
    'raft.sendStored(raft.message(MessageKind.APPEND_ANSWER, message.from, { index: last }))',
    'raft.send(raft.message(MessageKind.APPEND_ANSWER, message.from, { index: last }))',
  ]),
  bug('an append cuts off entries that match', [
    `${CORE}/log`,
    'if (this.matches(entry.index, entry.term))',
    'if (this.matches(entry.index, entry.term) && entry.index <= this.committed)',
  ]),
  bug('an append is taken behind an entry of another term', [
    `${CORE}/follower`,
    'if (!log.matches(message.index, message.logTerm))',
    'if (message.index > log.lastIndex)',
  ]),
  bug('a follower commits what it was not sent', [
    `${CORE}/heartbeat`,
    'Math.min(progress.match, announced(raft))',
    'announced(raft)',
  ]),
  bug(
    'what is committed is applied before it is on the own disk',
    [
      `${CORE}/log`,
      'return this.applying < Math.min(this.committed, this.stable);',
      'return this.applying < this.committed;',
    ],
    [`${CORE}/log`, 'const to = Math.min(this.committed, this.stable);', 'const to = this.committed;'],
  ),
  bug('a leader tells a commit index that it has not applied', [
    `${CORE}/heartbeat`,
    'return raft.log.applied;',
    'return raft.log.committed;',
  ]),
  bug('a configuration stays when its entry is replaced', [
    `${CORE}/membership`,
    'while (this.standing.length > 1 && !this.stands(this.newest, log))',
    'while (false)',
  ]),
  bug('a snapshot comes without its configuration', [
    `${CORE}/snapshots`,
    'configuration: decodeConfiguration(configuration.payload)',
    'configuration: raft.configuration',
  ]),
  bug('what was lost on its way is never sent again', [`${CORE}/leader`, 'progress.probing = false;', '']),
  bug(
    'more is sent ahead than the window holds',
    [
      `${CORE}/tracker`,
      "return this.state === 'snapshot' || this.inflights.full;",
      "return this.state === 'snapshot';",
    ],
    [`${CORE}/tracker`, "assert(!this.full, 'T2');", ''],
  ),
];

const reads: readonly Bug[] = [
  bug('a lease without check-quorum', [
    `${CORE}/lease`,
    'const round = raft.tracker.confirmedRound;',
    'const round = raft.round;',
  ]),
  bug("a read is answered before the leader's term has committed", [
    `${CORE}/raft`,
    'if (waiting.size === 0 || !this.established)',
    'if (waiting.size === 0 || !this.leading)',
  ]),
  bug('a read is answered without asking a quorum', [
    `${CORE}/reads`,
    'const confirmed = raft.tracker.confirmedRound;',
    'const confirmed = raft.round;',
  ]),
  bug('a lease goes on while leadership is handed over', [
    `${CORE}/handover`,
    'return this.target === 0 && round > this.round;',
    'return true;',
  ]),
  bug('a lease lasts for the whole election timeout and more', [
    `${CORE}/lease`,
    'return Math.floor(((theirsMs * 1000) / (1 + error)) * (1 - error));',
    'return Math.floor(theirsMs * 1000 * (1 + error) * 1.3);',
  ]),
  bug('a lease is counted from the newest round, answered or not', [
    `${DRIVER}/lease-keeper`,
    'if (sent !== undefined && sent.round <= round)\n            return sent.atUs + this.leaseUs;',
    'if (sent !== undefined)\n            return this.sent.at(-1).atUs + this.leaseUs;',
  ]),
  bug('a lease stays when leadership is gone', [
    `${DRIVER}/lease-keeper`,
    'if (!this.held)\n            return;\n        this.held = false;',
    'if (!this.held || this.deadlineUs > 0)\n            return;\n        this.held = false;',
  ]),
  bug(
    'a lease never ends',
    [LEASE, 'return deadlineUs === FOREVER || this.nowUs() < deadlineUs;', 'return true;'],
    [LEASE, 'this.grant(group, { term: 0, deadlineUs: 0, appliedIndex: 0 });', ''],
  ),
  bug(
    'the lease of a group of one outlives its being alone',
    [
      `${DRIVER}/lease-keeper`,
      'if (deadlineUs === 0 || (this.deadlineUs === FOREVER && deadlineUs !== FOREVER))',
      'if (deadlineUs === 0)',
    ],
    [`${DRIVER}/lease-keeper`, 'return this.deadlineUs === FOREVER ? 0 : this.deadlineUs;', 'return this.deadlineUs;'],
  ),
  bug('tickets of reads begin anew with each start', [
    `${DRIVER}/group`,
    'firstTicket: wal.starts * TICKETS_PER_START',
    'firstTicket: 0',
  ]),
  bug('a read is answered before what it may see is applied', [
    `${DRIVER}/reads`,
    'this.granted[0].index <= index',
    'this.granted[0].index <= Number.MAX_SAFE_INTEGER',
  ]),
];

const stores: readonly Bug[] = [
  bug('a term is not stored', [`${DRIVER}/group`, 'log.term = ready.hardState.term;', '']),
  bug('a torn batch is accepted', [`proto/wal`, 'if (crc !== source.readUInt32LE(at + 4))', 'if (crc < 0)']),
  bug('what later batches prove is not looked at', [
    `${WAL}/replay`,
    'if (syncedSegment > end.number || (syncedSegment === end.number && syncedOffset > endOffset)) {',
    'if (false) {',
  ]),
  bug('a segment begins without the states of its groups', [
    `${WAL}/wal`,
    'for (const log of this.groups.values()) {',
    'for (const log of []) {',
  ]),
  bug(
    'a torn tail is left where it is, and the chain of batches is not checked',
    [`${WAL}/replay`, 'await writeZeros(end.file, endOffset, Math.max(torn, later.ends.get(end) ?? 0));', ''],
    [`${WAL}/replay`, 'await writeZeros(segment.file, 0, until);', ';'],
    [`${WAL}/replay`, 'this.header.previousCrc === this.chain;', 'this.header.syncedOffset <= offset;'],
  ),
  bug('after a failed write the page cache is believed', [`${WAL}/replay`, 'await settleEnd(replayer);', '']),
  bug('a snapshot leaves the old entries in the log', [
    `${WAL}/wal`,
    'writeRecord(this.records, log.group, RecordKind.RESET, groupStateCodec, log)',
    'writeRecord(this.records, log.group, RecordKind.STATE, groupStateCodec, log)',
  ]),
  bug('segments are given up before what they hold is in a checkpoint', [
    `${WAL}/wal`,
    'highest >= log.firstIndex',
    'highest >= log.firstIndex + 20',
  ]),
];

const machines: readonly Bug[] = [
  bug('who loses leadership believes in what it proposed', [
    `${DRIVER}/group`,
    'this.machine.dropped(this.committedLeading + 1)',
    'this.machine.dropped(raft.log.lastIndex + 1)',
  ]),
  bug('a retry is run twice', [
    `${SIM}/kv-state`,
    'answered !== undefined && answered.sequence >= sequence',
    'answered !== undefined && answered.sequence > sequence',
  ]),
  bug('the answers of sessions are not in a snapshot', [
    `${SIM}/kv-state`,
    'for (const [session, sequence, result] of image.sessions)',
    'for (const [session, sequence, result] of [])',
  ]),
  bug('the applied index in a snapshot is behind its state', [
    `${SIM}/kv-state`,
    'state.index = image.index;',
    'state.index = Math.max(1, image.index - 1);',
  ]),
  bug('a snapshot counts as whole before it is', [
    `${DRIVER}/snapshots`,
    'else if (writer.received < piece.bytes)',
    'else if (false)',
  ]),
];

const metadata: readonly Bug[] = [
  bug('a retry is not looked up', [`${META}/dedupe`, 'if (row !== undefined)', 'if (false)']),
  bug('a leader without a lease reads without asking', [
    `${META}/group`,
    'if (this.options.holdsLease())',
    'if (true)',
  ]),
  bug('an answer leaves before what it saw is certain', [
    `${META}/group`,
    'const newest = this.proposals.newest ?? this.barrier();',
    'const newest = undefined;',
  ]),
  bug('a scan does not see what is proposed', [
    `${META}/transaction`,
    'if (pending.key === undefined || pending.key >= end) {',
    'if (true) {',
  ]),
  bug('a directory that is moved is not counted where it goes', [
    `${META}/operations/rename`,
    'edit.touch(parents.target).nlink++;',
    '',
  ]),
  bug('what was dropped with the leadership stays in sight', [`${META}/group`, 'this.state.dropped(proposal);', '']),
];

export const bugs: readonly Bug[] = [...elections, ...logs, ...reads, ...stores, ...machines, ...metadata];
