// `npm run model -- --seconds N` explores one group after the other (`programme` of settings.ts) and prints what of each.
// `--setting NAME --timeouts 2 --crashes 1 …` explores one, within bounds that are given; `--shortest` finds a short way to
// what is wrong.
//
// Exhausted, with nothing violated, by `--seconds 600` on one of two cores that others used as well (2 elections within
// 2 terms, logs of 3 entries, 1 proposal, where it is not said otherwise):
//
//   group                                     bounds beside these             states  transitions  depth    s
//   two                                       crash, 2 late writes            39,319      194,250     45    2
//   two                                       crash, late write, 2 ticks     497,226    3,182,742     54   33
//   three                                     crash, late write; 1 election   90,206      709,681     46    3
//   three                                                                    156,865    1,338,235     48    6
//   three                                     crash; no proposal             140,494      994,659     48   18
//   three                                     3 elections; no proposal       353,120    2,768,954     64   53
//   three                                     late write                     695,870    5,051,598     65   67
//   larger: a learner becomes third voter     change, 4 entries; no proposal  12,001       82,470     49    1
//   larger                                    change, 4 entries              376,559    5,017,118     55   52
//   smaller: one of three goes                change, 4 entries; no proposal 118,747      923,297     46    5
//
// Not exhausted in what was left: smaller with a proposal (2,944,039 states, depth 56, in 361 s). Nor, by ten minutes of
// its own: three with a crash and a proposal (2,353,665 states, depth 68).

import process from 'node:process';
import { parseArgs } from 'node:util';
import * as core from '../../node/raft/core/index.js';
import { type Bounds, explore, programme, type Report, type SettingName, settings, bounds as usual } from './index.js';

const names = Object.keys(usual) as (keyof Bounds)[];
const { values } = parseArgs({
  options: {
    seconds: { type: 'string', default: '60' },
    setting: { type: 'string' },
    states: { type: 'string', default: '10000000' },
    shortest: { type: 'boolean', default: false },
    ...Object.fromEntries(names.map((name) => [name, { type: 'string' as const }])),
  },
});
const { seconds, setting, states, shortest } = values;

function say(text: string): void {
  process.stdout.write(`${text}\n`);
}

function inWords({ states, kept, transitions, depth, ms, members, messages }: Report): string {
  const rate = Math.round(transitions / ms);
  const kinds = `${members} states of members, ${messages} messages`;
  const time = `${(ms / 1000).toFixed(1)} s`;
  return `${states} states (${kept} that cover all), ${transitions} transitions (${rate} a ms), depth ${depth}, ${kinds}, ${time}`;
}

function asked(): readonly (readonly [SettingName, Partial<Bounds>])[] {
  const given = values as unknown as Record<string, string | undefined>;
  const bounds: Record<string, number> = {};
  for (const name of names) if (given[name] !== undefined) bounds[name] = Number(given[name]);
  if (setting === undefined) return programme.map(([name, more]) => [name, { ...more, ...bounds }]);
  if (setting in settings) return [[setting as SettingName, bounds]];
  say(`no setting '${setting}': give --setting ${Object.keys(settings).join(', ')}`);
  process.exit(2);
}

const deadline = performance.now() + 1000 * Number(seconds);
const groups = asked();
let exhausted = 0;
let violated = false;
for (const [name, more] of groups) {
  const bounds = { ...usual, ...more };
  say(`${name}: ${names.map((bound) => `${bound} ${bounds[bound]}`).join(', ')}`);
  const ms = deadline - performance.now();
  const progress = (sofar: Report): void => say(`  … ${inWords(sofar)}`);
  const report = explore({ core, setting: settings[name], bounds, ms, states: Number(states), shortest, progress });
  say(`  ${inWords(report)}`);
  if (report.exhausted) exhausted++;
  if (report.violation !== null) say(`  VIOLATED: ${report.violation.what}\n${report.violation.trace.join('\n')}`);
  else say(report.exhausted ? '  exhausted' : '  not exhausted: the limit of time or states is reached');
  violated ||= report.violation !== null;
}
say(`${violated ? 'violated' : 'nothing is violated'}; ${exhausted} of ${groups.length} exhausted`);
process.exitCode = violated ? 1 : 0;
