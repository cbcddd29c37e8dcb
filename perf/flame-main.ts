// The executable of `npm run flame`.

import { flameMain } from './flame.js';

await flameMain(process.argv.slice(2));
