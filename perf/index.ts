// `npm run perf`: figures of the running system, each beside its limit in the same run. The figures are ratios to keep:
// absolute numbers belong to the machine.

import { type Figure, formatFigures, ratio } from './figures.js';
import { measureMount } from './scenarios/mount.js';
import { measureRing } from './scenarios/ring.js';
import { measureS3, QUICK_LOADS } from './scenarios/s3.js';
import { startNode } from './servers.js';

const QUICK_SECONDS = 3;
const FULL_SECONDS = 10;
const USAGE = `npm run perf -- [--quick] [--json]

  --quick  a minute: S3 put and get of 4 KiB and 1 MiB, the ring, lookups on a mount
  --json   print JSON instead of a table
`;

async function main(args: readonly string[]): Promise<void> {
  const unknown = args.filter((argument) => !['--quick', '--json'].includes(argument));
  if (unknown.length > 0) {
    process.stderr.write(`unknown: ${unknown.join(' ')}\n${USAGE}`);
    process.exitCode = 2;
    return;
  }
  const seconds = args.includes('--quick') ? QUICK_SECONDS : FULL_SECONDS;
  const figures: Figure[] = await measureRing(seconds);
  const node = await startNode();
  try {
    figures.push(...(await measureS3(node, QUICK_LOADS, seconds)));
    figures.push(...(await measureMount(node, seconds)));
  } finally {
    await node.stop();
  }
  const rows = figures.map((figure) => ({ ...figure, ratio: ratio(figure) }));
  process.stdout.write(args.includes('--json') ? `${JSON.stringify(rows, null, 2)}\n` : `${formatFigures(figures)}\n`);
}

await main(process.argv.slice(2));
