// `ofs key`: the access keys of S3.

import { randomBytes } from 'node:crypto';
import type { Command } from 'commander';
import { limits } from '../../proto/limits.js';
import type { MetaOperations } from '../../proto/meta/index.js';
import type { RequestOf } from '../../proto/operation.js';
import { type JsonOption, jsonOption, type ServerOption, serverOption } from './options.js';
import { formatTime, print, printJson, printTable } from './output.js';
import { withNode } from './session.js';

type AccessKey = RequestOf<MetaOperations['keyCreate']>['key'];

const ALPHABET = 'ABCDEFGHIJKLMNOPQRSTUVWXYZ234567';

/** A new pair of keys of the form and length that S3 clients know: 20 and 40 characters. */
export function makeKeys(): { accessKey: string; secretKey: string } {
  const accessKey = `OFS${[...randomBytes(17)].map((byte) => ALPHABET[byte % 32]).join('')}`;
  return { accessKey, secretKey: randomBytes(30).toString('base64url') };
}

interface CreateOptions extends ServerOption, JsonOption {
  accessKey?: string;
  secretKey?: string;
  user: string;
  email: string;
}

export function keyCommand(program: Command): void {
  const key = program.command('key').description('create, list and delete S3 access keys');
  key
    .command('create')
    .description('create an access key; it is made, or given with --access-key and --secret-key together')
    .option('--access-key <id>', 'the access key id')
    .option('--secret-key <secret>', 'the secret key')
    .option('--user <name>', 'whose key it is', 'admin')
    .option('--email <address>', "the user's address", '')
    .addOption(serverOption())
    .addOption(jsonOption())
    .action(create);
  key.command('list').description('list the keys').addOption(serverOption()).addOption(jsonOption()).action(list);
  key
    .command('delete <access-key>')
    .description('delete a key; requests signed with it fail from then on, at the latest after 5 seconds')
    .addOption(serverOption())
    .action((accessKey: string, options: ServerOption) =>
      withNode(options.server, async ({ meta }) => {
        await meta.call('keyDelete', 0, { accessKey });
        print(`key ${accessKey} deleted`);
      }),
    );
}

async function create(options: CreateOptions, command: Command): Promise<void> {
  const { accessKey, secretKey, user, email } = options;
  if ((accessKey === undefined) !== (secretKey === undefined)) {
    command.error('error: give --access-key and --secret-key together, or neither', { exitCode: 2 });
  }
  const made = makeKeys();
  const wanted: AccessKey = {
    accessKey: accessKey ?? made.accessKey,
    secretKey: secretKey ?? made.secretKey,
    user,
    email,
    created: { sec: 0, nsec: 0 },
  };
  await withNode(options.server, async ({ meta }) => {
    const { key } = await meta.call('keyCreate', 0, { key: wanted });
    if (options.json) return printJson({ ...key, created: formatTime(key.created) });
    print(`access key  ${key.accessKey}`);
    print(`secret key  ${key.secretKey}`);
    print('The secret is not shown again by `ofs key list`.');
  });
}

async function list(options: ServerOption & JsonOption): Promise<void> {
  await withNode(options.server, async ({ meta }) => {
    const keys: AccessKey[] = [];
    for (let after = ''; ; after = keys.at(-1)?.accessKey ?? '') {
      const page = await meta.call('keyList', 0, { after, limit: limits.listPageEntries });
      keys.push(...page.keys);
      if (!page.truncated) break;
    }
    const rows = keys.map((key) => ({ ...key, secretKey: undefined, created: formatTime(key.created) }));
    if (options.json) printJson(rows);
    else {
      const cells = rows.map((row) => [row.accessKey, row.user, row.email, row.created]);
      printTable(['ACCESS KEY', 'USER', 'EMAIL', 'CREATED'], cells);
    }
  });
}
