// The operations of a block server. A block is written once and never changed; its id names its volume.

import { bool, fixed32, list, struct, text, u16, u32, u53 } from '../codec.js';
import { limits } from '../limits.js';
import { operation, table } from '../operation.js';

/** CRC-32 (zlib's) of each limits.checksumPieceBytes of a block's data, the last piece shorter. */
export const checksumsCodec = list(fixed32, limits.blockBytes / limits.checksumPieceBytes);

const place = { volume: u32, file: text(4096), offset: u53, length: u32, checksums: checksumsCodec };

export const blockOperations = table({
  /**
   * Payload: the block. Answered when it is on disk. `blob` 0 begins a blob (then `index` must be 0) in a volume of the
   * server's choice; another continues it, or fails with SEALED when its volume takes no more.
   */
  blockWrite: operation(
    'write',
    200,
    { session: u53, blob: u53, index: u16, checksums: checksumsCodec },
    { blob: u53 },
  ),
  /** Payload of the answer: the pieces that [offset, offset + length) touches, whole, with their checksums. */
  blockRead: operation(
    'read',
    201,
    { block: u53, offset: u32, length: u32 },
    { start: u32, blockLength: u32, checksums: checksumsCodec },
  ),
  /** The place of a block's data in a file of the server's machine, for a client that is on it. */
  blockLocate: operation('read', 202, { block: u53 }, place),
  /** Idempotent; answered when the tombstones are on disk. */
  blockDelete: operation('write', 203, { blobs: list(struct({ blob: u53, blocks: u16 }), limits.reclaimBatch) }, {}),
  /** Living blocks of a volume in order of id, for fsck and mark-and-sweep. */
  blockList: operation(
    'read',
    204,
    { volume: u32, after: u53, limit: u32 },
    {
      blocks: list(struct({ block: u53, length: u32, session: u53 }), 65_536),
      end: bool,
    },
  ),
  volumeStats: operation(
    'read',
    205,
    {},
    {
      volumes: list(
        struct({ volume: u32, sealed: u16, fileBytes: u53, liveBytes: u53, needles: u32, liveNeedles: u32 }),
        65_536,
      ),
      freeBytes: u53,
      totalBytes: u53,
    },
  ),
  /** Copies the living needles of volumes whose share of holes is above `holePercent`, worst first; answers bytes freed. */
  volumeCompact: operation('write', 206, { holePercent: u16 }, { freedBytes: u53, volumes: u32 }),
});

export type BlockOperations = typeof blockOperations;
