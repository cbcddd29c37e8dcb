// What every command that asks a running node begins and ends with.

import { connectRemote, type RemoteNode } from '../connect/index.js';
import type { Address } from './addresses.js';
import { say } from './output.js';

/** Runs `work` with a connection to the node at `server`, which is closed however it ends. */
export async function withNode<T>(server: Address, work: (node: RemoteNode) => Promise<T>): Promise<T> {
  const node = await connectRemote({ server, client: `ofs command, process ${process.pid}`, warn: say });
  try {
    return await work(node);
  } finally {
    await node.close();
  }
}
