// What clients of the store know: the bytes of each block, what was acknowledged, what was asked for and never answered.
// And what faults have damaged, as whoever damages it tells.

import { BLOB_BLOCKS, blobOf, blockVolume } from '../../../proto/ids.js';

export interface Block {
  readonly id: number;
  readonly data: Buffer;
  acknowledged: boolean;
  /** Its write and its deletion overlapped: it may be there or not. */
  uncertain: boolean;
  /** A fault has changed a byte of its needle on the disk. */
  damaged: boolean;
  /** A fault has changed a byte of its tombstone. */
  tombstoneDamaged: boolean;
  /** It is damaged, and no line of an index on the disk names it: it may be taken for a torn tail. */
  unnamed: boolean;
}

export interface Blob {
  readonly id: number;
  readonly blocks: Map<number, Block>;
  deletion: 'none' | 'asked' | 'acknowledged';
  writing: number;
}

/** What faults have done to a volume. */
export interface Damage {
  data: number;
  index: number;
  superblock: boolean;
}

export class Model {
  readonly blobs: Blob[] = [];
  readonly byId = new Map<number, Blob>();
  private readonly byVolume = new Map<number, Blob[]>();
  /** Of first blocks that were never answered, so that their ids are unknown. */
  readonly orphans: Buffer[] = [];
  readonly damage = new Map<number, Damage>();
  /** Blocks of damaged needles, known or not. */
  readonly rotten = new Set<number>();
  /** Blocks that were begun. */
  count = 0;

  begin(id: number): Blob {
    const before = this.byId.get(id);
    if (before !== undefined) this.forget(before);
    const blob: Blob = { id, blocks: new Map(), deletion: 'none', writing: 0 };
    this.blobs.push(blob);
    this.byId.set(id, blob);
    const volume = blockVolume(id);
    const others = this.byVolume.get(volume);
    if (others === undefined) this.byVolume.set(volume, [blob]);
    else others.push(blob);
    return blob;
  }

  block(id: number): Block | undefined {
    return this.byId.get(blobOf(id))?.blocks.get(id % BLOB_BLOCKS);
  }

  private forget(blob: Blob): void {
    for (const list of [this.blobs, this.byVolume.get(blockVolume(blob.id)) ?? []]) list.splice(list.indexOf(blob), 1);
  }

  /** All, or those of a volume. */
  blocks(volume?: number): { blob: Blob; block: Block }[] {
    const found: { blob: Blob; block: Block }[] = [];
    for (const blob of volume === undefined ? this.blobs : (this.byVolume.get(volume) ?? [])) {
      for (const block of blob.blocks.values()) found.push({ blob, block });
    }
    return found;
  }

  damageOf(volume: number): Damage {
    let damage = this.damage.get(volume);
    if (damage === undefined) {
      damage = { data: 0, index: 0, superblock: false };
      this.damage.set(volume, damage);
    }
    return damage;
  }

  /** Whether a fault may have cost the whole volume. */
  mayBeLost(volume: number): boolean {
    const damage = this.damage.get(volume);
    if (damage?.superblock !== true) return false;
    // A volume of which nothing lives is removed, its index first: its data may come back alone.
    return damage.index > 0 || this.byVolume.get(volume)?.every(({ deletion }) => deletion !== 'none') === true;
  }

  /** Whether nothing is known of it but what its bytes are. */
  isUncertain({ id, uncertain, damaged, tombstoneDamaged }: Block): boolean {
    return uncertain || damaged || tombstoneDamaged || this.mayBeLost(blockVolume(id));
  }
}

export function mustLive(model: Model, blob: Blob, block: Block): boolean {
  return block.acknowledged && blob.deletion === 'none' && !model.isUncertain(block);
}

export function mustBeGone(model: Model, blob: Blob, block: Block): boolean {
  return blob.deletion === 'acknowledged' && !model.isUncertain(block);
}
