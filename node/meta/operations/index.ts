// The metadata operations as pure functions of view, request and context (design.md, sections 4, 5 and 7): no clock, no
// randomness, no waiting, no I/O. The room around them (node/meta) runs them over its transactions; hello, sessions,
// tableScan and the running of a group are its own.

import type { ByteString } from '../../../proto/codec.js';
import { ROOT_NUMBER, rootInode } from '../../../proto/ids.js';
import type { MetaOperationName, Time } from '../../../proto/meta/index.js';
import { COUNTER_WORD, countersRowCodec, dentryCodec, keys, Mode, parentRowCodec } from '../../../proto/meta/index.js';
import type { ReadContext, ReadHandler, Transaction, WriteHandler } from '../view.js';
import * as content from './content.js';
import { COUNTERS_KEY } from './edit.js';
import * as entries from './entries.js';
import { writes } from './handler.js';
import { objectList } from './list.js';
import * as objects from './objects.js';
import { foldStep } from './parts.js';
import * as paths from './paths.js';
import * as reclaiming from './reclaim.js';
import { rename } from './rename.js';
import * as root from './root.js';
import { decodeRow, encodeRow, ROOT_KEY } from './store.js';
import * as uploads from './uploads.js';
import * as xattrs from './xattrs.js';

const statfs: ReadHandler<'statfs'> = (view) => {
  const value = view.get(COUNTERS_KEY);
  if (value === undefined) return { files: 0, bytes: 0 };
  const row = decodeRow(countersRowCodec, value);
  return { files: row.files, bytes: Math.min(Number.MAX_SAFE_INTEGER, row.bytesHigh * COUNTER_WORD + row.bytesLow) };
};

/** Operations that change nothing. `statfs` answers bytes of living slices, which is what the files take. */
export const readHandlers = {
  lookup: entries.lookup,
  lookupNear: entries.lookupNear,
  getattr: content.getattr,
  readdir: entries.readdir,
  readNames: entries.readNames,
  open: content.open,
  chunkRead: content.chunkRead,
  xattrGet: xattrs.xattrGet,
  xattrList: xattrs.xattrList,
  statfs,
  resolve: paths.resolve,
  objectOpen: paths.objectOpen,
  objectHead: paths.objectHead,
  objectList,
  uploadInfo: uploads.uploadInfo,
  uploadParts: uploads.uploadParts,
  uploadList: uploads.uploadList,
  volumeInfo: root.volumeInfo,
  volumeList: root.volumeList,
  keyInfo: root.keyInfo,
  keyList: root.keyList,
} satisfies { [K in MetaOperationName]?: ReadHandler<K> };

export const writeHandlers = {
  setattr: writes<'setattr'>(content.setattr),
  mknod: writes<'mknod'>(entries.mknod),
  mkdir: writes<'mkdir'>(entries.mkdir),
  symlink: writes<'symlink'>(entries.symlink),
  unlink: writes<'unlink'>(entries.unlink),
  rmdir: writes<'rmdir'>(entries.rmdir),
  rename: writes<'rename'>(rename),
  link: writes<'link'>(entries.link),
  chunkCommit: writes<'chunkCommit'>(content.chunkCommit),
  chunkCompact: writes<'chunkCompact'>(content.chunkCompact),
  xattrSet: writes<'xattrSet'>(xattrs.xattrSet),
  xattrRemove: writes<'xattrRemove'>(xattrs.xattrRemove),
  objectPut: writes<'objectPut'>(objects.objectPut),
  objectDelete: writes<'objectDelete'>(objects.objectDelete),
  objectCopy: writes<'objectCopy'>(objects.objectCopy),
  uploadCreate: writes<'uploadCreate'>(uploads.uploadCreate),
  uploadPart: writes<'uploadPart'>(uploads.uploadPart),
  uploadComplete: writes<'uploadComplete'>(uploads.uploadComplete),
  uploadAbort: writes<'uploadAbort'>(uploads.uploadAbort),
  volumeCreate: writes<'volumeCreate'>(root.volumeCreate),
  volumeDelete: writes<'volumeDelete'>(root.volumeDelete),
  keyCreate: writes<'keyCreate'>(root.keyCreate),
  keyDelete: writes<'keyDelete'>(root.keyDelete),
} satisfies { [K in MetaOperationName]?: WriteHandler<K> };

/** Gives an empty group its root directory and counters; does nothing where they stand. */
export function bootstrap(
  transaction: Transaction,
  context: Pick<ReadContext, 'partition'> & { readonly now: Time },
): void {
  if (transaction.get(COUNTERS_KEY) !== undefined) return;
  const { now } = context;
  const attr = {
    inode: rootInode(context.partition),
    mode: Mode.DIRECTORY | 0o755,
    uid: 0,
    gid: 0,
    nlink: 2,
    rdev: 0,
    size: 0,
    atime: now,
    mtime: now,
    ctime: now,
    version: 1,
    flags: 0,
    etag: '',
    target: '',
    object: new Uint8Array(0),
  };
  transaction.put(ROOT_KEY, encodeRow(dentryCodec, { attr, link: 0 }));
  transaction.put(keys.parent(attr.inode), encodeRow(parentRowCodec, { parent: 0, name: '/' }));
  const counters = { nextInode: ROOT_NUMBER + 1, nextReclaim: 1, files: 1, bytesHigh: 0, bytesLow: 0 };
  transaction.put(COUNTERS_KEY, encodeRow(countersRowCodec, counters));
}

export const reclaim = { plan: reclaiming.plan, step: reclaiming.step, finish: reclaiming.finish } as const;
export const fold = { step: foldStep } as const;
export type { ReclaimBlobs, ReclaimOptions, ReclaimPlan } from './reclaim.js';
export { reclaimRange } from './reclaim.js';
export { isEmptyVolume } from './root.js';

type Target = Partial<Record<'inode' | 'parent', number> & Record<'path' | 'target', ByteString>>;

/** What a request is about, for the queue in which requests about one file run in order: an inode, a path, or ''. */
export function hashTarget(name: MetaOperationName, request: object): number | string {
  const fields = request as Target;
  if (name === 'objectDelete') return (request as { paths: readonly ByteString[] }).paths[0] ?? '';
  if (name === 'objectCopy') return fields.target ?? '';
  return fields.inode ?? fields.parent ?? fields.path ?? '';
}
