// What the checker remembers of a group until all rows are read, and the rules that need several tables: each inode has
// one place or the names of its link row, directories lead to the root, link counts are those that stand, chunk rows
// belong to somebody and end within the size, counts of blobs are the slices that name them.

import type { ByteString } from '../../../proto/codec.js';
import { AttrFlag, type Slice } from '../../../proto/meta/index.js';

/** A place (parent and name) as a number of 36 bits, so that no name is kept; sums of all an inode's are exact. */
export function placeHash(parent: number, placed: ByteString): number {
  let low = Math.imul(0x811c9dc5 ^ parent, 0x01000193);
  let high = Math.imul(0x85ebca6b ^ Math.floor(parent / 0x1_0000_0000), 0x01000193);
  for (let index = 0; index < placed.length; index++) {
    const byte = placed.charCodeAt(index);
    low = Math.imul(low ^ byte, 0x01000193);
    high = Math.imul(high ^ (byte + index), 0x85ebca6b);
  }
  return (high >>> 26) * 0x4000_0000 + (low >>> 2);
}

interface InodeRecord {
  attributes: boolean;
  directory: boolean;
  nlink: number;
  size: number;
  flags: number;
  /** Of the dentry that has the attributes. */
  parent: number;
  place: number;
  parentRow: boolean;
  /** Dentries that are hard links to it, and the sum of their places' hashes. */
  links: number;
  linkSum: number;
  linked: boolean;
  names: number;
  nameSum: number;
  entries: number;
  subdirectories: number;
  xattrs: number;
  fold: boolean;
  partsEnd: number;
  /** Where its last slice ends. */
  end: number;
  /** Length that a `parts` or upload row gives it: it is the inode of a part. */
  owned: number;
  reclaimed: boolean;
  trimmed: boolean;
  /** Walk to the root: 0 not visited, otherwise the number of the walk. */
  visited: number;
}

function newRecord(): InodeRecord {
  return {
    attributes: false,
    directory: false,
    nlink: 0,
    size: 0,
    flags: 0,
    parent: -1,
    place: -1,
    parentRow: false,
    links: 0,
    linkSum: 0,
    linked: false,
    names: 0,
    nameSum: 0,
    entries: 0,
    subdirectories: 0,
    xattrs: 0,
    fold: false,
    partsEnd: 0,
    end: 0,
    owned: -1,
    reclaimed: false,
    trimmed: false,
    visited: 0,
  };
}

interface BlobRecord {
  slices: number;
  /** Of the row of the shared table; -1 when there is none. */
  count: number;
  countReclaim: number;
  /** A reclaim row that holds it; the newest. */
  reclaim: number;
  freed: boolean;
}

export class GroupTally {
  private readonly inodes = new Map<number, InodeRecord>();
  private readonly blobs = new Map<number, BlobRecord>();
  readonly uploads = new Set<ByteString>();
  bytes = 0n;
  lastReclaim = 0;
  lastInode = 0;

  constructor(
    private readonly error: (text: string) => void,
    /** Told of each blob that is on its way to be deleted. */
    private readonly pending: (blob: number) => void,
  ) {}

  get size(): number {
    return this.inodes.size;
  }

  inode(inode: number): InodeRecord {
    let record = this.inodes.get(inode);
    if (record === undefined) {
      record = newRecord();
      this.inodes.set(inode, record);
      if (inode > this.lastInode) this.lastInode = inode;
    }
    return record;
  }

  private blob(blob: number): BlobRecord {
    let record = this.blobs.get(blob);
    if (record === undefined) {
      record = { slices: 0, count: -1, countReclaim: 0, reclaim: 0, freed: false };
      this.blobs.set(blob, record);
    }
    return record;
  }

  slice(slice: Slice): void {
    this.blob(slice.blob).slices++;
    this.bytes += BigInt(slice.length);
  }

  shared(blob: number, count: number, reclaim: number): void {
    const record = this.blob(blob);
    record.count = count;
    record.countReclaim = reclaim;
  }

  reclaimed(blob: number, sequence: number, freed: boolean): void {
    const record = this.blob(blob);
    record.reclaim = sequence;
    record.freed ||= freed;
  }

  /** The inode is that of a part, `length` bytes long. */
  own(inode: number, length: number, by: string): void {
    const record = this.inode(inode);
    if (record.owned >= 0) this.error(`inode ${inode}, ${by}, is the part of something else too`);
    record.owned = length;
  }

  /** Applies the rules; answers how many inodes have names. */
  finish(): number {
    let named = 0;
    for (const [inode, record] of this.inodes) {
      if (record.attributes) {
        this.checkPlace(inode, record);
        this.checkInode(inode, record);
        if (!record.linked || record.names > 0) named++;
      } else this.checkBare(inode, record);
      this.checkChunks(inode, record);
    }
    this.checkTree();
    for (const [blob, record] of this.blobs) this.checkBlob(blob, record);
    return named;
  }

