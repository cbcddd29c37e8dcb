import { runSeed } from './run.js';

const t0 = performance.now();
const [from, to] = process.argv.slice(2).map(Number);
let events = 0;
let bad = 0;
for (let seed = from!; seed <= to!; seed++) {
  const t = performance.now();
  const lines: string[] = [];
  const tell = from === to ? (line: string) => lines.push(line) : undefined;
  const o = await runSeed(seed, tell === undefined ? {} : { tell });
  events += o.events;
  if (from === to) process.stdout.write(lines.join('\n') + '\n');
  if (o.broken.length > 0) {
    bad++;
    process.stdout.write(`seed ${seed} ${[...o.options.faults]} \n`);
    for (const b of o.broken.slice(0, 3))
      process.stdout.write(
        `   ${(b.atUs / 1000).toFixed(0)}ms ${b.invariant}: ${b.what
          .split('\n')
          .slice(0, from === to ? 99 : 4)
          .join('|')
          .slice(0, 400)}\n`,
      );
  }
  if (from === to || process.env.V)
    process.stdout.write(
      `${seed}: ${(performance.now() - t).toFixed(0)} ms, ${o.events} events, ${o.simulatedMs | 0} sim ms, healing ${o.healingTicks}, entries ${o.entries}, ${JSON.stringify(o.answered)} hash ${o.hash}\n`,
    );
}
const ms = performance.now() - t0;
process.stdout.write(
  `${to! - from! + 1} seeds, ${bad} broken, ${(ms / (to! - from! + 1)).toFixed(1)} ms a seed, ${(events / ms).toFixed(0)} events/ms\n`,
);
