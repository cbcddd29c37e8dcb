// Cores with a fault in them: the built core copied aside, with one string replaced, and the group and bounds in which
// the exploration must find it. They show that it can see.

import assert from 'node:assert';
import fs from 'node:fs';
import os from 'node:os';
import path from 'node:path';
import { fileURLToPath, pathToFileURL } from 'node:url';
import type { Core } from './member.js';
import { bounds, type SettingName } from './settings.js';
import type { Bounds } from './world.js';

export interface Fault {
  readonly name: string;
  /** In which file of the core what is replaced by what; it stands there once. */
  readonly replaced: readonly (readonly [string, string, string])[];
  readonly setting: SettingName;
  readonly bounds: Bounds;
  /** Part of what is said of it. */
  readonly says: RegExp;
}

export const faults: readonly Fault[] = [
  {
    name: 'a vote is not remembered',
    replaced: [['follower.js', 'raft.vote = message.from;', '']],
    setting: 'three',
    bounds: { ...bounds, terms: 1, timeouts: 2 },
    says: /a vote leaves when it is on the disk|one leader a term/,
  },
  {
    name: 'a vote leaves before it is stored',
    replaced: [
      [
        'follower.js',
        'raft.sendStored(raft.message(MessageKind.VOTE_ANSWER',
        'raft.send(raft.message(MessageKind.VOTE_ANSWER',
      ],
    ],
    setting: 'three',
    bounds,
    says: /a vote leaves when it is on the disk/,
  },
  {
    name: "a candidate's own vote counts before it is stored",
    replaced: [
      [
        'candidate.js',
        'raft.sendStored(raft.message(MessageKind.VOTE_ANSWER, raft.id));',
        'count(raft, raft.id, true);',
      ],
    ],
    setting: 'three',
    bounds: { ...bounds, terms: 1, proposals: 0, delays: 1, crashes: 1 },
    says: /one leader a term/,
  },
  {
    name: 'a vote goes to a log that is behind',
    replaced: [['follower.js', 'const granted = may && isUpToDate;', 'const granted = may;']],
    setting: 'three',
    bounds,
    says: /leader completeness|committed/,
  },
  {
    name: 'entries are acknowledged before they are stored',
    replaced: [
      [
        'follower.js',
        'raft.sendStored(raft.message(MessageKind.APPEND_ANSWER, message.from, { index: last }))',
        'raft.send(raft.message(MessageKind.APPEND_ANSWER, message.from, { index: last }))',
      ],
    ],
    setting: 'three',
    bounds,
    says: /acknowledged when they are on the disk/,
  },
  {
    name: "a leader's own entries count before they are stored",
    replaced: [
      [
        'leader.js',
        'const index = raft.tracker.committed;',
        'raft.progressOf(raft.id).update(raft.log.lastIndex); const index = raft.tracker.committed;',
      ],
    ],
    setting: 'two',
    bounds: { ...bounds, delays: 2 },
    says: /on a quorum's disks/,
  },
  {
    name: 'an append removes entries that match',
    replaced: [['log.js', 'if (this.matches(entry.index, entry.term))', 'if (false)']],
    setting: 'three',
    bounds,
    says: /L1|commit|acknowledged|on a quorum's disks/,
  },
  {
    name: 'an entry of an earlier term is committed by counting',
    replaced: [
      ['leader.js', 'index < raft.termStart || ', ''],
      ['leader.js', "assert(raft.log.term(index) === raft.term, 'R4');", ''],
    ],
    setting: 'divided',
    bounds: { ...bounds, terms: 4, entries: 2, proposals: 0 },
    says: /leader completeness|one entry is committed|L1/,
  },
  {
    name: 'the set of voters changes in one step',
    replaced: [
      ['membership.js', 'const outgoing = configuration.voters;', 'const outgoing = [];'],
      // Without it a change in one step would be taken for one that changes nothing.
      ['changes.js', 'if (!isJoint(next) && next', 'if (false && next'],
    ],
    setting: 'single',
    bounds: { ...bounds, proposals: 0, changes: 1 },
    says: /leader completeness|one entry is committed|logs match/,
  },
  {
    name: 'a joint configuration commits by one half',
    replaced: [['quorum.js', 'Math.min(incoming, majorityReached(configuration.outgoing, reachedBy))', 'incoming']],
    setting: 'single',
    bounds: { ...bounds, proposals: 0, changes: 1 },
    says: /on a quorum's disks|leader completeness|one entry/,
  },
  {
    name: 'a joint configuration elects by one half',
    replaced: [['quorum.js', 'if (!isJoint(configuration))\n        return incoming;', 'return incoming;']],
    setting: 'joint',
    bounds: { ...bounds, proposals: 0 },
    says: /one leader a term|leader completeness|one entry is committed/,
  },
  {
    name: 'a change begins while another is under way',
    replaced: [['changes.js', 'if (underWay || !raft.established)', 'if (!raft.established)']],
    setting: 'smaller',
    bounds: { ...bounds, timeouts: 1, proposals: 0, changes: 2 },
    says: /./,
  },
];

/** Where the compiled tree is that this file is in. */
const BUILT = path.resolve(path.dirname(fileURLToPath(import.meta.url)), '../..');

/** Loads a copy of the core with the fault in it. `remove` takes the copy away. */
export async function plant({ replaced }: Fault): Promise<{ core: Core; remove: () => void }> {
  const root = fs.mkdtempSync(path.join(os.tmpdir(), 'ofs-model-'));
  const remove = (): void => fs.rmSync(root, { recursive: true, force: true });
  try {
    for (const folder of ['proto', 'node/raft/core'])
      fs.cpSync(path.join(BUILT, folder), path.join(root, folder), { recursive: true });
    fs.writeFileSync(path.join(root, 'package.json'), '{"type":"module"}');
    fs.symlinkSync(modulesFolder(), path.join(root, 'node_modules'));
    for (const [file, from, to] of replaced) {
      const target = path.join(root, 'node/raft/core', file);
      const text = fs.readFileSync(target, 'utf8');
      assert.strictEqual(text.split(from).length, 2, `${file} has this once, or the fault is to be told anew: ${from}`);
      fs.writeFileSync(
        target,
        text.replace(from, () => to),
      );
    }
    const core = (await import(pathToFileURL(path.join(root, 'node/raft/core/index.js')).href)) as Core;
    return { core, remove };
  } catch (error) {
    remove();
    throw error;
  }
}

function modulesFolder(): string {
  for (let at = BUILT; ; at = path.dirname(at)) {
    const folder = path.join(at, 'node_modules');
    if (fs.existsSync(folder)) return fs.realpathSync(folder);
    assert(at !== path.dirname(at), 'packages are installed above the built tree');
  }
}