  private checkPlace(inode: number, record: InodeRecord): void {
    if (record.linked) {
      if (record.parentRow) this.error(`inode ${inode} stands in the link table and has a parent row`);
      if (record.links !== record.names || record.linkSum !== record.nameSum)
        this.error(`inode ${inode} lists ${record.names} names and ${record.links} entries link to it, or other ones`);
      if (record.names === 0 && !record.reclaimed) this.error(`inode ${inode} has no names and no reclaim row`);
    } else {
      if (!record.parentRow) this.error(`inode ${inode} has no parent row`);
      if (record.links > 0) this.error(`inode ${inode} has its attributes in an entry, and hard links`);
    }
    if (record.reclaimed && (!record.linked || record.names > 0))
      this.error(`inode ${inode} has a name and is to be reclaimed`);
  }

  private checkInode(inode: number, record: InodeRecord): void {
    const flag = (bit: number): boolean => (record.flags & bit) !== 0;
    const nameless = record.linked && record.names === 0;
    if (record.directory) {
      const nlink = nameless ? 0 : 2 + record.subdirectories;
      if (record.nlink !== nlink) this.error(`directory ${inode} has nlink ${record.nlink}, it should be ${nlink}`);
      if (nameless && record.entries > 0) this.error(`directory ${inode} has been removed and has entries`);
      if (flag(AttrFlag.IMPLICIT) && !flag(AttrFlag.MARKER) && record.entries === 0 && !nameless)
        this.error(`directory ${inode} is implicit and empty`);
    } else {
      if (!record.linked && record.nlink !== 1) this.error(`inode ${inode} has one name and nlink ${record.nlink}`);
      if (record.entries > 0) this.error(`inode ${inode} is no directory and has entries`);
    }
    if (record.xattrs > 0 && !flag(AttrFlag.XATTRS)) this.error(`inode ${inode} has xattrs and not their flag`);
    if (flag(AttrFlag.PARTS) !== record.fold) this.error(`inode ${inode}: flag of parts and fold row do not agree`);
    if (record.partsEnd > 0 && !record.fold) this.error(`inode ${inode} has parts and no fold row`);
    if (record.partsEnd > record.size) this.error(`inode ${inode} has parts behind its size`);
    if (flag(AttrFlag.TRIM) && !record.trimmed) this.error(`inode ${inode} waits for a trim that does not stand`);
    if (record.owned >= 0) this.error(`inode ${inode} is a part and has attributes`);
  }

  /** An inode that rows speak of and that has no attributes: the inode of a part, or one that is being freed. */
  private checkBare(inode: number, record: InodeRecord): void {
    if (record.links > 0) this.error(`${record.links} hard links to inode ${inode}, which has no link row`);
    if (record.parentRow) this.error(`parent row of inode ${inode}, which has no entry`);
    if (record.entries > 0) this.error(`${record.entries} entries in directory ${inode}, which does not exist`);
    if (record.owned >= 0 && record.reclaimed) this.error(`part ${inode} is named and is to be reclaimed`);
    if (record.reclaimed) return;
    if (record.xattrs > 0) this.error(`${record.xattrs} xattrs of inode ${inode}, which does not exist`);
    if (record.partsEnd > 0) this.error(`parts of inode ${inode}, which does not exist`);
    if (record.end > 0 && record.owned < 0) this.error(`chunk rows of inode ${inode}, which does not exist`);
  }

  private checkChunks(inode: number, record: InodeRecord): void {
    if (record.reclaimed && !record.attributes) return;
    const size = record.attributes ? record.size : record.owned;
    if (size < 0 || record.end <= size || (record.flags & AttrFlag.TRIM) !== 0) return;
    this.error(`inode ${inode} has ${size} bytes and slices up to ${record.end}`);
  }

  /** Every inode with a place must lead to the root, whose parent is 0. */
  private checkTree(): void {
    let walk = 0;
    for (const [inode, record] of this.inodes) {
      if (record.parent >= 0 && record.visited === 0) this.climb(inode, record, ++walk);
    }
  }

  private climb(start: number, first: InodeRecord, walk: number): void {
    let record = first;
    while (record.visited === 0) {
      record.visited = walk;
      if (record.parent === 0) return;
      const above = this.inodes.get(record.parent);
      if (above === undefined || !above.attributes || !above.directory || above.linked) {
        this.error(`inode ${start} lies in ${record.parent}, which is no directory with a name`);
        return;
      }
      record = above;
    }
    if (record.visited === walk) this.error(`inode ${start} lies in a directory that lies in itself`);
  }

  private checkBlob(blob: number, record: BlobRecord): void {
    const { slices, count } = record;
    if (slices > 0 && record.freed) this.error(`blob ${blob} is named by ${slices} slices and is to be freed`);
    if (count < 0) {
      if (slices > 1) this.error(`blob ${blob} is named by ${slices} slices and has no count`);
    } else if (count === 1) {
      this.error(`blob ${blob} has a count of one, which has no row`);
    } else if (count !== slices) {
      this.error(`blob ${blob} is named by ${slices} slices, its count is ${count}`);
    }
    // A row that holds a blob without either was overtaken by a writer who took the blob back.
    if (record.freed || count === 0) this.pending(blob);
    if (count === 0 && record.reclaim !== record.countReclaim)
      this.error(`blob ${blob} waits for reclaim row ${record.countReclaim}, which does not hold it`);
  }
}
