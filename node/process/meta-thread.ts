// A meta thread: the raft groups that fall to it, for the rings of this process and for TCP. Deleted blobs go to the
// block threads through rings.

import { blockOperations } from '../../proto/block/index.js';
import { encode } from '../../proto/codec.js';
import { blobOf, blockVolume } from '../../proto/ids.js';
import { limits } from '../../proto/limits.js';
import { serverName } from '../../proto/local-socket.js';
import { OfsError, Status, statusName } from '../../proto/status.js';
import { type Channel, joinHost } from '../../workers/index.js';
import { openBlockReader } from '../block/index.js';
import { type DeletedBlob, leasePath, openMetaService } from '../meta/index.js';
import { serveTcp } from '../rpc/index.js';
import type { MetaThreadData } from './thread-data.js';
import { endProcess, threadLog } from './thread-log.js';

const STOP_GRACE_MS = 5_000;

const host = joinHost<MetaThreadData>();
const { node, directory, thread, threads, host: address, port, bootId, leases, metaPorts, blockPorts } = host.data;
const log = threadLog(host.name);
const warn = (message: string): void => log.warn(message);
const blockChannels = host.peers('block/').map((peer) => host.channel(peer));

const reader = openBlockReader({ directory, arena: host.shared.arena! }); // given to every thread by start.ts

const meta = await openMetaService({
  directory,
  thread,
  threads,
  leases: host.shared.leases!, // given to every thread by start.ts
  leaseFile: leases === 0 ? undefined : leasePath(directory),
  bootId,
  deleteBlobs,
  readBlock: (block, target) => (reader.readSync(block, 0, target) ? reader.spanOf(block) : null),
  writeBlock,
  clusterInfo: { node, bootId, directory, leases, metaPorts: [...metaPorts], blockPorts: [...blockPorts] },
  warn,
  fatal: endProcess(log),
});
// Before its groups are open it would answer that they are not here.
await meta.ready;
host.serve(meta.service);
const tcp = await serveTcp({
  host: address,
  port,
  service: meta.service,
  name: serverName(node, host.name),
  local: true,
  warn,
});
host.onStop(async () => {
  await tcp.close(STOP_GRACE_MS);
  await meta.close();
  reader.close();
});
host.ready();

let nextBlockThread = 0;

/** Resolves with the blob when the block is on disk. */
function writeBlock(session: number, crc: number, data: Buffer): Promise<number> {
  const { code, request, answer } = blockOperations.blockWrite;
  const channel = blockChannels[nextBlockThread++ % blockChannels.length]!; // at least one
  return new Promise((resolve, reject) => {
    const body = encode(request, { session, blob: 0, index: 0, checksums: [crc] });
    channel.call(code, 0, body, data, (status, bytes) => {
      if (status === Status.OK) resolve(answer.read(bytes).blob);
      else reject(new OfsError(status as Status, `writing a block of ${data.length} bytes: ${statusName(status)}`));
    });
  });
}

/** Resolves when the tombstones of all blobs are on disk. */
async function deleteBlobs(blobs: readonly DeletedBlob[]): Promise<void> {
  const byThread = blockChannels.map((): DeletedBlob[] => []);
  for (const blob of blobs) byThread[blockVolume(blobOf(blob.blob)) % byThread.length]!.push(blob);
  await Promise.all(blockChannels.map((channel, index) => deleteAt(channel, byThread[index]!)));
}

async function deleteAt(channel: Channel, blobs: DeletedBlob[]): Promise<void> {
  for (let at = 0; at < blobs.length; at += limits.reclaimBatch) {
    const page = blobs.slice(at, at + limits.reclaimBatch);
    const { code, request } = blockOperations.blockDelete;
    await new Promise<void>((resolve, reject) => {
      channel.call(code, 0, encode(request, { blobs: page }), null, (status) => {
        if (status === Status.OK) resolve();
        else reject(new OfsError(status as Status, `deleting ${page.length} blobs: ${statusName(status)}`));
      });
    });
  }
}
