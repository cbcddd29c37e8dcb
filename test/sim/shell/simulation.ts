// What a simulation is to the shell that runs it: how a seed is run, what came of it, how little of a run can be asked
// for, and the bugs that prove what it can see. Whoever has this is run, shortened and tried by the same commands.

/** What was not as it must be. */
export interface Broken {
  readonly invariant: string;
  readonly what: string;
  /** Simulated. */
  readonly atUs: number;
}

/** What of a seed's choice is changed. */
export interface Narrowed {
  /** Faults that are switched off. */
  readonly without?: readonly string[];
  /** By the names of sizes, and STORM. */
  readonly numbers?: Readonly<Record<string, number>>;
}

export interface RunOptions {
  readonly narrowed?: Narrowed;
  /** Gets the history in words. */
  readonly tell?: (line: string) => void;
}

export interface Outcome {
  readonly broken: readonly Broken[];
  readonly events: number;
  readonly simulatedMs: number;
  /** Two runs with the same history have the same. */
  readonly hash: number;
  readonly faults: ReadonlySet<string>;
  /** What can be narrowed, as it was in this run. */
  readonly numbers: Readonly<Record<string, number>>;
  /** What was done, by what it is called, to be added up over runs. */
  readonly counts: Readonly<Record<string, number>>;
  /** What a run was made of and came to, for who looks at this one. */
  details(): readonly string[];
}

/** How long the storm of a run lasts in simulated time; each simulation has one. */
export const STORM = 'stormMs';

/** A number that a run may have less of. */
export interface Size {
  readonly name: string;
  /** Smaller ones to try, in this order. */
  readonly tries: readonly number[];
}

/** A text of the compiled code, there exactly once, and what is put in its place. */
export interface Edit {
  /** In the compiled tree. */
  readonly file: string;
  readonly from: string;
  readonly to: string;
}

export interface Bug {
  readonly name: string;
  readonly edits: readonly Edit[];
}

export interface Simulation {
  readonly name: string;
  readonly faultNames: readonly string[];
  readonly sizes: readonly Size[];
  /** A storm is not made shorter than this. */
  readonly leastStormMs: number;
  readonly invariantNames: readonly string[];
  readonly bugs: readonly Bug[];
  /** Never rejects: what fails in a run is broken in it. */
  runSeed(seed: number, options?: RunOptions): Promise<Outcome>;
}

/** All that there are, in one space of seeds. */
export interface House {
  readonly simulations: readonly Simulation[];
  /** Whose run a seed is. */
  simulationOf(seed: number): Simulation;
}

/** The seeds that are a simulation's own, from 1 on. */
export function* ownSeeds({ simulationOf }: House, simulation: Simulation): Generator<number, never> {
  for (let seed = 1; ; seed++) if (simulationOf(seed) === simulation) yield seed;
}
