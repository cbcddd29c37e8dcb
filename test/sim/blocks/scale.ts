// Limits that make the block store small, so that a seed of a few milliseconds meets each of its bounds: blocks of 8 KiB
// in pieces of 1 KiB, and what goes with them. Some are read when node/block is loaded: it is loaded, and run, under them.

const KIB = 1024;

export const SCALE: Readonly<Record<string, number>> = {
  blockBytes: 8 * KIB,
  checksumPieceBytes: KIB,
  syncReadBytes: KIB,
  volumeBytes: 1024 * KIB,
  volumeNeedles: 1024,
  volumes: 1024,
  volumeZeroBytes: 2 * KIB,
  blockReserveBytes: 8 * KIB,
  indexArenaLeastBytes: 4096 * KIB,
  compactIntervalMs: 30,
  noSpaceRetryMs: 5,
};
