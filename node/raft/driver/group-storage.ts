// The entries of a group in the log, and the checkpoint of its state machine, as its core reads them.

import type { Entry } from '../../../proto/raft/index.js';
import type { LogStorage, Snapshot } from '../core/index.js';
import type { StateMachine } from '../interface.js';
import type { GroupLog, Wal } from '../wal/index.js';

export class GroupStorage implements LogStorage {
  constructor(
    private readonly wal: Wal,
    private readonly log: GroupLog,
    private readonly machine: StateMachine,
  ) {}

  get firstIndex(): number {
    return this.log.firstIndex;
  }

  get lastIndex(): number {
    return this.log.lastIndex;
  }

  entryTerm(index: number): number {
    return this.log.entryTerm(index);
  }

  read(from: number, to: number, maxBytes: number): Entry[] {
    return this.wal.read(this.log, from, to, maxBytes);
  }

  snapshot(): Snapshot | null {
    return this.machine.snapshots?.newest ?? null;
  }
}
