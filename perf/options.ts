// The command line of `npm run perf`, checked.

import os from 'node:os';
import { parseArgs } from 'node:util';
import { isOnLargeFile, MOUNT_OPS, plainName } from './load/mount-task.js';
import { S3_OPS } from './load/s3-task.js';
import type { MountLoad } from './scenarios/mount.js';
import type { MultipartLoad, S3Load } from './scenarios/s3-target.js';
import { multipart, sweep } from './suites.js';
import { parseSize } from './units.js';

export const SCENARIOS = ['micro', 'idle', 's3', 'mount', 'cold', 'ingest'] as const;
export type Scenario = (typeof SCENARIOS)[number];

export const USAGE = `npm run perf -- [${SCENARIOS.join('|')}] [options]

Without a scenario: all of them. Each figure is measured beside its limit in the same run.

  --quick            less of micro, s3 and mount: under a minute
  --seconds N        how long each figure runs (10; with --quick 0.4)
  --warm N           how long each load runs unmeasured before (2; with --quick 0.4)
  --generators N     processes that an S3 load is divided among (one for each four processors)
  --rounds N         how often everything runs, in turns; the middle one is reported (3; with --quick 1)
  --json FILE        write all there is, with the samples of every round
  --html FILE        write a page with plots
  --compare FILE     hold the figures against those of an earlier --json: better, worse, or within noise

s3:
  --op OP            ${S3_OPS.join('|')}|multipart: this load alone
  --size SIZE        of a body (4KiB)
  --clients N        connections (64); of multipart, uploads at once (4)
  --keys N           objects (5000; fewer of large ones)
  --parts N          of an upload, 5 to 8 MiB each (8)
  --rate N           open loop: N requests are due a second, latency counts from then
  --sweep            with 1 to 1000 clients
  --overload         ten times the clients beside the load for --seconds, and what is left of it and when it is back
  --sustained N      seconds of open loop at 0.7 of the peak: the last tenth against the first (--op mixed)
  --against URL      load another S3 server; AWS_ACCESS_KEY_ID, AWS_SECRET_ACCESS_KEY, AWS_REGION say with which key
  --bucket NAME      there (perf)

mount:
  --op OP            ${MOUNT_OPS.map(plainName).join('|')}
  --processes N      that make the load (1 and 2)
  --files N          of each process (2000); of one large file, MiB (256)
  --size SIZE        of a file (4KiB)

idle: what a node takes that nobody asks anything.

cold (GET of a set three times the memory that the node may have; root, for a cgroup):
  --memory SIZE      that it may have, page cache included (512MiB)
  --size SIZE        of an object (4KiB)

ingest (a tree of small objects through S3 while a mount reads it):
  --objects N        how many (1000000; of a run of everything 100000)
  --size SIZE        of an object (4KiB)
`;

export interface Options {
  readonly scenarios: readonly Scenario[];
  readonly quick: boolean;
  readonly seconds: number;
  readonly warmSeconds: number;
  readonly generators: number;
  readonly rounds: number;
  readonly json: string | undefined;
  readonly html: string | undefined;
  readonly compare: string | undefined;
  readonly against: URL | undefined;
  readonly bucket: string;
  /** Undefined: those of the suite. */
  readonly s3: readonly (S3Load | MultipartLoad)[] | undefined;
  /** The load that is run beside ten times as many clients. */
  readonly overload: S3Load | undefined;
  readonly sustained: { readonly load: S3Load; readonly seconds: number } | undefined;
  /** Undefined: those of the suite, with `processes` if that is given. */
  readonly mount: MountLoad | undefined;
  readonly processes: number | undefined;
  readonly memoryBytes: number;
  readonly objects: number;
  readonly objectBytes: number;
}

/** For people: what is wrong with the command line. */
export class UsageError extends Error {}

const QUICK_SECONDS = 0.4;
const QUICK_WARM_SECONDS = 0.4;
const FULL_SECONDS = 10;
const FULL_WARM_SECONDS = 2;
const LARGE_SET_BYTES = 256 * 1024 * 1024;
const SMALL_KEYS = 5000;
const DELETE_KEYS = 100_000;
const MOUNT_FILES = 2000;
const LARGE_FILE_PIECES = 256;

