// Walks over everything a node stores, a page at a time: rows of a group, living blocks of all volume files.

import { blockOperations } from '../../proto/block/index.js';
import type { ByteString } from '../../proto/codec.js';
import { OfsError, Status } from '../../proto/status.js';
import { callBlocks, type RemoteNode } from '../connect/index.js';

const ROWS_PER_PAGE = 4096;
const BLOCKS_PER_PAGE = 16_384;

export interface Row {
  readonly key: ByteString;
  readonly value: Uint8Array;
}

/**
 * Rows of a group whose keys begin with `prefix`, in order. Each page is as of its own time; a volume that is deleted
 * meanwhile has no more rows.
 */
export async function* tableRows({ meta }: RemoteNode, group: number, prefix: ByteString): AsyncGenerator<Row> {
  for (let after = ''; ; ) {
    const page = await meta.call('tableScan', group, { after, prefix, limit: ROWS_PER_PAGE }).catch(ifGone);
    if (page === undefined) return;
    yield* page.rows;
    if (page.end) return;
    after = page.rows.at(-1)?.key ?? after;
  }
}

/** For calls about a group whose volume may be deleted while a command runs: undefined, then. */
export function ifGone(error: unknown): undefined {
  if (!(error instanceof OfsError)) throw error;
  if (error.status !== Status.NO_SUCH_GROUP && error.status !== Status.NO_SUCH_VOLUME) throw error;
}

export interface LivingBlock {
  readonly block: number;
  readonly length: number;
  /** The session that wrote it. */
  readonly session: number;
}

export async function* livingBlocks({ blockChannels }: RemoteNode): AsyncGenerator<LivingBlock> {
  for (const channel of blockChannels) {
    const { volumes } = await callBlocks(channel, blockOperations.volumeStats, {});
    for (const { volume } of volumes) {
      for (let after = 0; ; ) {
        const request = { volume, after, limit: BLOCKS_PER_PAGE };
        const page = await callBlocks(channel, blockOperations.blockList, request);
        yield* page.blocks;
        if (page.end) break;
        after = page.blocks.at(-1)?.block ?? after;
      }
    }
  }
}
