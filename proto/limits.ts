// Every limit of the system, with its unit in its name, and the relations between them. Whoever bounds a queue, cache,
// batch, loop, retry or record takes the number from here; `assertLimits` runs at the start of every process.

import assert from 'node:assert';

const KIB = 1024;
const MIB = 1024 * KIB;

export const limits = {
  // Names and layout of files.
  nameBytes: 255,
  keyBytes: 1024,
  symlinkBytes: 4095,
  xattrNameBytes: 255,
  xattrValueBytes: 64 * KIB,
  objectMetaBytes: 16 * KIB,
  chunkBytes: 64 * MIB,
  blockBytes: 4 * MIB,
  checksumPieceBytes: 64 * KIB,
  fileBytes: 2 ** 50,
  hardLinks: 65_000,

  // Frames.
  frameBodyBytes: 8 * MIB,
  framePayloadBytes: 4 * MIB,
  slicesPerRequest: 4096,
  slicesPerChunkBeforeCompaction: 32,
  slicesPerChunk: 4096,
  chunksPerRead: 32,
  keysPerDelete: 1000,
  listPageEntries: 1000,
  listPageScan: 10_000,
  readdirEntries: 4096,
  multipartParts: 10_000,
  multipartDirectSlices: 1000,
  heldInodesPerRenewal: 65_536,

  // Threads.
  threads: 64,
  ringBytes: 1 * MIB,
  ringMessageBytes: 256 * KIB,
  slabBytes: 64 * MIB,
  slabMinBytes: 16 * KIB,
  slabMaxBytes: 4 * MIB,
  slabWaiters: 32_768,
  ringBatchMessages: 128,
  channelQueueBytes: 16 * MIB,
  threadStopMs: 15_000,
  poolQueueTasks: 1024,
  requestsInFlightPerPeer: 4096,
  ioPoolThreads: 16,

  // Raft, log, transactions.
  raftEntryBytes: 8 * MIB,
  raftUncommittedBytes: 64 * MIB,
  raftInflightMessages: 256,
  raftMessageBytes: 1 * MIB,
  raftMessageEntries: 65_536,
  raftWindowBytes: 4 * MIB,
  raftApplyBytes: 4 * MIB,
  raftGroupsPerThread: 4096,
  raftVoters: 16,
  raftTickMs: 100,
  raftHeartbeatTicks: 1,
  raftElectionTicks: 10,
  walSegmentBytes: 64 * MIB,
  walBatchBytes: 16 * MIB,
  walRecycledSegments: 4,
  walPreparedSegments: 2,
  walReserveBytes: 512 * KIB,
  walFillBytes: 1 * MIB,
  walRetryMs: 1_000,
  transactionKeys: 100_000,
  pendingTransactions: 16_384,
  queueRequests: 16_384,
  dedupeRowsPerSession: 65_536,
  checkpointPieceBytes: 256 * KIB,
  checkpointLogBytes: 256 * MIB,
  sessionLifetimeMs: 15_000,
  sessionRenewMs: 3_000,
  sessions: 65_536,
  reclaimBatch: 256,

  // Block store.
  volumeBytes: 8 * 1024 * MIB,
  volumeNeedles: 1 << 20,
  appendBatchBytes: 16 * MIB,
  appendBatchNeedles: 1024,
  syncReadBytes: 64 * KIB,

  // Connections.
  serverConnections: 16_384,
  connectTimeoutMs: 5_000,
  tcpSendQueueBytes: 32 * MIB,
  reconnectMaxMs: 2_000,
  requestTimeoutMs: 60_000,
  s3Connections: 20_000,
  s3HeaderTimeoutMs: 30_000,
  s3XmlBodyBytes: 2 * MIB,
  s3PartBytes: 5 * 1024 * MIB,
  clockSkewMs: 15 * 60_000,

  // Mounts.
  fuseRequestBytes: 1 * MIB,
  fuseBackgroundRequests: 256,
  writeBufferBytes: 128 * MIB,
  commitIntervalMs: 1_000,
  commitBytes: 32 * MIB,
} as const;

export function assertLimits(): void {
  assert(limits.chunkBytes % limits.blockBytes === 0);
  assert(limits.chunkBytes / limits.blockBytes <= 16, 'a block index has 4 bits');
  assert(limits.blockBytes % limits.checksumPieceBytes === 0);
  assert(limits.framePayloadBytes >= limits.blockBytes);
  assert(limits.slabBytes >= 4 * limits.blockBytes);
  assert((limits.ringBytes & (limits.ringBytes - 1)) === 0);
  assert((limits.ringMessageBytes + 8) * 2 <= limits.ringBytes);
  assert(limits.channelQueueBytes >= limits.frameBodyBytes + limits.framePayloadBytes + limits.ringMessageBytes);
  assert(
    (limits.slabMinBytes & (limits.slabMinBytes - 1)) === 0 && (limits.slabMaxBytes & (limits.slabMaxBytes - 1)) === 0,
  );
  assert(limits.slabMinBytes < limits.slabMaxBytes && limits.slabBytes % limits.slabMaxBytes === 0);
  assert(limits.slabMaxBytes >= limits.framePayloadBytes);
  assert(limits.raftEntryBytes <= limits.walBatchBytes);
  assert(limits.walBatchBytes <= limits.walSegmentBytes / 2);
  assert(limits.raftEntryBytes + limits.walReserveBytes <= limits.walBatchBytes);
  assert(
    limits.raftGroupsPerThread * 64 <= limits.walReserveBytes / 2,
    'a segment opens with the state of every group',
  );
  assert(limits.raftEntryBytes <= limits.raftUncommittedBytes);
  assert(limits.raftElectionTicks >= 3 * limits.raftHeartbeatTicks);
  assert(limits.sessionRenewMs * 3 <= limits.sessionLifetimeMs);
  assert(limits.appendBatchBytes >= limits.blockBytes * 2);
  assert(limits.slicesPerChunkBeforeCompaction < limits.slicesPerChunk);
  assert(limits.multipartDirectSlices <= limits.slicesPerRequest);
}
