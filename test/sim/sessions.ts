// Those who use the groups: each session asks for one thing after another, of whichever member it believes in, and asks
// again, elsewhere, when nobody answers. It knows what it was answered, and when.

import { memberNode } from '../../proto/raft/index.js';
import type { Read } from './invariants/index.js';
import type { Node } from './node.js';
import type { Universe } from './universe.js';

const TIMEOUT_US = 700_000;
const LEASE_REFUSALS = 5;

export class Session {
  /** How much was answered. */
  readonly answered = { swap: 0, lease: 0, index: 0 };
  idle = true;
  private sequence = 0;
  private node = 0;
  /** The attempt that counts. */
  private attempt = 0;
  private stopped = false;
  /** How often it asks whom it believes to lead, and not just anybody. */
  private readonly faith: number;

  constructor(
    readonly id: number,
    readonly group: number,
    private readonly universe: Universe,
  ) {
    this.faith = universe.random.pick([0.2, 0.8, 0.95]);
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
    this.swap();
  }

  private rest(): void {
    const { world, random, options } = this.universe;
    world.after(random.exponential(options.thinkMs * 1000), () => {
      if (this.stopped || !this.idle) return;
      if (this.universe.onlyReads || random.chance(options.reads)) this.read(random.chance(0.5) ? 'lease' : 'index');
      else this.swap();
    });
  }

  private swap(): void {
    const { random, options, operations } = this.universe;
    this.idle = false;
    this.sequence++;
    const swap = {
      session: this.id,
      sequence: this.sequence,
      key: random.below(options.keys),
      value: operations.next(),
    };
    const padding = random.below(options.paddingBytes + 1);
    const { sequence } = this;
    this.ask((node, answer) => {
      const machine = node.machines.get(this.group);
      return (
        machine?.swap(swap, padding, (index, result) =>
          answer(() => {
            const { history } = this.universe.group(this.group);
            history.know(index);
            this.universe.invariants.acknowledged({ group: this.group, session: this.id, sequence, index, result });
            this.done('swap');
          }),
        ) ?? false
      );
    });
  }

  private read(kind: Read['kind']): void {
    this.idle = false;
    const { history } = this.universe.group(this.group);
    const { floor } = history;
    let refusals = 0;
    this.ask((node, answer) => {
      const machine = node.machines.get(this.group);
      if (machine === undefined) return false;
      const read = (by: Read['kind']): void => {
        const appliedIndex = machine.appliedIndex;
        this.universe.invariants.read({
          group: this.group,
          session: this.id,
          node: node.id,
          kind: by,
          floor,
          appliedIndex,
        });
        answer(() => {
          history.know(appliedIndex);
          this.done(by);
        });
      };
      if (kind === 'lease' && machine.mayReadByLease()) {
        read('lease');
        return true;
      }
      // A group at rest has no lease: it is asked in the other way, which wakes it.
      if (kind === 'lease' && ++refusals < LEASE_REFUSALS) return false;
      return machine.raft.readIndex((index) => {
        if (index > 0) read('index');
      });
    });
  }

  /** Asks some member until one answers. `request` returns whether the member takes it. */
  private ask(request: (node: Node, answer: (then: () => void) => void) => boolean): void {
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
    again(TIMEOUT_US);
    if (node === undefined) return;
    world.after(random.exponential(universe.options.network.latencyUs), () => {
      const { process } = node;
      process?.happen(() => {
        if (node.process !== process || attempt !== this.attempt || request(node, answer)) return;
        this.node = memberNode(universe.leaderBy(node, group));
        again(random.below(20_000));
      });
    });
  }

  private choose(): Node | undefined {
    const { random, nodes } = this.universe;
    const believed = nodes.get(this.node);
    if (believed !== undefined && !believed.lost && random.chance(this.faith)) return believed;
    const others = [...nodes.values()].filter((node) => node.running);
    return others.length === 0 ? undefined : random.pick(others);
  }

  private done(kind: keyof Session['answered']): void {
    this.idle = true;
    this.answered[kind]++;
    this.universe.world.note(2, this.id, this.sequence);
    this.rest();
  }
}
