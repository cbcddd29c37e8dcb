// npm run sim.

import { command } from './shell/command.js';
import { house } from './simulations.js';

process.exitCode = (await command(house, process.argv.slice(2))) ? 0 : 1;
