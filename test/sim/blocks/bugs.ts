// Bugs of the block store to plant, a line each; the text to be replaced is in the compiled code exactly once.

import type { Bug } from '../bugs.js';

export const bugs: readonly Bug[] = [];
