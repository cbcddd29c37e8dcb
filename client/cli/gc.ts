// `ofs gc`: frees blocks that no metadata names (uploads that were cut off, clients that died before their commit), and
// gives back the holes of deleted ones. A block is garbage only if the session that wrote it has ended
// limits.garbageAgeMs ago: nothing can be committed for an ended session, so nothing can come to name it.

import { type Command, InvalidArgumentError } from 'commander';
import { blockOperations } from '../../proto/block/index.js';
import { decode } from '../../proto/codec.js';
import { blobOf, blockIndex, blockVolume } from '../../proto/ids.js';
import { limits } from '../../proto/limits.js';
import { chunkRowCodec, keyNumber, reclaimRowCodec, sessionRowCodec, Table } from '../../proto/meta/index.js';
import { callBlocks, type RemoteNode } from '../connect/index.js';
import { type JsonOption, jsonOption, type ServerOption, serverOption } from './options.js';
import { formatBytes, Progress, print, printJson } from './output.js';
import { livingBlocks, tableRows } from './scan.js';
import { withNode } from './session.js';
import { allVolumes } from './volume.js';

interface GcOptions extends ServerOption, JsonOption {
  dryRun: boolean;
  holes: number;
}

/** Blobs that nothing names, with the session that wrote them. */
type Garbage = Map<number, { blocks: number; bytes: number; session: number }>;

export function gcCommand(program: Command): void {
  program
    .command('gc')
    .description('free blocks that nothing names, and the holes that deleted ones have left')
    .option('--dry-run', 'only say what would be freed', false)
    .option('--holes <percent>', 'compact volume files with at least this share of holes', parsePercent, 20)
    .addOption(serverOption())
    .addOption(jsonOption())
    .action((options: GcOptions) => withNode(options.server, (node) => collect(node, options)));
}

function parsePercent(text: string): number {
  const percent = Number(text);
  if (!Number.isInteger(percent) || percent < 0 || percent > 100) throw new InvalidArgumentError('Give 0 to 100.');
  return percent;
}

/** Exported for tests, which change the node while it is looked at. */
export async function collect(node: RemoteNode, options: Omit<GcOptions, 'server'>): Promise<void> {
  const progress = new Progress();
  const garbage = await findUnnamed(node, progress);
  progress.end();
  if (!options.dryRun) await free(node, garbage);
  const compacted = options.dryRun ? { freedBytes: 0, volumes: 0 } : await compact(node, options.holes);
  const bytes = [...garbage.values()].reduce((total, blob) => total + blob.bytes, 0);
  if (options.json) return printJson({ blobs: garbage.size, bytes, freed: !options.dryRun, compacted });
  print(`${garbage.size} blobs that nothing names, ${formatBytes(bytes)}: ${options.dryRun ? 'not ' : ''}freed`);
  print(`${compacted.volumes} volume files compacted, ${formatBytes(compacted.freedBytes)} given back`);
}

/**
 * Names are read in pages while they change, so a blob is garbage only if it is unnamed in two readings, before and
 * after the blocks were listed. The second one finds the names in volumes made since the first, and of blobs that were
 * cloned to a place that had been read already before their source was deleted.
 */
async function findUnnamed(node: RemoteNode, progress: Progress): Promise<Garbage> {
  const groups = await allGroups(node);
  const before = await livingSessions(node, groups);
  const garbage = await findGarbage(node, await namedBlobs(node, groups, progress), progress);
  // A client writes as soon as it has asked for its session: what was not known before may be by now.
  await new Promise((resolve) => setTimeout(resolve, limits.sessionRenewMs));
  const groupsNow = await allGroups(node);
  const after = await livingSessions(node, groupsNow);
  for (const [blob, { session }] of garbage) {
    if (before.has(session) || after.has(session)) garbage.delete(blob);
  }
  if (garbage.size === 0) return garbage;
  for (const blob of await namedBlobs(node, groupsNow, progress)) garbage.delete(blob);
  return garbage;
}

async function allGroups(node: RemoteNode): Promise<number[]> {
  return (await allVolumes(node)).map(({ group }) => group);
}

/** Sessions that are open, or ended too lately for their blocks to be taken as garbage. */
async function livingSessions(node: RemoteNode, groups: readonly number[]): Promise<Set<number>> {
  const living = new Set<number>();
  const youngMs = Date.now() - limits.garbageAgeMs;
  for (const group of groups) {
    for await (const { key, value } of tableRows(node, group, Table.SESSION)) {
      const { endedMs } = decode(sessionRowCodec, Buffer.from(value));
      if (endedMs === 0 || endedMs > youngMs) living.add(keyNumber(key));
    }
  }
  return living;
}

async function namedBlobs(node: RemoteNode, groups: readonly number[], progress: Progress): Promise<Set<number>> {
  const named = new Set<number>();
  for (const group of groups) {
    for await (const { value } of tableRows(node, group, Table.CHUNK)) {
      for (const { blob } of decode(chunkRowCodec, Buffer.from(value)).slices) named.add(blob);
      progress.update(`${named.size} blobs named`);
    }
    for await (const { value } of tableRows(node, group, Table.RECLAIM)) {
      for (const { blob } of decode(reclaimRowCodec, Buffer.from(value)).blobs) named.add(blob);
    }
  }
  return named;
}

async function findGarbage(node: RemoteNode, named: ReadonlySet<number>, progress: Progress): Promise<Garbage> {
  const garbage: Garbage = new Map();
  let seen = 0;
  for await (const { block, length, session } of livingBlocks(node)) {
    progress.update(`${++seen} blocks looked at`);
    const blob = blobOf(block);
    if (named.has(blob)) continue;
    const known = garbage.get(blob) ?? { blocks: 0, bytes: 0, session };
    garbage.set(blob, {
      blocks: Math.max(known.blocks, blockIndex(block) + 1),
      bytes: known.bytes + length,
      session,
    });
  }
  return garbage;
}

async function free(node: RemoteNode, garbage: Garbage): Promise<void> {
  const pages = node.blockChannels.map((): { blob: number; blocks: number }[][] => [[]]);
  for (const [blob, { blocks }] of garbage) {
    const ofThread = pages[blockVolume(blob) % pages.length]!; // one list a thread
    if (ofThread.at(-1)!.length === limits.reclaimBatch) ofThread.push([]); // never without a page
    ofThread.at(-1)!.push({ blob, blocks });
  }
  for (const [thread, ofThread] of pages.entries()) {
    for (const blobs of ofThread) {
      if (blobs.length > 0) await callBlocks(node.blockChannels[thread]!, blockOperations.blockDelete, { blobs });
    }
  }
}

async function compact(node: RemoteNode, holePercent: number): Promise<{ freedBytes: number; volumes: number }> {
  const total = { freedBytes: 0, volumes: 0 };
  for (const channel of node.blockChannels) {
    const done = await callBlocks(channel, blockOperations.volumeCompact, { holePercent });
    total.freedBytes += done.freedBytes;
    total.volumes += done.volumes;
  }
  return total;
}
