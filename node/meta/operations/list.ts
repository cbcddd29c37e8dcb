// Listing as S3 has it. The order of dentry keys is the order of a listing, so a page is a seek and a walk: down into
// each directory where its key `name/` stands, over it where a delimiter groups it. A page costs what it returns, and
// stops after limits.listPageScan records whatever it has found, naming the place.

import assert from 'node:assert';
import type { ByteString } from '../../../proto/codec.js';
import { rootInode } from '../../../proto/ids.js';
import { limits } from '../../../proto/limits.js';
import {
  type Attr,
  DENTRY_NAME_AT,
  type Dentry,
  dentryCodec,
  isDirectory,
  isFile,
  keys,
} from '../../../proto/meta/index.js';
import type { MetaAnswer, ReadHandler, View } from '../view.js';
import { linkedAttr } from './entries.js';
import { walk } from './paths.js';
import { decodeRow, isMarker, nodeAt, withoutObject } from './store.js';

const FIRST_SCAN = 16;
const LARGEST_SCAN = 1024;

/** The smallest string above all that begin with `prefix`; null when there is none. */
export function behindPrefix(prefix: ByteString): ByteString | null {
  let end = prefix.length;
  while (end > 0 && prefix.charCodeAt(end - 1) === 0xff) end--;
  if (end === 0) return null;
  return prefix.slice(0, end - 1) + String.fromCharCode(prefix.charCodeAt(end - 1) + 1);
}

interface Row {
  /** Name, with `/` for a directory. */
  placed: ByteString;
  dentry: Dentry;
}

/** A directory on the way to the place that the walk has reached, with rows read ahead. */
interface Level {
  inode: number;
  /** Of all keys in it: the path with a `/` behind it, empty for the root. */
  prefix: ByteString;
  rows: Row[];
  index: number;
  /** Key from which the next rows are read. */
  start: ByteString;
  end: ByteString;
  ended: boolean;
  batch: number;
}

/** A record that the walk has come to: an object, or a directory, which is one if it is a marker. */
interface Step {
  key: ByteString;
  attr: Attr;
}

/** Walks the records at and below the directory `base` in order of their keys. */
class Walker {
  private readonly levels: Level[] = [];
  scanned = 0;

  constructor(
    private readonly view: View,
    private readonly base: { inode: number; prefix: ByteString; rest: ByteString },
  ) {}

  /** Goes to the first record whose key is `from` or above; `from` must not be below the base's prefix and rest. */
  seek(from: ByteString): void {
    this.levels.length = 0;
    const { prefix } = this.base;
    assert(from.startsWith(prefix));
    let inode = this.base.inode;
    let at = prefix.length;
    for (;;) {
      const slash = from.indexOf('/', at);
      const here = from.slice(0, at);
      const name = slash < 0 ? from.slice(at) : from.slice(at, slash);
      const level = this.push(inode, here);
      this.scanned++;
      level.start = keys.fileDentry(inode, name);
      if (slash < 0) return;
      const key = keys.directoryDentry(inode, name);
      if (slash === from.length - 1) {
        level.start = key;
        return;
      }
      level.start = `${key}\0`;
      const found = walk(this.view, inode, [name]);
      if (found.inode === 0) return;
      inode = found.inode;
      at = slash + 1;
    }
  }

  private push(inode: number, prefix: ByteString): Level {
    let end = keys.directory(inode + 1);
    if (this.levels.length === 0 && this.base.rest !== '') {
      const behind = behindPrefix(this.base.rest);
      if (behind !== null) end = keys.fileDentry(inode, behind);
    }
    const start = keys.directory(inode);
    const level: Level = { inode, prefix, rows: [], index: 0, start, end, ended: false, batch: FIRST_SCAN };
    this.levels.push(level);
    return level;
  }

  /** The next record; undefined when there is none. */
  next(): Step | undefined {
    for (;;) {
      const level = this.levels[this.levels.length - 1];
      if (level === undefined) return undefined;
      if (level.index === level.rows.length) {
        if (level.ended) {
          this.levels.pop();
          continue;
        }
        this.fill(level);
        continue;
      }
      const row = level.rows[level.index++]!;
      this.scanned++;
      const attr = row.dentry.attr ?? linkedAttr(this.view, row.dentry.link);
      return { key: level.prefix + row.placed, attr: withoutObject(attr) };
    }
  }

  /** Goes down into the directory that `next` has just answered. */
  enter(step: Step): void {
    this.push(step.attr.inode, step.key);
    this.scanned++;
  }

