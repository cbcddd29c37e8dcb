// The bounded model: small groups are exhausted.

import assert from 'node:assert';
import { test } from 'node:test';
import * as core from '../../node/raft/core/index.js';
import { type Bounds, bounds, explore, type Report, type SettingName, settings } from './index.js';

/** Far more than it takes: seconds, all together. */
const MS = 50_000;

function run(name: SettingName, more: Partial<Bounds>): Report {
  return explore({ core, setting: settings[name], bounds: { ...bounds, ...more }, ms: MS });
}

const exhausted: [string, SettingName, Partial<Bounds>][] = [
  ['two members with two elections, a crash and late writes', 'two', { crashes: 1, delays: 1, proposals: 0 }],
  ['three members with an election and a crash', 'three', { timeouts: 1, terms: 1, crashes: 1 }],
  ['three members with an election and late writes', 'three', { timeouts: 1, terms: 1, delays: 1 }],
  ['a learner that becomes the third voter', 'larger', { timeouts: 1, terms: 1, proposals: 0, changes: 1 }],
  ['a voter that goes', 'smaller', { timeouts: 1, terms: 1, proposals: 0, changes: 1 }],
];

for (const [title, name, more] of exhausted) {
  test(`nothing is violated in any order of events: ${title}`, (context) => {
    const report = run(name, more);
    context.diagnostic(JSON.stringify({ ...report, ms: Math.round(report.ms) }));
    assert.strictEqual(report.violation, null, JSON.stringify(report.violation, null, 2));
    assert(report.exhausted && report.states > 100);
  });
}

test('an exploration that its limits end says so', () => {
  const options = { core, setting: settings.three, bounds };
  for (const report of [explore({ ...options, states: 50 }), explore({ ...options, ms: -1 })]) {
    assert.strictEqual(report.exhausted, false);
    assert.strictEqual(report.violation, null);
  }
});
