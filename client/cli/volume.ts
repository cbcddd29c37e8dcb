// `ofs volume`: volumes, which are also buckets.

import type { Command } from 'commander';
import { limits } from '../../proto/limits.js';
import type { MetaOperations } from '../../proto/meta/index.js';
import type { AnswerOf } from '../../proto/operation.js';
import type { RemoteNode } from '../connect/index.js';
import { type JsonOption, jsonOption, type ServerOption, serverOption } from './options.js';
import { formatBytes, formatTime, print, printJson, printTable } from './output.js';
import { withNode } from './session.js';

type Volume = AnswerOf<MetaOperations['volumeInfo']>['volume'];

export function volumeCommand(program: Command): void {
  const volume = program.command('volume').description('create, list, inspect and delete volumes (buckets)');
  volume
    .command('create <name>')
    .description('create a volume; the bucket of that name is the same thing')
    .option('--owner <user>', 'who owns it', '')
    .addOption(serverOption())
    .addOption(jsonOption())
    .action((name: string, options: ServerOption & JsonOption & { owner: string }) => create(name, options));
  volume.command('list').description('list the volumes').addOption(serverOption()).addOption(jsonOption()).action(list);
  volume
    .command('info <name>')
    .description('show what a volume holds')
    .addOption(serverOption())
    .addOption(jsonOption())
    .action(info);
  volume
    .command('delete <name>')
    .description('delete a volume; it must be empty unless --force is given')
    .option('--force', 'delete what it contains too; this cannot be undone', false)
    .addOption(serverOption())
    .action((name: string, options: ServerOption & { force: boolean }) =>
      withNode(options.server, async ({ meta }) => {
        await meta.call('volumeDelete', 0, { name, force: options.force });
        print(`volume ${name} deleted`);
      }),
    );
}

async function create(name: string, options: ServerOption & JsonOption & { owner: string }): Promise<void> {
  await withNode(options.server, async ({ meta }) => {
    const { volume } = await meta.call('volumeCreate', 0, { name, owner: options.owner });
    if (options.json) printJson(shown(volume));
    else print(`volume ${name} created; mount it with: npx ofs mount ${name} DIR`);
  });
}

async function list(options: ServerOption & JsonOption): Promise<void> {
  await withNode(options.server, async (node) => {
    const volumes = await allVolumes(node);
    if (options.json) printJson(volumes.map(shown));
    else {
      const rows = volumes.map((volume) => [volume.name, volume.group, volume.owner, formatTime(volume.created)]);
      printTable(['NAME', 'GROUP', 'OWNER', 'CREATED'], rows);
    }
  });
}

export async function allVolumes({ meta }: RemoteNode): Promise<Volume[]> {
  const volumes: Volume[] = [];
  for (let after = ''; ; after = volumes.at(-1)?.name ?? '') {
    const page = await meta.call('volumeList', 0, { after, limit: limits.listPageEntries });
    volumes.push(...page.volumes);
    if (!page.truncated) return volumes;
  }
}

async function info(name: string, options: ServerOption & JsonOption): Promise<void> {
  await withNode(options.server, async ({ meta }) => {
    const { volume } = await meta.call('volumeInfo', 0, { name });
    const usage = await meta.call('statfs', volume.group, {});
    const group = await meta.call('groupStatus', volume.group, {});
    if (options.json) return printJson({ ...shown(volume), ...usage, group });
    printTable(
      ['VOLUME', volume.name],
      [
        ['created', formatTime(volume.created)],
        ['owner', volume.owner],
        ['files', String(usage.files)],
        ['size', formatBytes(usage.bytes)],
        ['raft group', `${volume.group} (term ${group.term}, applied ${group.appliedIndex} of ${group.lastIndex})`],
        ['database', formatBytes(group.databaseBytes)],
        ['log', formatBytes(group.logBytes)],
        ['sessions', String(group.sessions)],
        ['to reclaim', `${group.reclaimRows} rows`],
      ],
    );
  });
}

function shown(volume: Volume): object {
  const { name, group, owner, created, blockBytes } = volume;
  return { name, group, owner, created: formatTime(created), blockBytes };
}