  private fill(level: Level): void {
    const rows: Row[] = [];
    let ended = true;
    if (level.start < level.end) {
      this.view.scan(level.start, level.end, (key, value) => {
        if (rows.length === level.batch) {
          ended = false;
          return false;
        }
        rows.push({ placed: key.slice(DENTRY_NAME_AT), dentry: decodeRow(dentryCodec, value) });
        return true;
      });
    }
    const last = rows[rows.length - 1];
    if (last !== undefined) level.start = `${keys.fileDentry(level.inode, last.placed)}\0`;
    level.rows = rows;
    level.index = 0;
    level.ended = ended;
    level.batch = Math.min(LARGEST_SCAN, level.batch * 4);
  }
}

interface Query {
  prefix: ByteString;
  delimiter: ByteString;
  marker: ByteString;
  limit: number;
}

/** The common prefix that a key belongs to; '' when it stands for itself. */
function groupOf(query: Query, key: ByteString): ByteString {
  if (query.delimiter === '') return '';
  const at = key.indexOf(query.delimiter, query.prefix.length);
  return at < 0 ? '' : key.slice(0, at + query.delimiter.length);
}

/** The first key that a page may return; null when nothing can follow. */
function firstKey(query: Query): ByteString | null {
  const { prefix, marker } = query;
  if (marker === '' || marker < prefix) return prefix;
  if (!marker.startsWith(prefix)) return null;
  const group = groupOf(query, marker);
  return group === '' ? `${marker}\0` : behindPrefix(group);
}

/** Collects one page. */
class Page {
  readonly answer: MetaAnswer<'objectList'> = { entries: [], prefixes: [], truncated: false, next: '' };
  /** The last key or common prefix that was dealt with. */
  place: ByteString = '';

  constructor(private readonly limit: number) {}

  /** Whether there is room; if not, the page ends as truncated. */
  room(): boolean {
    const { entries, prefixes } = this.answer;
    if (entries.length + prefixes.length < this.limit) return true;
    this.truncate();
    return false;
  }

  truncate(): void {
    this.answer.truncated = true;
    this.answer.next = this.place;
  }
}

/** Deals with one record; false: the page is full. */
function take(walker: Walker, query: Query, page: Page, step: Step): boolean {
  const { key, attr } = step;
  const directory = isDirectory(attr);
  const visible = directory ? isMarker(attr) : isFile(attr);
  // A key that S3 could not name (made by renames) is passed over, with all below it.
  if (key.length > limits.keyBytes) return true;
  const group = groupOf(query, key);
  if (group !== '' && (visible || directory)) {
    if (!page.room()) return false;
    page.answer.prefixes.push(group);
    page.place = group;
    // A directory that is the group itself has not been entered; any other group may go on.
    if (group !== key || !directory) {
      const behind = behindPrefix(group);
      if (behind === null || !behind.startsWith(query.prefix)) return false;
      walker.seek(behind);
    }
    return true;
  }
  if (visible) {
    if (!page.room()) return false;
    page.answer.entries.push({ key, attr });
  }
  page.place = key;
  if (directory) walker.enter(step);
  return true;
}

/** The directory that the prefix names is itself a key of the listing, if it is one at all. */
function takeBase(view: View, page: Page, base: { key: ByteString; prefix: ByteString }): boolean {
  const node = nodeAt(view, base.key);
  if (node === undefined || !isMarker(node.attr)) return true;
  if (!page.room()) return false;
  page.answer.entries.push({ key: base.prefix, attr: withoutObject(node.attr) });
  page.place = base.prefix;
  return true;
}

export const objectList: ReadHandler<'objectList'> = (view, request, context) => {
  const { prefix } = request;
  const page = new Page(Math.min(request.limit, limits.listPageEntries));
  const from = firstKey(request);
  const slash = prefix.lastIndexOf('/') + 1;
  const basePrefix = prefix.slice(0, slash);
  const base = walk(view, rootInode(context.partition), basePrefix.split('/').slice(0, -1));
  if (base.inode === 0 || request.limit === 0) return page.answer;
  if (from === null || !from.startsWith(prefix)) return page.answer;
  const walker = new Walker(view, { inode: base.inode, prefix: basePrefix, rest: prefix.slice(slash) });
  walker.seek(from);
  if (from === basePrefix && from !== '' && !takeBase(view, page, { key: base.key, prefix: basePrefix }))
    return page.answer;
  for (;;) {
    const step = walker.next();
    if (step === undefined || !take(walker, request, page, step)) return page.answer;
    if (walker.scanned >= limits.listPageScan && page.place !== '') {
      page.truncate();
      return page.answer;
    }
  }
};
