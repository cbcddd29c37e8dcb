// The commands of transcripts. Members are named by their numbers.
//
//   members V [S [Q [H]]]    a new group of V voters, and S members that know of none; quiescent after Q ticks (0: never,
//                            limit: as production); a heartbeat every H ticks; random numbers are the highest
//   disk M T V E…            restarts M with term T, vote V and entries E (`index/term"payload"`) on its disk
//   ready M [B]              takes what M has to do, up to B bytes to store     store M    completes M's oldest write
//   tick M [N]  campaign M  propose M TEXT[*N] [IDENTITY]  read M  wake M  restart M  priority M P
//   force M V…               restarts M with the voters V, as the others are gone for good
//   change M voter|learner|gone M…         transfer M M2     checkpoint M         cut-limit M I
//   unreachable M M2         snapshot M M2 I has|failed|pieces: what M's surroundings tell it of M2's snapshot
//   pass N                   N times: all members tick, and everything runs until nothing is left to do, unseen
//   repeat N COMMAND; …      N times these commands, unseen
//   deliver [M]>M  drop [M]>M  settle  lose  cut M  heal     message FROM>TO …    status  lease M
//   lease-us T MS EARLY PPM  how long one lasts: election timeout, tick, how early that may come, error of clocks

import assert from 'node:assert';
import {
  type Change,
  changeRefusal,
  cutLimit,
  leaseRound,
  leaseUs,
  type Ready,
  Role,
  step,
  unknown,
} from '../../../node/raft/core/index.js';
import {
  type Configuration,
  decodeConfiguration,
  type Entry,
  EntryKind,
  encodeConfiguration,
  type Message,
  MessageKind,
} from '../../../proto/raft/index.js';
import { Cluster } from './cluster.js';

const kindNames = new Map<number, string>(Object.entries(MessageKind).map(([name, kind]) => [kind, name]));
const roleNames = new Map<number, string>(Object.entries(Role).map(([name, role]) => [role, name.toLowerCase()]));
const SHOWN_BYTES = 16;
const FIELDS = ['index', 'logTerm', 'commit', 'context'] as const;

function configurationText({ voters, outgoing, learners, learnersNext }: Configuration): string {
  const before = outgoing.length > 0 ? ` before ${outgoing}` : '';
  const beside = learners.length > 0 ? ` learners ${learners}` : '';
  const next = learnersNext.length > 0 ? ` learners next ${learnersNext}` : '';
  return `(${voters}${before}${beside}${next})`;
}

function entryText({ index, term, kind, payload }: Entry): string {
  const place = `${index}/${term}`;
  if (kind === EntryKind.CONFIGURATION) return `${place}${configurationText(decodeConfiguration(payload))}`;
  if (payload.length > SHOWN_BYTES) return `${place}"${payload.subarray(0, 1)}*${payload.length}"`;
  return payload.length > 0 ? `${place}"${payload}"` : place;
}

/** `x*3` is `xxx`. */
function parsePayload(text: string): string {
  const [what = '', times = '1'] = text.split('*');
  return what.repeat(Number(times));
}

export function messageText(message: Message): string {
  const words = [`${message.from}>${message.to} ${kindNames.get(message.kind)} term ${message.term}`];
  for (const field of FIELDS) if (message[field] !== 0) words.push(`${field} ${message[field]}`);
  if (message.reject) words.push(`refused, hint ${message.hintIndex}/${message.hintTerm}`);
  if (message.entries.length > 0) words.push(`entries ${message.entries.map(entryText).join(' ')}`);
  return words.join(' ');
}

function readyLines(ready: Ready): string[] {
  const lines: string[] = [];
  const { hardState, snapshot, entries, reads } = ready;
  if (hardState !== null) lines.push(`store term ${hardState.term} vote ${hardState.vote}`);
  if (snapshot !== null) {
    lines.push(`install ${snapshot.index}/${snapshot.term}${configurationText(snapshot.configuration)}`);
  }
  if (entries.length > 0) lines.push(`store ${entries.map(entryText).join(' ')}`);
  lines.push(...ready.messages.map((message) => `send ${messageText(message)}`));
  lines.push(...ready.afterStore.map((message) => `when stored ${messageText(message)}`));
  if (ready.stored !== null) lines.push(`when stored ${messageText(ready.stored)}`);
  if (ready.committed.length > 0) lines.push(`apply ${ready.committed.map(entryText).join(' ')}`);
  if (reads !== null) lines.push(`reads up to ticket ${reads.ticket} at index ${reads.index}`);
  return lines.length > 0 ? lines : ['nothing'];
}

