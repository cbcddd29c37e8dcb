// `ofs serve`: runs a storage node in the foreground until SIGTERM or SIGINT.

import { randomUUID } from 'node:crypto';
import fs from 'node:fs';
import os from 'node:os';
import path from 'node:path';
import { type Command, InvalidArgumentError, Option } from 'commander';
import { startNode } from '../../node/process/index.js';
import { OfsError, Status } from '../../proto/status.js';
import { type Address, formatAddress, parseAddress } from './addresses.js';
import { makeKeys } from './key.js';
import { DEFAULT_LISTEN, DEFAULT_S3 } from './options.js';
import { print, say } from './output.js';
import { withNode } from './session.js';

interface ServeOptions {
  data: string;
  s3: Address;
  listen: Address;
  region: string;
  domain?: string;
  gatewayThreads: number;
}

interface Keys {
  accessKey: string;
  secretKey: string;
}

const CREDENTIALS_FILE = 'credentials.json';
const GATEWAY_MODULE = new URL('../../gateway/s3/thread.js', import.meta.url);

export function serveCommand(program: Command): void {
  program
    .command('serve')
    .description('run a storage node with every role: metadata, blocks, S3')
    .addOption(new Option('--data <dir>', 'where everything is kept').default('./data').env('OFS_DATA'))
    .addOption(addressOption('--s3 <host:port>', 'where S3 is served', DEFAULT_S3))
    .addOption(
      addressOption('--listen <host:port>', 'where metadata and blocks are served, ports upwards', DEFAULT_LISTEN),
    )
    .option('--region <name>', 'the region that S3 clients name', 'us-east-1')
    .option('--domain <name>', 'serve bucket.NAME as a virtual host')
    .option('--gateway-threads <n>', 'threads that serve S3', parseThreads, Math.max(1, os.availableParallelism()))
    .addHelpText('after', HELP)
    .action(serve);
}

const HELP = `
The first access key is taken from OFS_ACCESS_KEY and OFS_SECRET_KEY, or made at the first start, printed once and kept
in DATA/${CREDENTIALS_FILE}. A line "ready" says that every role answers. SIGTERM stops the node cleanly.`;

function addressOption(flags: string, description: string, fallback: Address): Option {
  return new Option(flags, description).default(fallback, formatAddress(fallback)).argParser(parseAddress);
}

function parseThreads(text: string): number {
  const threads = Number(text);
  if (!Number.isInteger(threads) || threads < 1 || threads > 32) throw new InvalidArgumentError('Give 1 to 32.');
  return threads;
}

async function serve(options: ServeOptions): Promise<void> {
  const node = await startNode({
    data: options.data,
    listen: options.listen,
    s3: options.s3,
    metaThreads: 1,
    blockThreads: 1,
    gatewayThreads: options.gatewayThreads,
    gateway: {
      module: GATEWAY_MODULE,
      data: { region: options.region, domains: options.domain === undefined ? [] : [options.domain] },
    },
    warn: say,
    died: (thread, error) => {
      say(`ofs: thread ${thread} died: ${error.stack ?? error.message}`);
      process.exit(1);
    },
  });
  const stopping = stopSignal();
  const { keys, made } = await firstKey(options);
  announce(options, keys, made);
  await stopping;
  await node.stop();
  process.exit(0);
}

function stopSignal(): Promise<void> {
  return new Promise((resolve) => {
    process.once('SIGTERM', resolve);
    process.once('SIGINT', resolve);
  });
}

/** The key that users begin with: the environment's, the one kept from an earlier start, or a new one. */
async function firstKey(options: ServeOptions): Promise<{ keys: Keys; made: boolean }> {
  const { OFS_ACCESS_KEY: accessKey, OFS_SECRET_KEY: secretKey } = process.env;
  if ((accessKey === undefined) !== (secretKey === undefined)) {
    throw new OfsError(Status.INVAL, 'set both OFS_ACCESS_KEY and OFS_SECRET_KEY, or neither');
  }
  if (accessKey !== undefined && secretKey !== undefined) {
    await ensureKey(options, { accessKey, secretKey });
    return { keys: { accessKey, secretKey }, made: false };
  }
  const file = path.join(options.data, CREDENTIALS_FILE);
  const kept = readKeys(file);
  const keys = kept ?? makeKeys();
  if (kept === null) writeKeys(file, keys);
  await ensureKey(options, keys);
  return { keys, made: kept === null };
}

/** Makes the key stand with this secret: the environment and the file say what the operator wants. */
async function ensureKey(options: ServeOptions, keys: Keys): Promise<void> {
  await withNode(options.listen, async ({ meta }) => {
    const standing = await meta.call('keyInfo', 0, { accessKey: keys.accessKey }).catch((error: unknown) => {
      if (error instanceof OfsError && error.status === Status.NO_SUCH_KEY_ID) return null;
      throw error;
    });
    if (standing?.key.secretKey === keys.secretKey) return;
    if (standing !== null) await meta.call('keyDelete', 0, { accessKey: keys.accessKey });
    const key = { ...keys, user: 'admin', email: '', created: { sec: 0, nsec: 0 } };
    await meta.call('keyCreate', 0, { key });
  });
}

function readKeys(file: string): Keys | null {
  if (!fs.existsSync(file)) return null;
  const { accessKey, secretKey } = JSON.parse(fs.readFileSync(file, 'utf8')) as Partial<Keys>;
  if (typeof accessKey === 'string' && typeof secretKey === 'string') return { accessKey, secretKey };
  throw new OfsError(Status.INVAL, `${file} holds no access key; remove it and a new key is made`);
}

function writeKeys(file: string, keys: Keys): void {
  const temporary = `${file}.${randomUUID()}`;
  const fd = fs.openSync(temporary, 'wx', 0o600);
  fs.writeFileSync(fd, `${JSON.stringify(keys, null, 2)}\n`);
  fs.fsyncSync(fd);
  fs.closeSync(fd);
  fs.renameSync(temporary, file);
}

function announce(options: ServeOptions, keys: Keys, made: boolean): void {
  const s3 = formatAddress(options.s3);
  const server = formatAddress(options.listen);
  print(`S3 endpoint  http://${s3}  (region ${options.region})`);
  print(`access key   ${keys.accessKey}`);
  if (made)
    print(`secret key   ${keys.secretKey}   (shown once; kept in ${path.join(options.data, CREDENTIALS_FILE)})`);
  else print('secret key   as given before');
  print(`mount        npx ofs mount VOLUME DIR --server ${server}`);
  print('ready');
}
