// A volume of a remote node, by inode or by path.

import { rootInode } from '../../proto/ids.js';
import { type BlockStore, createRemoteBlockStore } from '../blocks/index.js';
import { createPathFs, type PathFs } from '../pathfs/index.js';
import { createVfs, type Vfs } from '../vfs/index.js';
import type { RemoteNode } from './remote.js';

export interface VolumeOptions {
  /** A directory of the volume to take for the root; '' for the volume's own. */
  readonly subdir: string;
  /** Memory for blocks that were read, and for bytes written that are on their way. */
  readonly cacheBytes: number;
  readonly bufferBytes: number;
  readonly warn: (message: string) => void;
}

/** Rejects with OfsError NO_SUCH_VOLUME, NOENT or NOTDIR. */
export async function openVolume(node: RemoteNode, name: string, options: VolumeOptions): Promise<Vfs> {
  const { meta } = node;
  const { volume } = await meta.call('volumeInfo', 0, { name });
  const { group } = volume;
  const path = Buffer.from(options.subdir.replace(/^\/+|\/+$/g, ''), 'utf8').latin1Slice();
  const root =
    path === '' ? rootInode(volume.partition) : (await meta.call('resolve', group, { path: `${path}/` })).attr.inode;
  await meta.session(group);
  const blocks = blockStore(node, options.bufferBytes);
  const { directory, leases } = node.info;
  const database = node.readsHere ? { directory, instance: leases, group } : null;
  return createVfs({ meta, blocks, group, root, database, cacheBytes: options.cacheBytes, warn: options.warn });
}

/** Rejects with OfsError NO_SUCH_VOLUME. */
export async function openPathFs(node: RemoteNode, name: string): Promise<PathFs> {
  const { volume } = await node.meta.call('volumeInfo', 0, { name });
  const { group } = volume;
  await node.meta.session(group);
  return createPathFs({ meta: node.meta, blocks: blockStore(node), group });
}

function blockStore({ meta, blockChannels, info, readsHere }: RemoteNode, bufferBytes?: number): BlockStore {
  return createRemoteBlockStore({
    channels: blockChannels,
    session: () => meta.sessionNumber,
    nodeBootId: info.bootId,
    directory: readsHere ? info.directory : null,
    bufferBytes,
  });
}