export function parseOptions(args: readonly string[]): Options {
  const { values, positionals } = parse(args);
  const [scenario, ...more] = positionals.map((name) => oneOf(SCENARIOS, name, 'scenario'));
  if (more.length > 0) throw new UsageError('give one scenario, or none for all');
  if (values.against !== undefined && scenario !== 's3') throw new UsageError('--against goes with s3');
  const quick = values.quick ?? false;
  const whole = quick ? (['micro', 's3', 'mount'] as const) : SCENARIOS;
  return {
    scenarios: scenario === undefined ? whole : [scenario],
    quick,
    seconds: number(values.seconds, 'seconds', quick ? QUICK_SECONDS : FULL_SECONDS),
    warmSeconds: number(values.warm, 'warm', quick ? QUICK_WARM_SECONDS : FULL_WARM_SECONDS),
    generators: integer(values.generators, 'generators', Math.ceil(os.availableParallelism() / 4)),
    rounds: integer(values.rounds, 'rounds', quick ? 1 : 3),
    json: values.json,
    html: values.html,
    compare: values.compare,
    against: values.against === undefined ? undefined : url(values.against),
    bucket: values.bucket ?? 'perf',
    ...(scenario === 's3' ? s3Options(values) : { s3: undefined, overload: undefined, sustained: undefined }),
    ...mountOptions(scenario, values),
    memoryBytes: size(values.memory ?? '512MiB'),
    objects: integer(values.objects, 'objects', scenario === undefined ? 100_000 : 1_000_000),
    objectBytes: size(values.size ?? '4KiB'),
  };
}

type Values = ReturnType<typeof parse>['values'];

function s3Options(values: Values): Pick<Options, 's3' | 'overload' | 'sustained'> {
  const none = { s3: undefined, overload: undefined, sustained: undefined };
  const { op } = values;
  if (values.overload === true) return { ...none, overload: s3Load(op ?? 'mixed', values) };
  if (values.sustained !== undefined) {
    const seconds = integer(values.sustained, 'sustained', 1);
    return { ...none, sustained: { load: s3Load(op ?? 'mixed', values), seconds } };
  }
  if (values.sweep === true) return { ...none, s3: sweep(s3Load(op ?? 'get', values)) };
  if (op === undefined) return none;
  if (op !== 'multipart') return { ...none, s3: [s3Load(op, values)] };
  return { ...none, s3: [multipart(integer(values.clients, 'clients', 4), integer(values.parts, 'parts', 8))] };
}

function mountOptions(scenario: Scenario | undefined, values: Values): Pick<Options, 'mount' | 'processes'> {
  const processes = values.processes === undefined ? undefined : integer(values.processes, 'processes', 1);
  if (scenario !== 'mount' || values.op === undefined) return { mount: undefined, processes };
  const plain = oneOf(MOUNT_OPS.map(plainName), values.op.replaceAll(/,? /g, '-'), 'op');
  const op = MOUNT_OPS.find((one) => plainName(one) === plain)!; // just found among them
  const files = integer(values.files, 'files', isOnLargeFile(op) ? LARGE_FILE_PIECES : MOUNT_FILES);
  return { mount: { op, processes: processes ?? 1, files, fileBytes: size(values.size ?? '4KiB') }, processes };
}

function parse(args: readonly string[]) {
  const string = { type: 'string' } as const;
  const boolean = { type: 'boolean' } as const;
  try {
    return parseArgs({
      args: [...args],
      allowPositionals: true,
      options: {
        quick: boolean,
        sweep: boolean,
        overload: boolean,
        sustained: string,
        warm: string,
        generators: string,
        parts: string,
        files: string,
        memory: string,
        objects: string,
        seconds: string,
        rounds: string,
        json: string,
        html: string,
        compare: string,
        against: string,
        bucket: string,
        op: string,
        size: string,
        clients: string,
        keys: string,
        rate: string,
        processes: string,
      },
    });
  } catch (error) {
    throw new UsageError((error as Error).message);
  }
}

function s3Load(op: string, values: Values): S3Load {
  const bodyBytes = size(values.size ?? '4KiB');
  const fitting = Math.max(1, Math.min(SMALL_KEYS, Math.floor(LARGE_SET_BYTES / Math.max(1, bodyBytes))));
  return {
    op: oneOf(S3_OPS, op, 'op'),
    bodyBytes,
    clients: integer(values.clients, 'clients', 64),
    keys: integer(values.keys, 'keys', op === 'delete' ? DELETE_KEYS : fitting),
    rate: number(values.rate, 'rate', 0),
  };
}

function oneOf<T extends string>(known: readonly T[], name: string, what: string): T {
  const found = known.find((one) => one === name);
  if (found === undefined) throw new UsageError(`no ${what} is called "${name}": ${known.join(', ')}`);
  return found;
}

function number(text: string | undefined, name: string, fallback: number): number {
  const value = text === undefined ? fallback : Number(text);
  if (!Number.isFinite(value) || value < 0) throw new UsageError(`--${name} takes a number, not "${text}"`);
  return value;
}

function integer(text: string | undefined, name: string, fallback: number): number {
  const value = number(text, name, fallback);
  if (!Number.isInteger(value) || value < 1) throw new UsageError(`--${name} takes a whole number from 1`);
  return value;
}

function size(text: string): number {
  try {
    return parseSize(text);
  } catch (error) {
    throw new UsageError((error as Error).message);
  }
}

function url(text: string): URL {
  const parsed = URL.canParse(text) ? new URL(text) : null;
  if (parsed === null || !/^https?:$/.test(parsed.protocol)) throw new UsageError(`"${text}" is no http(s) URL`);
  return parsed;
}
