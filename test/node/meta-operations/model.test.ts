// Random sequences of operations of all kinds against the model, and fsck after each.

import { test } from 'node:test';
import { Random, seedOf } from './random.js';
import { Run } from './run.js';

const OPERATIONS = [
  'make',
  'make',
  'make',
  'link',
  'remove',
  'rename',
  'rename',
  'truncate',
  'chmod',
  'commit',
  'commit',
  'put',
  'put',
  'delete',
  'copy',
  'upload',
  'part',
  'part',
  'part',
  'complete',
  'largeUpload',
  'foldOnce',
  'compact',
  'compact',
  'xattr',
  'settle',
] as const;

test('operations of all kinds in random order do what the model does, and fsck finds nothing', (t) => {
  const seed = seedOf((text) => t.diagnostic(text));
  const until = performance.now() + 20_000;
  for (let round = 0; round < 300 && performance.now() < until; round++) {
    const random = new Random(seed + round);
    const run = new Run(random);
    const log: string[] = [];
    try {
      for (let count = 0; count < 60; count++) {
        const operation = random.pick(OPERATIONS);
        log.push(operation);
        run[operation]();
        if (random.below(8) === 0) run.compare();
      }
      run.compare();
      run.empty();
    } catch (error) {
      t.diagnostic(`SEED=${seed + round}: ${log.join(' ')}`);
      throw error;
    }
  }
});
