// The bounded model can see: cores with a fault are found out.

import assert from 'node:assert';
import { test } from 'node:test';
import { faults, plant } from './faults.js';
import { explore, settings } from './index.js';

const MS = 45_000;

for (const fault of faults) {
  test(`a core is found out in which ${fault.name}`, async (context) => {
    const planted = await plant(fault);
    try {
      const options = { setting: settings[fault.setting], bounds: fault.bounds, ms: MS, shortest: true };
      const { violation, states, ms } = explore({ ...options, core: planted.core });
      assert(violation !== null, `not found in ${states} states`);
      context.diagnostic(
        `${violation.what}: after ${states} states, ${Math.round(ms)} ms, in ${violation.trace.length} steps`,
      );
      assert.match(violation.what, fault.says);
    } finally {
      planted.remove();
    }
  });
}
