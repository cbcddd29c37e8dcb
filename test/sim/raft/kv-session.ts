// Swaps and reads registers. Where an answer says how far the state had come, it tells whoever watches.

import type { Read } from './invariants/index.js';
import type { KvMachine } from './kv-machine.js';
import { Session } from './session.js';

const LEASE_REFUSALS = 5;

export class KvSession extends Session {
  private sequence = 0;

  protected write(): void {
    const { random, options, operations } = this.universe;
    this.sequence++;
    const { sequence, id: session } = this;
    const swap = { session, sequence, key: random.below(options.keys), value: operations.next() };
    const padding = random.below(options.paddingBytes + 1);
    this.ask((node, answer) => {
      const machine = node.machines.get(this.group) as KvMachine | undefined;
      const swapped = (index: number, result: number | undefined): void =>
        answer(() => {
          this.universe.group(this.group).history.know(index);
          this.universe.invariants.acknowledged({ group: this.group, session, sequence, index, result });
          this.done('swap');
        });
      return machine?.swap(swap, padding, swapped) ?? false;
    });
  }

  protected read(): void {
    const { random } = this.universe;
    const { history } = this.universe.group(this.group);
    const byLease = random.chance(0.5);
    const { floor } = history;
    let refusals = 0;
    this.ask((node, answer) => {
      const machine = node.machines.get(this.group);
      if (machine === undefined) return false;
      const read = (kind: Read['kind']): void => {
        const { appliedIndex } = machine;
        const { group, id: session } = this;
        this.universe.invariants.read({ group, session, node: node.id, kind, floor, appliedIndex });
        answer(() => {
          history.know(appliedIndex);
          this.done(kind);
        });
      };
      if (byLease && machine.mayReadByLease()) {
        read('lease');
        return true;
      }
      // A group at rest has no lease: it is asked in the other way, which wakes it.
      if (byLease && ++refusals < LEASE_REFUSALS) return false;
      return machine.raft.readIndex((index) => {
        if (index > 0) read('index');
      });
    });
  }
}
