// Golden transcripts: what the core does in the situations that its rules are about, told command by command. A
// transcript is commands (`> …`) and under each what it led to; with RECORD=1 in the environment it is written anew.

import assert from 'node:assert';
import fs from 'node:fs';
import path from 'node:path';
import { test } from 'node:test';
import { type Ready, Role, step } from '../../../node/raft/core/index.js';
import { type Entry, type Message, MessageKind } from '../../../proto/raft/index.js';
import { Cluster } from './cluster.js';
import { sourcePath } from './source.js';

const FOLDER = sourcePath('test/node/raft/transcripts');
const kindNames = new Map<number, string>(Object.entries(MessageKind).map(([name, kind]) => [kind, name]));
const roleNames = new Map<number, string>(Object.entries(Role).map(([name, role]) => [role, name.toLowerCase()]));

function entryText(entry: Entry): string {
  return `${entry.index}/${entry.term}${entry.payload.length > 0 ? `"${entry.payload.toString()}"` : ''}`;
}

function messageText(message: Message): string {
  const words = [`${message.from}>${message.to} ${kindNames.get(message.kind)} term ${message.term}`];
  for (const field of ['index', 'logTerm', 'commit'] as const) {
    if (message[field] !== 0) words.push(`${field} ${message[field]}`);
  }
  if (message.reject) words.push(`refused, hint ${message.hintIndex}/${message.hintTerm}`);
  if (message.entries.length > 0) words.push(`entries ${message.entries.map(entryText).join(' ')}`);
  return words.join(' ');
}

function readyLines(ready: Ready): string[] {
  const lines: string[] = [];
  if (ready.hardState !== null) lines.push(`store term ${ready.hardState.term} vote ${ready.hardState.vote}`);
  if (ready.entries.length > 0) lines.push(`store ${ready.entries.map(entryText).join(' ')}`);
  lines.push(...ready.messages.map((message) => `send ${messageText(message)}`));
  lines.push(...ready.afterStore.map((message) => `when stored ${messageText(message)}`));
  if (ready.stored !== null) lines.push(`when stored ${messageText(ready.stored)}`);
  if (ready.committed.length > 0) lines.push(`apply ${ready.committed.map(entryText).join(' ')}`);
  return lines.length > 0 ? lines : ['nothing'];
}

/** Entries as `index/term` or `index/term"payload"`. */
function parseEntry(text: string): Entry {
  const match = /^(\d+)\/(\d+)(?:"(\w+)")?$/.exec(text);
  assert(match !== null, `an entry: ${text}`);
  return { index: Number(match[1]), term: Number(match[2]), kind: 0, payload: Buffer.from(match[3] ?? '') };
}

/** A message as `messageText` writes it. */
function parseMessage(words: readonly string[]): Message {
  const [from, to] = words[0]!.split('>').map(Number); // a transcript that is not so fails here
  const field = (name: string): number => (words.includes(name) ? Number(words[words.indexOf(name) + 1]) : 0);
  const kind = MessageKind[words[1] as keyof typeof MessageKind];
  assert(from !== undefined && to !== undefined && kind !== undefined, words.join(' '));
  const entries = words.includes('entries') ? words.slice(words.indexOf('entries') + 1).map(parseEntry) : [];
  const numbers = { term: field('term'), index: field('index'), logTerm: field('logTerm'), commit: field('commit') };
  return { kind, from, to, ...numbers, reject: words.includes('refused'), hintIndex: 0, hintTerm: 0, entries };
}

class Transcript {
  private cluster = new Cluster(1, (bound) => bound - 1);

