// Runs a seed for its totals, and says in a way that runs it again what was broken; adds up what was run.

import { linesOf } from './reports.js';
import { asArguments, shorten } from './shorten.js';
import type { House } from './simulation.js';

/** The command that people give. */
export const COMMAND = 'npm run sim --';

/** What came of a seed, as it goes from one process to another. */
export interface Ran {
  readonly simulation: string;
  readonly broken: boolean;
  /** What is to be said of it; nothing of a clean one. */
  readonly lines: readonly string[];
  readonly events: number;
  readonly simulatedMs: number;
  readonly cpuMs: number;
  readonly counts: Readonly<Record<string, number>>;
}

function cpuMs(): number {
  const { user, system } = process.cpuUsage();
  return (user + system) / 1000;
}

export async function ranSeed({ simulationOf }: House, seed: number): Promise<Ran> {
  const simulation = simulationOf(seed);
  const fromMs = cpuMs();
  const outcome = await simulation.runSeed(seed);
  const took = cpuMs() - fromMs;
  const { broken, events, simulatedMs, counts } = outcome;
  const lines: string[] = [];
  if (broken.length > 0) {
    lines.push(`seed ${seed} is broken: ${COMMAND} --seed ${seed}`, ...linesOf(broken));
    const { tries, narrowed, outcome: least } = await shorten(simulation, seed, outcome);
    lines.push(`shortened in ${tries} tries: ${COMMAND} ${asArguments(seed, narrowed)}`, ...linesOf(least.broken));
  }
  const { name } = simulation;
  return { simulation: name, broken: broken.length > 0, lines, events, simulatedMs, cpuMs: took, counts };
}

/** Of a seed that did not come to an end. */
export function failedSeed({ simulationOf }: House, seed: number, why: string): Ran {
  const lines = [`seed ${seed} is broken: ${COMMAND} --seed ${seed}`, `  ${why}`];
  const { name } = simulationOf(seed);
  return { simulation: name, broken: true, lines, events: 0, simulatedMs: 0, cpuMs: 0, counts: {} };
}

interface Part {
  seeds: number;
  simulatedMs: number;
  cpuMs: number;
  readonly counts: Record<string, number>;
}

export class Totals {
  private readonly startMs = performance.now();
  private readonly parts = new Map<string, Part>();
  private events = 0;
  broken = 0;

  add({ simulation, broken, events, simulatedMs, cpuMs, counts }: Ran): void {
    if (broken) this.broken++;
    this.events += events;
    let part = this.parts.get(simulation);
    if (part === undefined) {
      part = { seeds: 0, simulatedMs: 0, cpuMs: 0, counts: {} };
      this.parts.set(simulation, part);
    }
    part.seeds++;
    part.simulatedMs += simulatedMs;
    part.cpuMs += cpuMs;
    for (const [name, count] of Object.entries(counts)) part.counts[name] = (part.counts[name] ?? 0) + count;
  }

  /** All in one line. */
  toString(): string {
    const { broken, events } = this;
    let [seeds, cpuMs] = [0, 0];
    for (const part of this.parts.values()) {
      seeds += part.seeds;
      cpuMs += part.cpuMs;
    }
    const found = broken === 0 ? 'all clean' : `${broken} broken`;
    const ms = performance.now() - this.startMs;
    const pace = `${(ms / seeds).toFixed(1)} ms and ${(cpuMs / seeds).toFixed(1)} ms of CPU a seed`;
    const amount = `${events} events, ${Math.round(events / cpuMs)} a ms of CPU`;
    const parts = [...this.parts].sort(([left], [right]) => (left < right ? 1 : -1)).map(partLine);
    return `${seeds} seeds, ${found} (${[`${pace}, ${amount}`, ...parts].join('; ')})`;
  }
}

function partLine([name, { seeds, simulatedMs, cpuMs, counts }]: [string, Part]): string {
  const done = Object.entries(counts).map(([kind, count]) => `${count} ${kind}`);
  const pace = `${seeds} of ${(cpuMs / seeds).toFixed(1)} ms, ${Math.round(simulatedMs / 1000)} s simulated`;
  return `${name}: ${[pace, ...done].join(', ')}`;
}
