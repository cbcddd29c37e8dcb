// `ofs bench`: a quick measurement of a running node by its own protocol, under names of its own that are deleted again.

import { randomBytes } from 'node:crypto';
import { type Command, InvalidArgumentError } from 'commander';
import { limits } from '../../proto/limits.js';
import { connectRemote, openPathFs } from '../connect/index.js';
import type { PathFs } from '../pathfs/index.js';
import { type JsonOption, jsonOption, type ServerOption, serverOption } from './options.js';
import { formatBytes, Progress, printJson, printTable, say } from './output.js';

interface BenchOptions extends ServerOption, JsonOption {
  size: number;
  count: number;
  clients: number;
}

interface Figure {
  readonly name: string;
  readonly operations: number;
  readonly perSecond: number;
  readonly bytesPerSecond: number;
  readonly p50Ms: number;
  readonly p99Ms: number;
}

const NO_CONDITION = { ifNoneMatch: '', ifMatch: '' };
const MAX_COUNT = 1_000_000;
const MAX_CLIENTS = 1024;

export function benchCommand(program: Command): void {
  program
    .command('bench <volume>')
    .description('measure put, head, get, list and delete of objects in a volume; what it writes it deletes')
    .option('--size <bytes>', 'size of an object', number(limits.chunkBytes), 4096)
    .option('--count <n>', 'objects', number(MAX_COUNT), 2000)
    .option('--clients <n>', 'operations under way at once', number(MAX_CLIENTS), 32)
    .addOption(serverOption())
    .addOption(jsonOption())
    .action(bench);
}

function number(most: number): (text: string) => number {
  return (text) => {
    const value = Number(text);
    if (!Number.isInteger(value) || value < 1 || value > most) throw new InvalidArgumentError(`Give 1 to ${most}.`);
    return value;
  };
}

async function bench(volume: string, options: BenchOptions): Promise<void> {
  const node = await connectRemote({ server: options.server, client: `bench, process ${process.pid}`, warn: say });
  try {
    const pathfs = await openPathFs(node, volume);
    const prefix = `.ofs-bench-${randomBytes(6).toString('hex')}/`;
    const names = Array.from({ length: options.count }, (_, index) => `${prefix}${String(index).padStart(7, '0')}`);
    const figures = await measure(node.meta, pathfs, { ...options, prefix, names });
    if (options.json) printJson(figures);
    else print(figures);
  } finally {
    await node.close();
  }
}

type Meta = Awaited<ReturnType<typeof connectRemote>>['meta'];

async function measure(
  meta: Meta,
  pathfs: PathFs,
  { size, clients, prefix, names }: BenchOptions & { prefix: string; names: readonly string[] },
): Promise<Figure[]> {
  const content = randomBytes(size);
  const { group } = pathfs;
  const put = async (name: string): Promise<void> => {
    const writer = pathfs.createWriter(size);
    if (!writer.write(content)) await new Promise<void>((resolve) => writer.onDrain(resolve));
    const request = { object: Buffer.alloc(0), condition: NO_CONDITION, uid: 0, gid: 0 };
    await pathfs.put(name, writer, 'bench', request);
  };
  const get = async (name: string): Promise<void> => {
    const object = await pathfs.open(name);
    await pathfs.read(object, 0, Buffer.allocUnsafe(object.attr.size));
  };
  const list = async (name: string): Promise<void> => {
    await meta.call('objectList', group, { prefix, delimiter: '', marker: name, limit: limits.listPageEntries });
  };
  const remove = async (name: string): Promise<void> => {
    await meta.call('objectDelete', group, { paths: [name], condition: NO_CONDITION });
  };
  const run = (title: string, bytes: number, all: readonly string[], operation: (name: string) => Promise<void>) =>
    closedLoop({ title, bytes, clients, names: all }, operation);
  return [
    await run('put', size, names, put),
    await run('head', 0, names, async (name) => void (await pathfs.head(name))),
    await run('get', size, names, get),
    await run('list a page of 1,000', 0, names.slice(0, Math.ceil(names.length / 20)), list),
    await run('delete', 0, names, remove),
  ];
}

async function closedLoop(
  task: { title: string; bytes: number; clients: number; names: readonly string[] },
  operation: (name: string) => Promise<void>,
): Promise<Figure> {
  const { title, bytes, clients, names } = task;
  const progress = new Progress();
  const latencies: number[] = [];
  let next = 0;
  const client = async (): Promise<void> => {
    while (next < names.length) {
      const name = names[next++]!; // just counted
      const begun = performance.now();
      await operation(name);
      latencies.push(performance.now() - begun);
      progress.update(`${title}: ${latencies.length} of ${names.length}`);
    }
  };
  const begun = performance.now();
  await Promise.all(Array.from({ length: clients }, client));
  const seconds = (performance.now() - begun) / 1000;
  progress.end();
  latencies.sort((one, other) => one - other);
  const percentile = (share: number): number => latencies[Math.floor((latencies.length - 1) * share)] ?? 0;
  const perSecond = names.length / seconds;
  return {
    name: title,
    operations: names.length,
    perSecond,
    bytesPerSecond: perSecond * bytes,
    p50Ms: percentile(0.5),
    p99Ms: percentile(0.99),
  };
}

function print(figures: readonly Figure[]): void {
  printTable(
    ['OPERATION', 'COUNT', 'PER SECOND', 'THROUGHPUT', 'P50 MS', 'P99 MS'],
    figures.map((figure) => [
      figure.name,
      figure.operations,
      Math.round(figure.perSecond),
      figure.bytesPerSecond === 0 ? '' : `${formatBytes(figure.bytesPerSecond)}/s`,
      figure.p50Ms.toFixed(2),
      figure.p99Ms.toFixed(2),
    ]),
  );
}
