// The network between machines: each batch that is sent may be lost, doubled, late, overtaken, or find its way cut in
// one direction. What is sent to a process that ended since is lost; what one sent before it ended may still arrive.

import type { Random } from '../random.js';
import type { World } from '../world.js';

export interface NetworkFaults {
  latencyUs: number;
  loss: number;
  double: number;
  /** A batch takes up to `lateUs`. */
  late: number;
  lateUs: number;
  /** Of links between two machines: they take this many times as long. */
  slowLink: number;
  slowFactor: number;
}

export const NO_NETWORK_FAULTS: NetworkFaults = {
  latencyUs: 200,
  loss: 0,
  double: 0,
  late: 0,
  lateUs: 0,
  slowLink: 0,
  slowFactor: 1,
};

export interface Sending {
  readonly tricky: boolean;
  readonly deliver: () => void;
  readonly lost: () => void;
}

/** Batches that are on their way at once: more are lost, as a connection's queue is bounded. */
const LINK_BATCHES = 512;

export class Network {
  /** Until when a way is cut. */
  private readonly cut = new Map<number, number>();
  private readonly slow = new Set<number>();
  private readonly under = new Map<number, number>();
  /** By how much the next tricky batch on a way is late. */
  private readonly held = new Map<number, number>();

  constructor(
    private readonly world: World,
    private readonly random: Random,
    public faults: NetworkFaults,
  ) {}

  /**
   * `deliver` runs when it arrives, perhaps twice, perhaps never; `lost` when it does not and the sender comes to know.
   * `tricky`: it matters that it may come late.
   */
  send(source: number, target: number, { tricky, deliver, lost }: Sending): void {
    const { random, faults } = this;
    const link = linkOf(source, target);
    const under = this.under.get(link) ?? 0;
    if (this.isCut(link) || under >= LINK_BATCHES || random.chance(faults.loss)) {
      if (random.chance(0.3)) this.world.after(this.delayUs(link, false), lost);
      return;
    }
    const copies = random.chance(faults.double) ? 2 : 1;
    this.under.set(link, under + copies);
    for (let copy = 0; copy < copies; copy++) {
      this.world.after(this.delayUs(link, tricky), () => {
        this.under.set(link, this.under.get(link)! - 1); // counted when it left
        if (!this.isCut(link)) deliver();
      });
    }
  }

  severed(source: number, target: number): boolean {
    return this.isCut(linkOf(source, target));
  }

  /** For a while nothing gets from one to the other, also what is on its way. */
  sever(source: number, target: number, forUs: number): void {
    const link = linkOf(source, target);
    this.cut.set(link, Math.max(this.world.nowUs + forUs, this.cut.get(link) ?? 0));
  }

  /** The next batch from one to the other of which it matters that it may come late does so. */
  hold(source: number, target: number, forUs: number): void {
    this.held.set(linkOf(source, target), forUs);
  }

  mend(): void {
    this.cut.clear();
    this.held.clear();
  }

  /** Chooses anew which links are slow. */
  chooseLinks(machines: readonly number[]): void {
    this.slow.clear();
    for (const source of machines) {
      for (const target of machines) {
        if (source !== target && this.random.chance(this.faults.slowLink)) this.slow.add(linkOf(source, target));
      }
    }
  }

  private isCut(link: number): boolean {
    return (this.cut.get(link) ?? 0) > this.world.nowUs;
  }

  private delayUs(link: number, tricky: boolean): number {
    const { random, faults } = this;
    const late = random.chance(tricky ? Math.min(0.5, 20 * faults.late) : faults.late)
      ? random.below(faults.lateUs)
      : 0;
    const usual = faults.latencyUs / 2 + random.exponential(faults.latencyUs / 2);
    const held = tricky ? (this.held.get(link) ?? 0) : 0;
    if (held > 0) this.held.delete(link);
    return held + late + usual * (this.slow.has(link) ? faults.slowFactor : 1);
  }
}

function linkOf(source: number, target: number): number {
  return source * 0x1_0000 + target;
}
