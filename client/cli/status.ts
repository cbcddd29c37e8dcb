// `ofs status`: how the node and its volumes are.

import type { Command } from 'commander';
import { blockOperations } from '../../proto/block/index.js';
import type { RemoteNode } from '../connect/index.js';
import { callBlocks } from '../connect/index.js';
import { type JsonOption, jsonOption, type ServerOption, serverOption } from './options.js';
import { formatBytes, print, printJson, printTable } from './output.js';
import { ifGone } from './scan.js';
import { withNode } from './session.js';
import { allVolumes } from './volume.js';

export function statusCommand(program: Command): void {
  program
    .command('status')
    .description('show the node: threads, volumes, space')
    .addOption(serverOption())
    .addOption(jsonOption())
    .action((options: ServerOption & JsonOption) => withNode(options.server, (node) => show(node, options)));
}

async function show(node: RemoteNode, { json }: JsonOption): Promise<void> {
  const volumes = await Promise.all((await allVolumes(node)).map((volume) => group(node, volume).catch(ifGone)));
  const groups = volumes.filter((volume) => volume !== undefined);
  const stores = await Promise.all(
    node.blockChannels.map((channel) => callBlocks(channel, blockOperations.volumeStats, {})),
  );
  const files = stores.flatMap((store) => store.volumes);
  const space = {
    freeBytes: stores[0]?.freeBytes ?? 0,
    totalBytes: stores[0]?.totalBytes ?? 0,
    volumeFiles: files.length,
    needles: sum(files.map((file) => file.liveNeedles)),
    liveBytes: sum(files.map((file) => file.liveBytes)),
    fileBytes: sum(files.map((file) => file.fileBytes)),
  };
  if (json) return printJson({ node: node.info, volumes: groups, blocks: space });
  print(`meta ports ${node.info.metaPorts.join(', ')}   block ports ${node.info.blockPorts.join(', ')}`);
  print(
    `blocks: ${space.needles} needles, ${formatBytes(space.liveBytes)} living in ${formatBytes(space.fileBytes)} of ` +
      `${space.volumeFiles} volume files; disk ${formatBytes(space.freeBytes)} free of ${formatBytes(space.totalBytes)}`,
  );
  printTable(
    ['VOLUME', 'FILES', 'SIZE', 'GROUP', 'TERM', 'APPLIED', 'LOG', 'DATABASE', 'SESSIONS', 'RECLAIM'],
    groups.map((row) => [
      row.name,
      row.files,
      formatBytes(row.bytes),
      row.group,
      row.term,
      row.appliedIndex,
      formatBytes(row.logBytes),
      formatBytes(row.databaseBytes),
      row.sessions,
      row.reclaimRows,
    ]),
  );
}

async function group({ meta }: RemoteNode, { name, group }: { name: string; group: number }) {
  const [usage, status] = await Promise.all([meta.call('statfs', group, {}), meta.call('groupStatus', group, {})]);
  return { name, group, ...usage, ...status };
}

function sum(values: number[]): number {
  return values.reduce((total, value) => total + value, 0);
}
