// Operations on open directories. READDIRPLUS hands out attributes, which the kernel then believes over what it has: so
// they go along only if this mount has changed nothing since they were read; otherwise the name goes alone, and the
// kernel asks when it wants to know.

import { direntBytes, entryOut, readIn, releaseIn, writeDirent } from '../../proto/fuse/index.js';
import { limits } from '../../proto/limits.js';
import { type Attr, Mode } from '../../proto/meta/index.js';
import { Errno } from '../../proto/status.js';
import { HEADER } from './answerer.js';
import type { Context, Handler, Request } from './context.js';
import { DirectoryHandle, type EntryPage } from './directory-handle.js';
import { ErrnoError } from './errors.js';

/** `.` and `..` come first; entry n stands at offset n + DOTS. */
const DOTS = 2;
const TYPE_SHIFT = 12;
const DIRECTORY_TYPE = Mode.DIRECTORY >> TYPE_SHIFT;

export const opendir: Handler = async (context, request) => {
  const fh = context.directories.add(new DirectoryHandle(request.inode, context.vfs, context.nodes));
  if (!context.answer.open(request.unique, fh, 0)) context.directories.remove(fh);
};

/** Fills the buffer of one answer with records. */
class Listing {
  position = HEADER;
  /** What the kernel learns with this answer. */
  readonly told: Attr[] = [];

  constructor(
    private readonly context: Context,
    private readonly inode: number,
    readonly buffer: Buffer,
    private readonly limit: number,
    readonly plus: boolean,
  ) {}

  /** False: no room. */
  dot(name: string, inode: number, offset: number): boolean {
    if (!this.fits(name)) return false;
    if (this.plus) this.withoutAttributes();
    const record = { inode: this.context.nodes.nodeOf(inode), offset, type: DIRECTORY_TYPE };
    this.position = writeDirent(this.buffer, this.position, name, record);
    return true;
  }

  /** An entry of a page, by its number. */
  entry(page: EntryPage, number: number): boolean {
    const entry = page.entries![number - page.first]!; // the page is at hand
    const { name } = entry;
    if (!this.fits(name)) return false;
    const attr = 'attr' in entry ? entry.attr : null;
    if (this.plus) {
      if (attr !== null && this.isCurrent(page, attr)) {
        this.context.answer.putEntry(this.buffer, this.position, attr);
        this.position += entryOut.bytes;
        this.told.push(attr);
      } else {
        this.withoutAttributes();
      }
    }
    const { inode, mode } = 'attr' in entry ? entry.attr : entry;
    this.position = writeDirent(this.buffer, this.position, name, {
      inode: this.context.nodes.nodeOf(inode),
      offset: number + DOTS + 1,
      type: (mode & Mode.TYPE) >> TYPE_SHIFT,
    });
    return true;
  }

  private isCurrent({ clock, readAtMs }: EntryPage, attr: Attr): boolean {
    const { nodes, times } = this.context;
    if (performance.now() - readAtMs > Math.min(times.attributeMs, times.entryMs)) return false;
    return nodes.isCurrent(this.inode, clock) && nodes.isCurrent(attr.inode, clock) && nodes.isNewest(attr);
  }

  private fits(name: string): boolean {
    return this.position + (this.plus ? entryOut.bytes : 0) + direntBytes(name.length) <= this.limit;
  }

  /** An entry of node 0 tells the kernel nothing. */
  private withoutAttributes(): void {
    this.buffer.fill(0, this.position, this.position + entryOut.bytes);
    this.position += entryOut.bytes;
  }
}

async function fill(context: Context, handle: DirectoryHandle, listing: Listing, start: number): Promise<void> {
  let offset = start;
  if (offset === 0) {
    handle.rewind();
    if (!listing.dot('.', handle.inode, 1)) return;
    offset = 1;
  }
  if (offset === 1) {
    const parent = context.nodes.find(handle.inode)?.parent ?? handle.inode;
    if (!listing.dot('..', parent, DOTS)) return;
    offset = DOTS;
  }
  for (let number = offset - DOTS; ; ) {
    const page = handle.peek(number) ?? (await handle.load(number, listing.plus));
    if (page === undefined) return;
    const end = page.first + page.entries!.length; // the page is at hand
    for (number = Math.max(number, page.first); number < end; number++) if (!listing.entry(page, number)) return;
    number = page.first + page.count;
  }
}

async function list(context: Context, request: Request, plus: boolean): Promise<void> {
  const { fh, offset, size } = readIn.read(request.buffer, request.at, request.end);
  const handle = context.directories.get(fh);
  const bytes = Math.min(size, limits.fuseRequestBytes);
  const buffer = context.buffers.take(bytes) ?? (await context.buffers.wait(request.unique, bytes));
  if (buffer === null) throw new ErrnoError(Errno.EINTR);
  try {
    await handle.exclusively(async () => {
      const listing = new Listing(context, handle.inode, buffer, HEADER + bytes, plus);
      await fill(context, handle, listing, offset);
      if (!context.answer.data(request.unique, buffer, listing.position - HEADER)) return;
      for (const attr of listing.told) context.nodes.remember(attr, handle.inode);
    });
  } finally {
    context.buffers.give(buffer);
  }
}

export const readdir: Handler = (context, request) => list(context, request, false);
export const readdirplus: Handler = (context, request) => list(context, request, true);

export const releasedir: Handler = async (context, request) => {
  context.directories.remove(releaseIn.read(request.buffer, request.at, request.end).fh);
  context.answer.empty(request.unique);
};

/** Names are on disk when the call that changed them returns. */
export const fsyncdir: Handler = async (context, request) => {
  context.answer.empty(request.unique);
};
