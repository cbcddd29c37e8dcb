// Group 0: volumes (buckets of the same names) and access keys. A volume has the raft group and the partition of its
// number. Whether a volume is empty stands in its own group, so whoever serves volumeDelete without `force` asks that
// group first (`isEmptyVolume`), and only then passes the request on with `force`.

import { type Codec, type Decoded, struct, u32 } from '../../../proto/codec.js';
import { PARTITION_MAX, rootInode } from '../../../proto/ids.js';
import { limits } from '../../../proto/limits.js';
import { accessKeyCodec, afterPrefix, keys, Table, volumeCodec } from '../../../proto/meta/index.js';
import { OfsError, Status } from '../../../proto/status.js';
import type { ReadContext, ReadHandler, View } from '../view.js';
import { isEmptyDirectory } from './entries.js';
import type { EditHandler } from './handler.js';
import { decodeRow, encodeRow } from './store.js';

const groupRowCodec = struct({ group: u32 });
const GROUP_KEY = keys.state('lastGroup');

const BUCKET = /^[a-z0-9][a-z0-9.-]{1,61}[a-z0-9]$/;
const ADDRESS = /^\d{1,3}(\.\d{1,3}){3}$/;
const PREFIXES = ['xn--', 'sthree-', 'amzn-s3-demo-'];
const SUFFIXES = ['-s3alias', '--ol-s3', '.mrap', '--x-s3', '--table-s3'];

/** The rules for the names of general purpose buckets (Amazon S3 User Guide, "Bucket naming rules"). */
export function isBucketName(name: string): boolean {
  if (!BUCKET.test(name) || name.includes('..') || ADDRESS.test(name)) return false;
  return !PREFIXES.some((prefix) => name.startsWith(prefix)) && !SUFFIXES.some((suffix) => name.endsWith(suffix));
}

/** Whether a volume has no entries at all, links and special files included. For volumeDelete, in the volume's group. */
export function isEmptyVolume(view: View, context: Pick<ReadContext, 'partition'>): boolean {
  return isEmptyDirectory(view, rootInode(context.partition));
}

function noVolume(name: string): OfsError {
  return new OfsError(Status.NO_SUCH_VOLUME, `there is no volume '${name}'`);
}

export const volumeCreate: EditHandler<'volumeCreate'> = (edit, { name, owner }) => {
  if (!isBucketName(name))
    throw new OfsError(
      Status.INVAL,
      `'${name}' cannot name a volume: 3 to 63 lower-case letters, digits, dots and dashes, as S3 has it for buckets`,
    );
  const key = keys.volume(name);
  if (edit.tx.get(key) !== undefined) throw new OfsError(Status.VOLUME_EXISTS, `volume '${name}' exists already`);
  const last = edit.tx.get(GROUP_KEY);
  const group = last === undefined ? 1 : decodeRow(groupRowCodec, last).group + 1;
  if (group > PARTITION_MAX) throw new OfsError(Status.NOSPC, `all ${PARTITION_MAX} partitions have been given away`);
  const volume = {
    name,
    group,
    partition: group,
    created: edit.now,
    owner,
    blockBytes: limits.blockBytes,
    relaxed: false,
  };
  edit.tx.put(GROUP_KEY, encodeRow(groupRowCodec, { group }));
  edit.tx.put(key, encodeRow(volumeCodec, volume));
  return { volume };
};

export const volumeDelete: EditHandler<'volumeDelete'> = (edit, { name, force }) => {
  const key = keys.volume(name);
  if (edit.tx.get(key) === undefined) throw noVolume(name);
  if (!force) throw new OfsError(Status.NOTEMPTY, `volume '${name}' is not known to be empty: empty it first`);
  edit.tx.delete(key);
  return {};
};

export const volumeInfo: ReadHandler<'volumeInfo'> = (view, { name }) => {
  const value = view.get(keys.volume(name));
  if (value === undefined) throw noVolume(name);
  return { volume: decodeRow(volumeCodec, value) };
};

/** Rows of a table behind a key, at most `limit`, and whether there are more. */
function page<C extends Codec<unknown>>(
  view: View,
  codec: C,
  range: { after: string; table: string },
  limit: number,
): { rows: Decoded<C>[]; truncated: boolean } {
  const rows: Decoded<C>[] = [];
  let truncated = false;
  const most = Math.min(limit, limits.listPageEntries);
  view.scan(`${range.after}\0`, afterPrefix(range.table), (_, value) => {
    truncated = rows.length === most;
    if (!truncated) rows.push(decodeRow(codec, value) as Decoded<C>);
    return !truncated;
  });
  return { rows, truncated };
}

export const volumeList: ReadHandler<'volumeList'> = (view, { after, limit }) => {
  const found = page(view, volumeCodec, { after: keys.volume(after), table: Table.VOLUME }, limit);
  return { volumes: found.rows, truncated: found.truncated };
};

function noKey(accessKey: string): OfsError {
  return new OfsError(Status.NO_SUCH_KEY_ID, `there is no access key '${accessKey}'`);
}

export const keyCreate: EditHandler<'keyCreate'> = (edit, { key: given }) => {
  if (given.accessKey === '' || given.secretKey === '')
    throw new OfsError(Status.INVAL, 'an access key needs an id and a secret, which the caller makes');
  const key = keys.accessKey(given.accessKey);
  if (edit.tx.get(key) !== undefined)
    throw new OfsError(Status.EXIST, `access key '${given.accessKey}' exists already`);
  const row = { ...given, created: edit.now };
  edit.tx.put(key, encodeRow(accessKeyCodec, row));
  return { key: row };
};

export const keyDelete: EditHandler<'keyDelete'> = (edit, { accessKey }) => {
  const key = keys.accessKey(accessKey);
  if (edit.tx.get(key) === undefined) throw noKey(accessKey);
  edit.tx.delete(key);
  return {};
};

export const keyInfo: ReadHandler<'keyInfo'> = (view, { accessKey }) => {
  const value = view.get(keys.accessKey(accessKey));
  if (value === undefined) throw noKey(accessKey);
  return { key: decodeRow(accessKeyCodec, value) };
};

export const keyList: ReadHandler<'keyList'> = (view, { after, limit }) => {
  const found = page(view, accessKeyCodec, { after: keys.accessKey(after), table: Table.ACCESS_KEY }, limit);
  return { keys: found.rows, truncated: found.truncated };
};
