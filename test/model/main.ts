// `npm run model -- --seconds N --setting NAME --timeouts 2 --crashes 1 …`: explores and prints what was explored.

import process from 'node:process';
import { parseArgs } from 'node:util';
import * as core from '../../node/raft/core/index.js';
import { explore, type Report, type SettingName, settings, bounds as usual } from './index.js';

const names = Object.keys(usual) as (keyof typeof usual)[];
const { values } = parseArgs({
  options: {
    seconds: { type: 'string', default: '60' },
    setting: { type: 'string', default: 'three' },
    states: { type: 'string', default: '10000000' },
    shortest: { type: 'boolean', default: false },
    ...Object.fromEntries(names.map((name) => [name, { type: 'string' as const }])),
  },
});
const { shortest } = values;
const options = values as unknown as Record<string, string | undefined>;

const setting = settings[options.setting as SettingName] as (typeof settings)[SettingName] | undefined;
if (setting === undefined) {
  say(`no setting '${options.setting}': give --setting ${Object.keys(settings).join(', ')}`);
  process.exit(2);
}
const bounds = { ...usual };
for (const name of names) if (options[name] !== undefined) Object.assign(bounds, { [name]: Number(options[name]) });

function say(text: string): void {
  process.stdout.write(`${text}\n`);
}

function inWords({ states, kept, transitions, depth, ms, members, messages }: Report): string {
  const rate = Math.round(transitions / ms);
  const kinds = `${members} states of members, ${messages} messages`;
  return `${states} states (${kept} that cover all), ${transitions} transitions (${rate} a ms), depth ${depth}, ${kinds}, ${(ms / 1000).toFixed(1)} s`;
}

say(`${options.setting}: ${names.map((name) => `${name} ${bounds[name]}`).join(', ')}`);
const report = explore({
  core,
  setting,
  bounds,
  ms: 1000 * Number(options.seconds),
  states: Number(options.states),
  shortest,
  progress: (sofar) => say(`… ${inWords(sofar)}`),
});
say(inWords(report));
if (report.violation !== null) say(`VIOLATED: ${report.violation.what}\n${report.violation.trace.join('\n')}`);
else say(report.exhausted ? 'exhausted: nothing is violated within these bounds' : 'not exhausted: the time is over');
process.exitCode = report.violation === null ? 0 : 1;
