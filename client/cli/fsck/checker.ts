// Checks the rows of one group against each other: names and inodes, link counts, chunk rows, counts of shared blobs,
// uploads, reclaim rows, counters. Rows come in the order of keys, once; what needs other tables is decided at the end.
// Memory: a record for each inode and each blob, never names or slices. What it cannot see (blocks, other groups) is the
// ledger's.

import { type ByteString, DecodeError, decode } from '../../../proto/codec.js';
import { inodeNumber, inodePartition } from '../../../proto/ids.js';
import { limits } from '../../../proto/limits.js';
import {
  type Attr,
  AttrFlag,
  COUNTER_WORD,
  type Counters,
  chunkRowCodec,
  countersRowCodec,
  countRowCodec,
  DENTRY_NAME_AT,
  dentryCodec,
  isDirectory,
  isFile,
  keyNumber,
  keyNumber32,
  keys,
  linkRowCodec,
  parentRowCodec,
  partsRowCodec,
  ReclaimKind,
  reclaimRowCodec,
  Table,
  uploadPartRowCodec,
} from '../../../proto/meta/index.js';
import { type Findings, printable } from './findings.js';
import type { BlobLedger } from './ledger.js';
import { GroupTally, placeHash } from './tally.js';

const UPLOAD_ID_BYTES = 32;

export class GroupChecker {
  private readonly tally: GroupTally;
  private previous: ByteString = '';
  private counters: Counters | null = null;

  constructor(
    private readonly group: string,
    private readonly findings: Findings,
    private readonly ledger: BlobLedger,
  ) {
    this.tally = new GroupTally(
      (text) => this.error(text),
      (blob) => ledger.pending(blob),
    );
  }

  private error(text: string): void {
    this.findings.add('error', `${this.group}: ${text}`);
  }

  /** One row. The value is not kept. */
  row(key: ByteString, value: Buffer): void {
    if (key <= this.previous) this.error(`row ${printable(key)} stands behind ${printable(this.previous)}`);
    this.previous = key;
    try {
      this.take(key, value);
    } catch (error) {
      if (!(error instanceof DecodeError)) throw error;
      this.error(`row ${printable(key)} cannot be read: ${error.message}`);
    }
  }

  private readonly tables: Record<ByteString, (key: ByteString, value: Buffer) => void> = {
    [Table.DENTRY]: (key, value) => this.dentry(key, value),
    [Table.LINK]: (key, value) => this.link(key, value),
    [Table.PARENT]: (key, value) => this.parent(key, value),
    [Table.CHUNK]: (key, value) => this.chunk(key, value),
    [Table.SHARED]: (key, value) => this.shared(key, value),
    [Table.PARTS]: (key, value) => this.part(key, value),
    [Table.XATTR]: (key) => {
      this.tally.inode(keyNumber(key)).xattrs++;
    },
    [Table.UPLOAD]: (key) => {
      this.tally.uploads.add(key.slice(-UPLOAD_ID_BYTES));
    },
    [Table.UPLOAD_PART]: (key, value) => this.uploadPart(key, value),
    [Table.FOLD]: (key) => {
      this.tally.inode(keyNumber(key)).fold = true;
    },
    [Table.RECLAIM]: (key, value) => this.reclaim(key, value),
    [Table.STATE]: (key, value) => {
      if (key === keys.state('counters')) this.counters = decode(countersRowCodec, value);
    },
    // Not about files.
    [Table.SESSION]: () => {},
    [Table.DEDUPE]: () => {},
    [Table.VOLUME]: () => {},
    [Table.ACCESS_KEY]: () => {},
  };

  private take(key: ByteString, value: Buffer): void {
    const table = this.tables[key.charAt(0)];
    if (table === undefined) this.error(`row ${printable(key)} belongs to no table`);
    else table(key, value);
  }

  private attributes(attr: Attr): void {
    const record = this.tally.inode(attr.inode);
    if (record.attributes) this.error(`inode ${attr.inode} has attributes in two rows`);
    record.attributes = true;
    record.directory = isDirectory(attr);
    record.nlink = attr.nlink;
    record.size = attr.size;
    record.flags = attr.flags;
    if ((attr.flags & AttrFlag.S3_ETAG) !== 0 && attr.etag === '')
      this.error(`inode ${attr.inode} has an S3 ETag that is empty`);
    if (!isFile(attr) && (attr.flags & (AttrFlag.PARTS | AttrFlag.TRIM)) !== 0)
      this.error(`inode ${attr.inode} is no file and has the flags of one`);
    if (!isDirectory(attr) && (attr.flags & (AttrFlag.IMPLICIT | AttrFlag.MARKER)) !== 0)
      this.error(`inode ${attr.inode} is no directory and has the flags of one`);
  }

  private dentry(key: ByteString, value: Buffer): void {
    const parent = keyNumber(key);
    const placed = key.slice(DENTRY_NAME_AT);
    const row = decode(dentryCodec, value);
    const inode = row.attr?.inode ?? row.link;
    const record = this.tally.inode(inode);
    const where = `entry '${printable(placed)}' of directory ${parent}`;
    if (placed.slice(0, -1).includes('/') || placed === '') this.error(`${where} has an impossible name`);
    const shouldBeDirectory = placed.endsWith('/');
    if (row.attr !== null) {
      if (isDirectory(row.attr) !== shouldBeDirectory) this.error(`${where} does not fit the type of inode ${inode}`);
      this.attributes(row.attr);
      record.parent = parent;
      record.place = placeHash(parent, placed);
      if ((row.attr.flags & AttrFlag.LINKED) !== 0) this.error(`${where} has attributes and the flag of a hard link`);
    } else {
      record.links++;
      record.linkSum += placeHash(parent, placed);
      if (shouldBeDirectory) this.error(`${where} is a hard link with the name of a directory`);
    }
    if (parent === 0) return;
    const directory = this.tally.inode(parent);
    directory.entries++;
    if (shouldBeDirectory) directory.subdirectories++;
  }

