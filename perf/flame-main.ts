// The executable of `npm run flame`.

import { flameMain } from './flame.js';
import { UsageError } from './options.js';

try {
  await flameMain(process.argv.slice(2));
} catch (error) {
  if (!(error instanceof UsageError)) throw error;
  process.stderr.write(`${error.message}\n`);
  process.exitCode = 2;
}
