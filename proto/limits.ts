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
  linkRowBytes: 2 * MIB,
  xattrsPerInode: 4096,
  directoryDepth: 4096,

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
  /** The largest file whose bytes an open brings along, and the most bytes that go with their commit. */
  inlineBytes: 16 * KIB,
  /** Entries that an answer brings along with the one that was asked for. */
  neighbours: 256,
  multipartParts: 10_000,
  multipartDirectSlices: 1000,
  multipartMinPartBytes: 5 * MIB,
  slicesPerPartChunk: 256,
  truncateSlices: 16_384,
  visibleScan: 1000,
  prunedPerRequest: 4096,
  heldInodesPerRenewal: 65_536,

  // Threads.
  threads: 64,
  ringBytes: 1 * MIB,
  ringMessageBytes: 256 * KIB,
  slabBytes: 64 * MIB,
  slabMinBytes: 16 * KIB,
  slabMaxBytes: 4 * MIB,
  slabWaiters: 32_768,
  ringBatchMessages: 32,
  ringBatchMs: 1,
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
  raftLearners: 64,
  raftInflightBytes: 16 * MIB,
  raftReadRounds: 16,
  raftReadsWaiting: 65_536,
  raftBatchMessages: 65_536,
  raftSnapshotPieceBytes: 256 * KIB,
  /** Snapshots that a node sends at once, and ticks after which a piece that was not answered is sent again. */
  raftSnapshotsSending: 4,
  raftPieceTicks: 5,
  /** How far behind the leader a learner may be to become a voter. */
  raftPromotionLagEntries: 1024,
  raftSnapshotTicks: 100,
  raftHoldTicks: 3_000,
  raftQuiesceTicks: 50,
  raftPriorities: 4,
  /** How much the rates of two machines' monotonic clocks may differ from true time, each. */
  raftClockErrorPpm: 1_000,
  /** How much earlier than its period a timer may fire. */
  raftTickEarlyMs: 1,
  raftTickMs: 100,
  raftHeartbeatTicks: 1,
  raftElectionTicks: 10,
  walSegmentBytes: 64 * MIB,
  walBatchBytes: 16 * MIB,
  /** The largest batch that the log's own thread writes, and the longest that it waits for the disk, on average. */
  walOwnWriteBytes: 8 * KIB,
  walOwnWriteMs: 0.5,
  walRecycledSegments: 4,
  walPreparedSegments: 2,
  walReserveBytes: 512 * KIB,
  walFillBytes: 256 * KIB,
  walRetryMs: 1_000,
  walProofMs: 500,
  transactionKeys: 100_000,
  longTransactionReads: 1 << 20,
  longTransactionHistory: 1 << 20,
  longTransactionAttempts: 8,
  pendingTransactions: 16_384,
  queueRequests: 16_384,
  dedupeRowsPerSession: 65_536,
  queueBytes: 64 * MIB,
  fileQueues: 1024,
  fileQueueRequests: 1024,
  metaReaders: 1024,
  metaMapBytes: 64 * MIB,
  metaReserveBytes: 16 * MIB,
  checkpointRetryMs: 10_000,
  checkpointPieceBytes: 256 * KIB,
  checkpointPauseMs: 2,
  checkpointLogBytes: 256 * MIB,
  checkpointLogShare: 0.25,
  sessionLifetimeMs: 15_000,
  sessionRenewMs: 3_000,
  sessions: 65_536,
  sessionForgetMs: 60_000,
  sessionEndedKeepMs: 2 * 3_600_000,
  /** How long ago a block's writer must have ended before a sweep may free it. */
  garbageAgeMs: 3_600_000,
  heldInodesPerSession: 1 << 20,
  /** How long what an expired session held stays held: its client may only have stood still. */
  lostHoldMs: 150_000,
  /** Inodes held for expired sessions; beyond, those of the session lost first are let go. */
  lostHolds: 1 << 22,
  reclaimBatch: 256,
  /** What is given up stays this long: for readers that no session names yet, and commits that are sent again. */
  reclaimAgeMs: 150_000,
  reclaimRows: 64,
  reclaimScan: 4096,
  foldStepSlices: 1024,
  metaJobsMs: 1_000,

  // Block store.
  volumeBytes: 8 * 1024 * MIB,
  volumeNeedles: 1 << 20,
  appendBatchBytes: 16 * MIB,
  appendBatchNeedles: 1024,
  syncReadBytes: 64 * KIB,
  /** Batches up to this are written and synced without leaving the block thread. */
  appendSyncBytes: 1 * MIB,
  /** Batches up to this are written over zeros written ahead. */
  appendZeroedBytes: 128 * KIB,
  volumeZeroBytes: 1 * MIB,
  volumeExtendBytes: 64 * MIB,
  openVolumesPerThread: 2,
  volumes: 65_536,
  volumeFilesPerThread: 256,
  indexArenaBytes: 16 * 1024 * MIB,
  indexArenaLeastBytes: 64 * MIB,
  indexSyncLines: 65_536,
  indexBacklogLines: 65_536,
  blockListEntries: 16_384,
  blockReadsInFlight: 64,
  blockReadBufferBytes: 64 * MIB,
  noSpaceRetryMs: 1_000,
  /** Kept on the disk of each block thread, so that a full disk still takes deletions. */
  blockReserveBytes: 16 * MIB,
  compactHolePercent: 50,
  /** A volume that still grows is sealed for a compaction asked for by hand only if it gives back this much. */
  compactOpenHoleBytes: 64 * MIB,
  compactIntervalMs: 10_000,
  compactBytesPerSecond: 64 * MIB,
  compactStepBytes: 4 * MIB,

  // Connections.
  serverConnections: 16_384,
  connectTimeoutMs: 5_000,
  tcpSendQueueBytes: 32 * MIB,
  reconnectMaxMs: 2_000,
  requestTimeoutMs: 60_000,
  s3Connections: 20_000,
  /** Descriptors that S3 connections leave to files and other ports. */
  reservedDescriptors: 2048,
  s3HeaderTimeoutMs: 30_000,
  s3XmlBodyBytes: 2 * MIB,
  s3PartBytes: 5 * 1024 * MIB,
  s3HeaderBytes: 16 * KIB,
  s3UserMetadataBytes: 2 * KIB,
  s3ChunkLineBytes: 4 * KIB,
  s3KnownAccessKeys: 1024,
  s3SigningKeys: 16,
  s3AccessKeyMs: 5_000,
  s3ReadPieceBytes: 512 * KIB,
  s3ReadPieces: 128,
  s3DrainBytes: 16 * MIB,
  s3StallMs: 120_000,
  s3StallRetryMs: 4_000,
  s3CloseMs: 10_000,
  s3ListRounds: 64,
  s3BucketsListed: 10_000,
  s3CopyAttempts: 4,
  clockSkewMs: 15 * 60_000,

  // Block clients.
  writerStartBytes: 64 * KIB,
  writerFloorBytes: 512 * KIB,
  writerPatienceMs: 250,
  blocksInFlightPerBlob: 4,
  blocksInFlightPerWriter: 4,
  blobRedirects: 8,
  readsInFlightPerRequest: 16,
  placesCached: 16_384,
  volumeFilesOpen: 256,

  // Mounts.
  fuseRequestBytes: 1 * MIB,
  fuseBackgroundRequests: 256,
  fuseHeaderBytes: 4096,
  fuseThreads: 8,
  fuseWriteSlotsPerThread: 32,
  fuseSpillBytes: 64 * MIB,
  fuseRequestsInFlight: 1024,
  fuseRequestsPerTurn: 64,
  fuseReadBufferBytes: 64 * MIB,
  fuseDirectoryPageEntries: 1024,
  fuseDirectoryEntries: 16_384,
  fuseNotices: 65_536,
  /** Files open for writing at once of which device threads know, and files closed with bytes that no flush covered. */
  /** Files open for writing of which device threads know that they have no attributes; a prime. */
  fusePlainFiles: 8191,
  fuseFlushWords: 16_384,
  fuseOwingFiles: 65_536,
  /** Entries of directories that a mount keeps, and directories with any. */
  fuseNeighbours: 16_384,
  fuseReadAheadBytes: 4 * MIB,
  fuseStopMs: 5_000,
  /** Writes of one file that wait for their commit, and how long the last, unfinished block of it may wait. */
  pendingRunsPerFile: 1024,
  partialBlockMs: 5_000,
  commitAttempts: 5,
  chunksPerCommit: 256,
  chunksCachedPerFile: 4096,
  blockCacheBytes: 128 * MIB,
  cachedReadBytes: 128 * KIB,
  readAheadBytes: 8 * MIB,
  readAheadTotalBytes: 128 * MIB,
  compactionQueue: 1024,
  compactionKeepBytes: 1 * MIB,
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
  assert(limits.raftInflightBytes >= limits.raftEntryBytes && limits.raftInflightBytes >= limits.raftMessageBytes);
  assert(limits.raftSnapshotTicks < limits.raftHoldTicks, 'a snapshot that hangs is sent again while the log is kept');
  assert(limits.raftPieceTicks * 4 < limits.raftSnapshotTicks, 'a lost piece is sent again before its snapshot fails');
  assert(limits.raftTickEarlyMs < limits.raftTickMs);
  assert(limits.garbageAgeMs < limits.sessionEndedKeepMs);
  assert(limits.reclaimAgeMs >= 2 * limits.sessionLifetimeMs && limits.reclaimAgeMs > 2 * limits.requestTimeoutMs);
  assert(limits.sessionRenewMs * 3 <= limits.sessionLifetimeMs);
  assert(limits.lostHolds >= limits.heldInodesPerSession && limits.lostHoldMs > limits.sessionLifetimeMs);
  assert(limits.dedupeRowsPerSession < limits.transactionKeys, 'a session ends in one transaction');
  assert(limits.heldInodesPerRenewal <= limits.heldInodesPerSession);
  assert(limits.queueBytes >= limits.frameBodyBytes);
  assert(limits.appendBatchBytes >= limits.blockBytes * 2);
  assert(limits.appendZeroedBytes <= limits.appendSyncBytes && limits.appendSyncBytes < limits.appendBatchBytes);
  assert(limits.volumeNeedles <= 2 ** 25, 'a sequence has 25 bits');
  assert(limits.volumeBytes <= 2 ** 34, 'an index line counts 8 bytes in 31 bits');
  assert(limits.blockReadBufferBytes >= limits.blockBytes * 2);
  assert(limits.compactStepBytes >= limits.blockBytes);
  assert(limits.slicesPerChunkBeforeCompaction < limits.slicesPerChunk);
  assert(limits.fuseRequestBytes >= limits.xattrValueBytes + limits.fuseHeaderBytes);
  assert(limits.fuseReadBufferBytes >= 4 * limits.fuseRequestBytes);
  assert(limits.fuseDirectoryPageEntries <= limits.readdirEntries);
  assert(limits.neighbours <= limits.readdirEntries && limits.fuseNeighbours >= 16 * limits.neighbours);
  assert(limits.inlineBytes <= limits.checksumPieceBytes && limits.inlineBytes <= limits.syncReadBytes);
  assert(limits.fuseFlushWords < 2 ** 21, 'the upper half of a handle below 2^53');
  assert(limits.fuseDirectoryEntries >= 4 * limits.fuseDirectoryPageEntries);
  assert(limits.multipartDirectSlices <= limits.slicesPerRequest);
  assert(
    (Math.ceil(limits.chunkBytes / limits.multipartMinPartBytes) + 1) * limits.slicesPerPartChunk <
      limits.slicesPerChunk,
  );
  assert(limits.truncateSlices * 3 <= limits.transactionKeys);
  assert(limits.multipartParts * 4 <= limits.transactionKeys);
  assert(limits.writerStartBytes <= limits.writerFloorBytes && limits.writerFloorBytes <= limits.blockBytes);
  assert(limits.slabBytes >= limits.blocksInFlightPerWriter * limits.blockBytes);
  assert(limits.pendingRunsPerFile <= limits.slicesPerRequest);
  assert(limits.chunksPerCommit <= limits.chunksPerRead * 8, 'what chunkCommit takes');
  assert(limits.chunksCachedPerFile >= limits.chunksPerRead);
  assert(limits.cachedReadBytes <= limits.blockBytes && limits.readAheadBytes <= limits.readAheadTotalBytes);
}