/** Entries as `index/term`, `index/term"payload"` or, with a configuration of voters, `index/term(1,2,3)`. */
function parseEntry(text: string): Entry {
  const match = /^(\d+)\/(\d+)(?:"(\w+)")?(?:\(([\d,]+)\))?$/.exec(text);
  assert(match !== null, `an entry: ${text}`);
  const place = { index: Number(match[1]), term: Number(match[2]) };
  if (match[4] === undefined) return { ...place, kind: EntryKind.NORMAL, payload: Buffer.from(match[3] ?? '') };
  const configuration = { ...unknown(), voters: match[4].split(',').map(Number) };
  return { ...place, kind: EntryKind.CONFIGURATION, payload: encodeConfiguration(configuration) };
}

/** A message as `messageText` writes it. */
function parseMessage(words: readonly string[]): Message {
  const [from, to] = words[0]!.split('>').map(Number); // a transcript that is not so fails here
  const field = (name: string): number => (words.includes(name) ? Number(words[words.indexOf(name) + 1]) : 0);
  const kind = MessageKind[words[1] as keyof typeof MessageKind];
  assert(from !== undefined && to !== undefined && kind !== undefined, words.join(' '));
  const entries = words.includes('entries') ? words.slice(words.indexOf('entries') + 1).map(parseEntry) : [];
  const numbers = { term: field('term'), index: field('index'), logTerm: field('logTerm'), commit: field('commit') };
  const context = field('context');
  return { kind, from, to, ...numbers, context, reject: words.includes('refused'), hintIndex: 0, hintTerm: 0, entries };
}

/** What it returns, if anything, is said. */
type Command = (cluster: Cluster, id: number, words: readonly string[]) => unknown;

const commands: Readonly<Record<string, Command>> = {
  campaign: (cluster, id) => cluster.tell(id, MessageKind.CAMPAIGN),
  wake: (cluster, id) => cluster.tell(id, MessageKind.WAKE),
  transfer: (cluster, id, [, to]) => cluster.tell(id, MessageKind.TRANSFER, { about: Number(to) }),
  unreachable: (cluster, id, [, to]) => cluster.tell(id, MessageKind.UNREACHABLE, { about: Number(to) }),
  restart: (cluster, id) => cluster.member(id).restart(false),
  heal: (cluster) => cluster.cut.clear(),
  read: (cluster, id) => [`ticket ${cluster.read(id)}`],
  checkpoint: (cluster, id) => cluster.checkpoint(id),
  'lease-us': (_cluster, electionTicks, [, ...rest]) => {
    const [tickMs = 0, tickEarlyMs = 0, clockErrorPpm = 0] = rest.map(Number);
    return [`${leaseUs({ electionTicks, tickMs, tickEarlyMs, clockErrorPpm })}`];
  },
  lease: (cluster, id) => [`round ${leaseRound(cluster.member(id).raft)}`],
  store: (cluster, id) => (cluster.store(id) ? [] : ['nothing']),
  status: (cluster) => [...cluster.members.keys()].map((id) => statusText(cluster, id)),
  cut: isolate,
  change,
  propose,
  force: (cluster, id, [, ...voters]) => cluster.member(id).force({ ...unknown(), voters: voters.map(Number) }),
  'cut-limit': (cluster, id, [, index]) => [`${cutLimit(cluster.member(id).raft, Number(index))}`],
  disk: setDisk,
  snapshot: snapshotStatus,
  priority: (cluster, id, [, priority]) => {
    cluster.member(id).raft.priority = Number(priority);
    return [];
  },
  tick: (cluster, id, [, count]) => {
    for (let left = Number(count ?? 1); left > 0; left--) cluster.tick(id);
    return [];
  },
  pass: (cluster, rounds) => {
    for (let left = rounds; left > 0; left--) {
      for (const id of cluster.members.keys()) cluster.tick(id);
      cluster.settle();
    }
  },
  ready: (cluster, id, [, bytes]) => {
    const ready = cluster.ready(id, Number(bytes ?? 1000));
    return ready === undefined ? ['nothing'] : readyLines(ready);
  },
  settle: (cluster) => {
    const lines: string[] = [];
    cluster.settle((message) => lines.push(messageText(message)));
    return lines;
  },
  lose: (cluster) => {
    cluster.network = [];
    return [];
  },
  deliver: (cluster, _id, [between]) => pick(cluster, between ?? '', (at) => cluster.deliver(at)),
  drop: (cluster, _id, [between]) => pick(cluster, between ?? '', (at) => cluster.network.splice(at, 1)[0]),
  message: (cluster, _id, words) => {
    const message = parseMessage(words);
    step(cluster.member(message.to).raft, message);
    return [];
  },
};

