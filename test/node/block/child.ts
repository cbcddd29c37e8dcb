// A block thread's process for crash tests. It appends, deletes and compacts without end, and tells on its standard
// output, a line each, what was acknowledged: `W block length seed` and `D block`; `d block` before a deletion is asked
// for. With STOP_AT=name:n it kills itself at the n-th step of that name.

import fs from 'node:fs';
import { createArena, openBlockService } from '../../../node/block/index.js';
import { pieceChecksums } from '../../../proto/block/index.js';
import { call, patternBytes } from './support.js';

const [directory, seedText] = process.argv.slice(2) as [string, string];
const [stopStep, stopCount] = (process.env.STOP_AT ?? ':0').split(':') as [string, string];
let seed = Number(seedText);
let steps = 0;

const tell = (line: string): void => {
  fs.writeSync(1, `${line}\n`);
};

const { service } = await openBlockService({
  directory,
  thread: 0,
  threads: 1,
  arena: createArena(1024 * 1024 * 1024),
  warn: (message) => tell(`? ${message}`),
  fatal: (error) => {
    throw error;
  },
  volumeNeedles: 200,
  compactBytesPerSecond: Number.POSITIVE_INFINITY,
  step: (name) => {
    if (name === stopStep && ++steps === Number(stopCount)) process.kill(process.pid, 'SIGKILL');
  },
});

const living: number[] = [];

async function writer(): Promise<void> {
  for (;;) {
    const mine = seed++;
    const length = 1 + (mine % 7 === 0 ? (mine * 977) % 200_000 : (mine * 31) % 5000);
    const data = patternBytes(length, mine);
    const { value } = await call(
      service,
      'blockWrite',
      { session: 1, blob: 0, index: 0, checksums: pieceChecksums(data) },
      data,
    );
    tell(`W ${value.blob} ${length} ${mine}`);
    living.push(value.blob);
    // Every third block stays, unless volumes are to be dropped.
    if (mine % 3 === 0 && stopStep !== 'dropping') continue;
    const [victim] = living.splice((mine * 13) % living.length, 1);
    tell(`d ${victim}`);
    await call(service, 'blockDelete', { blobs: [{ blob: victim!, blocks: 16 }] });
    tell(`D ${victim}`);
  }
}

async function compactor(): Promise<void> {
  for (;;) {
    await call(service, 'volumeCompact', { holePercent: 30 });
    await new Promise((resolve) => setTimeout(resolve, 20));
  }
}

await Promise.all([...Array.from({ length: 8 }, writer), compactor()]);
