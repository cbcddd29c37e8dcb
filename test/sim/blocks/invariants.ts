// What must hold. Each invariant has a name and is told what happens as it happens; reports are collected, so that one
// wrong does not hide another.

import { blockVolume } from '../../../proto/ids.js';
import { Status, statusName } from '../../../proto/status.js';
import { ASSERTION, PROGRESS, Reports } from '../shell/reports.js';
import type { Broken } from '../shell/simulation.js';
import type { Blob, Block, Model } from './model.js';

/** What a reader was told about a block. */
export interface Read {
  readonly blob: Blob;
  readonly block: Block;
  /** What was known of it when it was asked for. */
  readonly known: { readonly acknowledged: boolean; readonly deleted: boolean };
  readonly status: number;
  /** Whether the bytes handed out are those written; false where none were. */
  readonly right: boolean;
  readonly how: string;
}

export interface Answer {
  readonly what: string;
  readonly status: number;
  readonly message: string;
  /** Statuses that have a reason. */
  readonly allowed: readonly number[];
}

export interface Told {
  readonly message: string;
  readonly volume: number | undefined;
  /** The disk is full at times. */
  readonly full: boolean;
  readonly failing: boolean;
}

abstract class Invariant {
  abstract readonly name: string;

  constructor(
    protected readonly model: Model,
    private readonly onBroken: (invariant: string, what: string) => void,
  ) {}

  read?(read: Read): void;
  answered?(answer: Answer): void;
  warned?(told: Told): void;

  protected broken(what: string): void {
    this.onBroken(this.name, what);
  }
}

function where({ blob, block, how, status }: Read): string {
  const state = `${block.acknowledged ? 'acknowledged' : 'asked for'}, deletion ${blob.deletion}`;
  return `${how} of block ${block.id} (volume ${blockVolume(block.id)}, ${block.data.length} bytes, ${state}): ${statusName(status)}`;
}

class AcknowledgedStays extends Invariant {
  readonly name = 'every acknowledged byte is readable until it is deleted';

  override read(read: Read): void {
    const { blob, block, known, status } = read;
    if (status !== Status.NOENT || !known.acknowledged || blob.deletion !== 'none') return;
    if (!this.model.isUncertain(block)) this.broken(where(read));
  }
}

class DeletedStays extends Invariant {
  readonly name = 'what was deleted stays deleted';

  override read(read: Read): void {
    const { block, known, status } = read;
    if (status === Status.OK && known.deleted && !this.model.isUncertain(block)) this.broken(where(read));
  }
}

class RightBytes extends Invariant {
  readonly name = 'bytes handed out are those written under that id';

  override read(read: Read): void {
    if (read.status === Status.OK && !read.right) this.broken(where(read));
  }
}

const FAILURES = /^(compaction ended early|a block request failed: Error: EIO)/;

class SoundIsServed extends Invariant {
  readonly name = 'nothing sound is called damaged';

  override read(read: Read): void {
    const { block, status } = read;
    if (status === Status.OK || status === Status.NOENT) return;
    if (!block.damaged && !this.model.mayBeLost(blockVolume(block.id))) this.broken(where(read));
  }

  override warned({ message, volume, full, failing }: Told): void {
    if (volume === undefined) {
      const expected = (full && /^no space for blocks/.test(message)) || (failing && FAILURES.test(message));
      if (!expected) this.broken(message);
    } else if (this.model.damage.get(volume) === undefined) this.broken(message);
  }
}

class DamageIsReported extends Invariant {
  readonly name = 'damage to what was synced is called damage, not absence';

  override read(read: Read): void {
    const { blob, block, known, status } = read;
    if (status !== Status.NOENT || !known.acknowledged || !block.damaged || blob.deletion !== 'none') return;
    const volume = blockVolume(block.id);
    // Without its index line a needle that does not verify is a torn tail.
    const excused = block.unnamed || this.model.mayBeLost(volume);
    if (!excused) this.broken(where(read));
  }
}

class AnswersHaveReasons extends Invariant {
  readonly name = 'what is refused has a reason';

  override answered({ what, status, message, allowed }: Answer): void {
    if (status !== Status.OK && !allowed.includes(status)) this.broken(`${what}: ${statusName(status)}, ${message}`);
  }
}

const modules = [
  AcknowledgedStays,
  DeletedStays,
  RightBytes,
  SoundIsServed,
  DamageIsReported,
  AnswersHaveReasons,
] as const;

/** Those that are looked at where they can be seen. */
export const SYNCED = 'what is acknowledged is on the platter';
export const IDS = 'an id is given once';
export const REBUILT = 'the index rebuilt equals the index kept';
export const ACCOUNTS = 'what volumes say of themselves is so';
export const BOUNDS = 'queues, batches and open files are bounded';
export const FULL_DISK = 'a full disk ends nothing';
export const LISTED = 'a listing has what lives, in order';

export const invariantNames: readonly string[] = [
  ...modules.map((Module) => new Module({} as Model, () => undefined).name),
  SYNCED,
  IDS,
  REBUILT,
  ACCOUNTS,
  BOUNDS,
  FULL_DISK,
  LISTED,
  ASSERTION,
  PROGRESS,
];

export class Invariants {
  readonly report: Reports['report'];
  readonly broken: readonly Broken[];
  private readonly all: readonly Invariant[];

  constructor(model: Model, nowUs: () => number) {
    const { report, broken } = new Reports(nowUs);
    this.report = report;
    this.broken = broken;
    this.all = modules.map((Module) => new Module(model, report));
  }

  read(read: Read): void {
    for (const invariant of this.all) invariant.read?.(read);
  }

  answered(answer: Answer): void {
    for (const invariant of this.all) invariant.answered?.(answer);
  }

  warned(told: Told): void {
    for (const invariant of this.all) invariant.warned?.(told);
  }
}
