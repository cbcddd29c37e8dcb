// How a thread of the node's own process is a client: rings to the meta and block threads, reads of metadata from the
// databases and of blocks from the volume files directly.

import { openBlockReader } from '../../node/block/index.js';
import { openLocalMeta } from '../../node/meta/index.js';
import type { ThreadHost } from '../../workers/index.js';
import { type BlockStore, createLocalBlockStore } from '../blocks/index.js';
import { MetaClient } from '../channel/index.js';

export interface ColocatedNode {
  readonly meta: MetaClient;
  readonly blocks: BlockStore;
  close(): Promise<void>;
}

/** `host` must have a slab, links to all meta and block threads, and the shared memories `leases` and `arena`. */
export function connectColocated(
  host: ThreadHost<{ directory: string }>,
  warn: (message: string) => void,
): ColocatedNode {
  const { directory } = host.data;
  const local = openLocalMeta({ dataDirectory: directory, leases: host.shared.leases! }); // node/process gives both
  const reader = openBlockReader({ directory, arena: host.shared.arena! });
  const meta = new MetaClient({
    channels: host.peers('meta/').map((peer) => host.channel(peer)),
    local,
    client: `${host.name} of process ${process.pid}`,
    onSession: () => {},
    warn,
  });
  const blocks = createLocalBlockStore({
    channels: host.peers('block/').map((peer) => host.channel(peer)),
    slab: host.slab!, // of every thread that is a client
    reader,
    session: () => meta.sessionNumber,
  });
  return {
    meta,
    blocks,
    close: async () => {
      await blocks.close();
      await meta.close();
      reader.close();
      local.close();
    },
  };
}