  /** Runs a command and returns what it says. */
  run(command: string): string[] {
    const [verb, ...words] = command.split(' ');
    const id = Number(words[0]);
    switch (verb) {
      case 'members':
        this.cluster = new Cluster(id, (bound) => bound - 1);
        return [];
      case 'disk':
        return this.setDisk(id, words.slice(1));
      case 'ready': {
        const ready = this.cluster.ready(id, Number(words[1] ?? 1000));
        return ready === undefined ? ['nothing'] : readyLines(ready);
      }
      case 'store':
        return this.cluster.store(id) ? [] : ['nothing'];
      case 'status':
        return [...this.cluster.members.keys()].map((member) => this.status(member));
      case 'settle': {
        const lines: string[] = [];
        this.cluster.settle((message) => lines.push(messageText(message)));
        return lines;
      }
      case 'message':
        step(this.cluster.member(Number(words[0]!.split('>')[1])).raft, parseMessage(words)); // checked in parseMessage
        return [];
      default:
        return this.act(verb ?? '', id, words);
    }
  }

  private act(verb: string, id: number, words: readonly string[]): string[] {
    const { cluster } = this;
    if (verb === 'campaign') cluster.campaign(id);
    else if (verb === 'tick') for (let count = Number(words[1] ?? 1); count > 0; count--) cluster.tick(id);
    else if (verb === 'propose') return [`index ${cluster.propose(id, words[1] ?? '')}`];
    else if (verb === 'restart') cluster.member(id).restart();
    else if (verb === 'heal') cluster.cut.clear();
    else if (verb === 'cut') this.isolate(id);
    else if (verb === 'lose') cluster.network = [];
    else if (verb === 'deliver') return this.deliver(words[0] ?? '');
    else assert.fail(`no such command: ${verb}`);
    return [];
  }

  /** Delivers, in order, what goes to a member (`>1`) or from one to another (`2>1`). */
  private deliver(between: string): string[] {
    const lines: string[] = [];
    for (let at = 0; at < this.cluster.network.length; ) {
      const message = this.cluster.network[at]!; // within its length
      if (!`${message.from}>${message.to}`.endsWith(between)) at++;
      else if (this.cluster.deliver(at) !== undefined) lines.push(messageText(message));
    }
    return lines.length > 0 ? lines : ['nothing'];
  }

  private isolate(id: number): void {
    for (const other of this.cluster.members.keys()) {
      this.cluster.cut.add(`${id}>${other}`);
      this.cluster.cut.add(`${other}>${id}`);
    }
  }

  /** Restarts a member with this on its disk: `term vote entries…`; its first timeout passes silently (R7). */
  private setDisk(id: number, words: readonly string[]): string[] {
    const member = this.cluster.member(id);
    member.disk.term = Number(words[0]);
    member.disk.vote = Number(words[1]);
    member.disk.entries = words.slice(2).map(parseEntry);
    member.restart();
    return [];
  }

  private status(id: number): string {
    const { raft, disk } = this.cluster.member(id);
    const log = `log to ${raft.log.lastIndex}/${raft.log.lastTerm}, on disk ${disk.lastIndex}`;
    const role = `${roleNames.get(raft.role)} term ${raft.term} vote ${raft.vote} leader ${raft.leader}`;
    const line = `${id}: ${role}, ${log}, committed ${raft.log.committed}, applied ${raft.log.applied}`;
    if (!raft.leading) return line;
    const others = [...raft.tracker.progress].filter(([member]) => member !== id);
    return [line, ...others.map(([member, to]) => `${member} ${to.state} ${to.match}/${to.next}`)].join('; ');
  }
}

/** The transcript with what its commands say now; comments and blank lines stay. */
function rerun(text: string): string {
  const transcript = new Transcript();
  const lines: string[] = [];
  for (const line of text.split('\n')) {
    if (line.startsWith('> ')) {
      lines.push(line, ...transcript.run(line.slice(2)).map((said) => `  ${said}`));
    } else if (!line.startsWith('  ')) {
      lines.push(line);
    }
  }
  return lines.join('\n');
}

for (const name of fs.readdirSync(FOLDER).sort()) {
  test(`the core does what transcripts/${name} tells`, () => {
    const file = path.join(FOLDER, name);
    const text = fs.readFileSync(file, 'utf8');
    const now = rerun(text);
    if (process.env.RECORD === '1') fs.writeFileSync(file, now);
    else assert.strictEqual(now, text);
  });
}
