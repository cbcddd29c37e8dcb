// What is done to the machine while the store is used, as the seed has it: kills, losses of power, clean stops, rot, a
// disk that is full and is not any more, compactions.

import type { Random } from '../random.js';
import { auditFiles } from './audit.js';
import { LOST } from './life.js';
import type { FaultName } from './options.js';
import type { Universe } from './universe.js';

export class Storm {
  private ended = false;
  private readonly random: Random;

  constructor(private readonly universe: Universe) {
    this.random = universe.random.split(7);
  }

  begin(): void {
    const { universe, random } = this;
    const { options } = universe;
    const strikes: [FaultName, number, () => void | Promise<void>][] = [
      ['kill', 1, () => this.end(false)],
      ['power', 1, () => this.end(true)],
      ['stop', 2, () => this.stop()],
      ['rot', 2, () => universe.rot('needles')],
      ['rot-index', 2, () => universe.rot('index')],
      ['full-disk', 0.5, () => this.fill()],
      ['compact', 0.3, () => this.compact()],
    ];
    for (const [fault, times, strike] of strikes) {
      if (universe.has(fault)) this.repeat(options.faultEveryMs * times * 1000, strike);
    }
    if (universe.has('full-disk') && random.chance(0.5)) this.fill();
  }

  stopStriking(): void {
    this.ended = true;
  }

  private repeat(everyUs: number, strike: () => void | Promise<void>): void {
    const { universe } = this;
    universe.after(this.random.exponential(everyUs), () => {
      if (this.ended) return;
      Promise.resolve(strike()).catch((error: unknown) => universe.crashed(error));
      this.repeat(everyUs, strike);
    });
  }

  private end(power: boolean): void {
    const { life } = this.universe;
    if (life !== undefined) this.universe.end(life, power ? 'power' : 'kill', power);
  }

  private async stop(): Promise<void> {
    const { universe } = this;
    const { life } = universe;
    if (life === undefined || !universe.up || life.closing) return;
    // Compactions wait for each other when it comes.
    if (universe.has('compact') && this.random.chance(0.3)) {
      for (let count = 0; count < 2; count++) {
        this.compact().catch((error: unknown) => universe.crashed(error));
      }
      await universe.sleep(this.random.below(1000));
      if (!life.alive || !universe.up || life.closing) return;
    }
    await universe.stop(life);
    if (life.stopped && this.random.chance(0.3)) auditFiles(universe);
  }

  /** The disk has so much room, and no more. */
  private fill(): void {
    const { fileSystem, options } = this.universe;
    const room = this.random.pick([
      Number.POSITIVE_INFINITY,
      options.capacityBytes,
      fileSystem.usedBytes,
      fileSystem.usedBytes + 4096,
    ]);
    fileSystem.capacityBytes = room;
    this.universe.tell(`the disk has room for ${room} bytes`);
  }

  private async compact(): Promise<void> {
    const { universe, random } = this;
    const { life } = universe;
    if (life === undefined || !universe.up) return;
    const thread = random.below(life.threads);
    const result = await life.request(thread, 'volumeCompact', { holePercent: random.pick([0, 0, 20, 60]) });
    if (result !== LOST) universe.world.note(5, result.value?.volumes ?? 0);
  }
}
