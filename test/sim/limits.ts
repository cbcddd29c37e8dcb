// Limits of production code, made small for a run.

import { limits } from '../../proto/limits.js';

/** The limits are constants to all but the simulation, which gives each run its own, and then their own values back. */
export async function withLimits<T>(chosen: Readonly<Record<string, number>>, work: () => Promise<T>): Promise<T> {
  const changed = limits as Record<string, number>;
  const kept = { ...limits };
  Object.assign(changed, chosen);
  try {
    return await work();
  } finally {
    Object.assign(changed, kept);
  }
}
