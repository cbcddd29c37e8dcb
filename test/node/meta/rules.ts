// Rules as simple as they can be for the tests of the service: extended attributes are rows, and nothing else is.

import type { MetaLogic } from '../../../node/meta/index.js';
import { decode, encode } from '../../../proto/codec.js';
import { afterPrefix, keys, Table, volumeCodec } from '../../../proto/meta/index.js';
import { OfsError, Status } from '../../../proto/status.js';

const NEXT_GROUP = keys.state('next');

export const rules: MetaLogic = {
  readHandlers: {
    xattrGet: (view, { inode, name }) => {
      const value = view.get(keys.xattr(inode, name));
      if (value === undefined) throw new OfsError(Status.NODATA, `inode ${inode} has no attribute ${name}`);
      return { value };
    },
    xattrList: (view, { inode }) => {
      const names: string[] = [];
      view.scan(keys.ofInode(Table.XATTR, inode), keys.afterInode(Table.XATTR, inode), (key) => {
        names.push(key.slice(9));
        return true;
      });
      return { names };
    },
    volumeList: (view) => {
      const volumes: ReturnType<typeof volumeCodec.read>[] = [];
      view.scan(Table.VOLUME, afterPrefix(Table.VOLUME), (_key, value) => {
        volumes.push(decode(volumeCodec, value));
        return true;
      });
      return { volumes, truncated: false };
    },
  },
  writeHandlers: {
    xattrSet: (transaction, { inode, name, value, flags }) => {
      const key = keys.xattr(inode, name);
      if (flags === 1 && transaction.get(key) !== undefined) throw new OfsError(Status.EXIST, `${name} exists`);
      // Something is changed before the error, so that a test can see that it is taken back.
      transaction.put(key, Buffer.from(value));
      if (flags === 4) throw new OfsError(Status.PERM, 'not this one');
      return {};
    },
    xattrRemove: (transaction, { inode, name }) => {
      if (transaction.get(keys.xattr(inode, name)) !== undefined) transaction.delete(keys.xattr(inode, name));
      return {};
    },
    volumeCreate: (transaction, { name, owner }, context) => {
      if (transaction.get(keys.volume(name)) !== undefined) throw new OfsError(Status.VOLUME_EXISTS, `${name} exists`);
      const group = (transaction.get(NEXT_GROUP)?.readUInt32LE(0) ?? 0) + 1;
      const next = Buffer.alloc(4);
      next.writeUInt32LE(group);
      transaction.put(NEXT_GROUP, next);
      const volume = { name, owner, group, partition: group, created: context.now, blockBytes: 4096, relaxed: false };
      transaction.put(keys.volume(name), encode(volumeCodec, volume));
      return { volume };
    },
    volumeDelete: (transaction, { name }) => {
      if (transaction.get(keys.volume(name)) === undefined) throw new OfsError(Status.NO_SUCH_VOLUME, `no ${name}`);
      transaction.delete(keys.volume(name));
      return {};
    },
  },
  bootstrap: (transaction) => {
    transaction.put(keys.state('root'), Buffer.from('made'));
  },
};