function propose(cluster: Cluster, id: number, [, text = '', identity]: readonly string[]): string[] {
  const payload = parsePayload(text);
  const why = cluster.member(id).raft.refusal(payload.length);
  const index = cluster.propose(id, payload, Number(identity ?? 0));
  assert.strictEqual(index === 0, why !== null);
  return [why ?? `index ${index}`];
}

function change(cluster: Cluster, id: number, words: readonly string[]): string[] {
  const changes: Change[] = [];
  let to: Change['to'] = 'voter';
  for (const word of words.slice(1)) {
    if (word === 'voter' || word === 'learner' || word === 'gone') to = word;
    else changes.push({ id: Number(word), to });
  }
  const why = changeRefusal(cluster.member(id).raft, changes);
  const index = cluster.change(id, changes);
  assert(why === null || index === 0);
  return [why ?? `index ${index}`];
}

function snapshotStatus(cluster: Cluster, id: number, [, to, index, what]: readonly string[]): string[] {
  assert(what === 'has' || what === 'failed' || what === 'pieces');
  const fields = {
    about: Number(to),
    index: Number(index),
    reject: what === 'failed',
    context: what === 'pieces' ? 1 : 0,
  };
  cluster.tell(id, MessageKind.SNAPSHOT_STATUS, fields);
  return [];
}

/** Takes from the network, in order, what goes to a member (`>1`) or from one to another (`2>1`). */
function pick(cluster: Cluster, between: string, take: (at: number) => Message | undefined): string[] {
  const lines: string[] = [];
  for (let at = 0; at < cluster.network.length; ) {
    const { from, to } = cluster.network[at]!; // within its length
    if (!`${from}>${to}`.endsWith(between)) {
      at++;
      continue;
    }
    const message = take(at);
    if (message !== undefined) lines.push(messageText(message));
  }
  return lines.length > 0 ? lines : ['nothing'];
}

function isolate(cluster: Cluster, id: number): string[] {
  for (const other of cluster.members.keys()) {
    cluster.cut.add(`${id}>${other}`);
    cluster.cut.add(`${other}>${id}`);
  }
  return [];
}

/** The member's first timeout passes silently (R7). */
function setDisk(cluster: Cluster, id: number, words: readonly string[]): string[] {
  const member = cluster.member(id);
  member.disk.term = Number(words[1]);
  member.disk.vote = Number(words[2]);
  member.disk.entries = words.slice(3).map(parseEntry);
  member.restart(false);
  return [];
}

export function statusText(cluster: Cluster, id: number): string {
  const { raft, disk } = cluster.member(id);
  const log = `log to ${raft.log.lastIndex}/${raft.log.lastTerm}, on disk ${disk.lastIndex}`;
  const role = `${roleNames.get(raft.role)} term ${raft.term} vote ${raft.vote} leader ${raft.leader}`;
  const quiescent = raft.quiescent ? 'quiescent ' : '';
  const line = `${id}: ${quiescent}${role}, ${log}, committed ${raft.log.committed}, applied ${raft.log.applied}`;
  const known =
    configurationText(raft.configuration) === configurationText(cluster.configuration)
      ? [line]
      : [`${line}, members ${configurationText(raft.configuration)}`];
  if (!raft.leading) return known.join();
  const others = [...raft.tracker.progress].filter(([member]) => member !== id);
  return [...known, ...others.map(([member, to]) => `${member} ${to.state} ${to.match}/${to.next}`)].join('; ');
}

function newCluster([voters, spares, quiesce, heartbeat]: readonly string[]): Cluster {
  return new Cluster({
    voters: Number(voters),
    spares: Number(spares ?? 0),
    random: (bound) => bound - 1,
    ...(quiesce !== 'limit' && { quiesceTicks: Number(quiesce ?? 0) }),
    ...(heartbeat !== undefined && { heartbeatTicks: Number(heartbeat) }),
  });
}

export class Transcript {
  private cluster = newCluster(['1']);

  /** Runs a command and returns what it says. */
  run(line: string): string[] {
    const [verb = '', ...words] = line.split(' ');
    if (verb === 'members') {
      this.cluster = newCluster(words);
      return [];
    }
    if (verb === 'repeat') {
      const [times, ...rest] = words;
      const repeated = rest.join(' ').split('; ');
      for (let left = Number(times); left > 0; left--) for (const each of repeated) this.run(each);
      return [];
    }
    const command = commands[verb];
    assert(command !== undefined, `no such command: ${verb}`);
    const said = command(this.cluster, Number(words[0]), words);
    return Array.isArray(said) ? said : [];
  }
}