  private link(key: ByteString, value: Buffer): void {
    const inode = keyNumber(key);
    const { attr, names } = decode(linkRowCodec, value);
    if (attr.inode !== inode) this.error(`link row of inode ${inode} has the attributes of ${attr.inode}`);
    this.attributes(attr);
    const record = this.tally.inode(inode);
    record.linked = true;
    record.names = names.length;
    for (const { parent, name } of names) record.nameSum += placeHash(parent, name);
    if ((attr.flags & AttrFlag.LINKED) === 0) this.error(`inode ${inode} has a link row and not its flag`);
    if (names.length === 1) this.error(`inode ${inode} has one name and stands in the link table`);
    if (attr.nlink !== names.length) this.error(`inode ${inode} has nlink ${attr.nlink} and ${names.length} names`);
  }

  private parent(key: ByteString, value: Buffer): void {
    const record = this.tally.inode(keyNumber(key));
    const { parent, name } = decode(parentRowCodec, value);
    record.parentRow = true;
    if (record.place !== placeHash(parent, name))
      this.error(`parent row of inode ${keyNumber(key)} names '${printable(name)}' of ${parent}, where it is not`);
  }

  private chunk(key: ByteString, value: Buffer): void {
    const inode = keyNumber(key);
    const chunk = keyNumber32(key, 9);
    const { slices } = decode(chunkRowCodec, value);
    const where = `chunk ${chunk} of inode ${inode}`;
    if (slices.length === 0) this.error(`${where} has a row without slices`);
    const record = this.tally.inode(inode);
    for (const slice of slices) {
      const end = slice.offset + slice.length;
      if (slice.length === 0 || end > limits.chunkBytes || slice.blobOffset + slice.length > slice.blobLength)
        this.error(`${where} has an impossible slice of blob ${slice.blob}`);
      record.end = Math.max(record.end, chunk * limits.chunkBytes + end);
      this.tally.slice(slice);
      this.ledger.name(slice.blob, slice.blobLength, where);
    }
  }

  private shared(key: ByteString, value: Buffer): void {
    const { count, reclaim } = decode(countRowCodec, value);
    this.tally.shared(keyNumber(key), count, reclaim);
  }

  private part(key: ByteString, value: Buffer): void {
    const file = this.tally.inode(keyNumber(key));
    const end = keyNumber(key, 9);
    const { inode, length } = decode(partsRowCodec, value);
    const where = `part of inode ${keyNumber(key)} that ends at ${end}`;
    if (end - length < file.partsEnd) this.error(`${where} overlaps the part before it`);
    file.partsEnd = end;
    this.tally.own(inode, length, where);
  }

  private uploadPart(key: ByteString, value: Buffer): void {
    const upload = key.slice(1, -4);
    const { inode, size } = decode(uploadPartRowCodec, value);
    if (!this.tally.uploads.has(upload)) this.error(`part of upload ${printable(upload)}, which does not stand`);
    this.tally.own(inode, size, `part of upload ${printable(upload)}`);
  }

  private reclaim(key: ByteString, value: Buffer): void {
    const sequence = keyNumber(key);
    const row = decode(reclaimRowCodec, value);
    this.tally.lastReclaim = sequence;
    if (row.kind === ReclaimKind.INODE) this.tally.inode(row.inode).reclaimed = true;
    else if (row.kind === ReclaimKind.TRIM) this.tally.inode(row.inode).trimmed = true;
    else if (row.kind === ReclaimKind.BLOBS || row.kind === ReclaimKind.FREED) {
      for (const { blob } of row.blobs) {
        this.tally.reclaimed(blob, sequence, row.kind === ReclaimKind.FREED);
      }
    } else this.error(`reclaim row ${sequence} is of kind ${row.kind}`);
  }

  /** Decides what needs all rows. */
  finish(): void {
    const named = this.tally.finish();
    if (this.counters === null) {
      if (this.tally.size > 0) this.error('there are inodes and no counters');
      return;
    }
    const { files, bytesHigh, bytesLow, nextInode, nextReclaim } = this.counters;
    if (files !== named) this.error(`${files} files are counted, ${named} inodes have names`);
    const bytes = BigInt(bytesHigh) * BigInt(COUNTER_WORD) + BigInt(bytesLow);
    if (bytes !== this.tally.bytes) this.error(`${bytes} bytes are counted, all slices have ${this.tally.bytes}`);
    if (nextReclaim <= this.tally.lastReclaim)
      this.error(`the next reclaim row would be ${nextReclaim}, ${this.tally.lastReclaim} stands already`);
    const last = this.tally.lastInode;
    if (last > 0 && nextInode <= inodeNumber(last))
      this.error(`the next inode would be ${nextInode} of partition ${inodePartition(last)}, ${last} stands already`);
  }
}
