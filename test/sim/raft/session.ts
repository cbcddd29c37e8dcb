// Somebody who uses a group: asks for one thing after another, of whichever member it believes in, and asks again,
// elsewhere, when nobody answers. It knows what it was answered, and when.

import { memberNode } from '../../../proto/raft/index.js';
import type { Node } from './node.js';
import type { Universe } from './universe.js';

/** `answer` runs what the session does with it when that has come back, unless it has asked again by then. */
export type Ask = (node: Node, answer: (then: () => void) => void) => boolean;

/** What hardly writes, and how often it reads. */
const READERS = 0.25;
const MOSTLY = 0.98;
const CLIENTS = 0x1000;

/** Where a session is, in the network. */
export function clientOf(session: number): number {
  return CLIENTS + session;
}

export abstract class Session {
  /** How much was answered. */
  readonly answered = { swap: 0, lease: 0, index: 0, file: 0 };
  idle = true;
  private node = 0;
  /** The attempt that counts. */
  private attempt = 0;
  private stopped = false;
  /** How often it asks whom it believes to lead, and not just anybody. */
  private readonly faith: number;
  /** How long it waits for an answer. */
  private readonly patienceUs: number;
  /** Of what it asks for. */
  private readonly reads: number;

  constructor(
    readonly id: number,
    readonly group: number,
    protected readonly universe: Universe,
  ) {
    const { random, options } = universe;
    this.faith = random.pick([0.2, 0.8, 0.95]);
    this.patienceUs = random.pick([200_000, 700_000]);
    this.reads = random.chance(READERS) ? MOSTLY : options.reads;
    if (this.reads === MOSTLY) universe.readers.add(id);
  }

  start(): void {
    this.rest();
  }

  /** Asks for nothing more, once what it asked for is answered. */
  stop(): void {
    this.stopped = true;
  }

  /** One more operation, now that all is healed. */
  finish(): void {
    this.stopped = true;
    this.write();
  }

  protected abstract write(): void;
  protected abstract read(): void;

  /** Asks some member until one answers. `request` returns whether the member takes it. */
  protected ask(request: Ask): void {
    this.idle = false;
    const { universe, group } = this;
    const { world, random } = universe;
    const attempt = ++this.attempt;
    const node = this.choose();
    const again = (delayUs: number): void => {
      world.after(delayUs, () => {
        if (attempt === this.attempt) this.ask(request);
      });
    };
    const answer = (then: () => void): void => {
      world.after(random.exponential(universe.options.network.latencyUs), () => {
        if (attempt !== this.attempt) return;
        this.attempt++;
        then();
      });
    };
    again(this.patienceUs);
    if (node === undefined) return;
    world.after(random.exponential(universe.options.network.latencyUs), () => {
      if (attempt === this.attempt && universe.network.severed(clientOf(this.id), node.id)) {
        this.node = 0;
        again(random.below(20_000));
        return;
      }
      const { process } = node;
      process?.happen(() => {
        if (node.process !== process || attempt !== this.attempt || request(node, answer)) return;
        this.node = memberNode(universe.leaderBy(node, group));
        again(random.below(20_000));
      });
    });
  }

  protected done(kind: keyof Session['answered']): void {
    this.idle = true;
    this.answered[kind]++;
    this.universe.world.note(2, this.id, this.answered[kind]);
    this.rest();
  }

  private rest(): void {
    const { world, random, options } = this.universe;
    world.after(random.exponential(options.thinkMs * 1000), () => {
      if (this.stopped || !this.idle) return;
      if (this.universe.onlyReads || random.chance(this.reads)) this.read();
      else this.write();
    });
  }

  private choose(): Node | undefined {
    const { random, nodes } = this.universe;
    const believed = nodes.get(this.node);
    if (believed !== undefined && !believed.lost && random.chance(this.faith)) return believed;
    const others = [...nodes.values()].filter((node) => node.running);
    return others.length === 0 ? undefined : random.pick(others);
  }
}
