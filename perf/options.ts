// The command line of `npm run perf`, checked.

import { parseArgs } from 'node:util';
import { MOUNT_OPS, type MountOp } from './load/mount-task.js';
import type { S3Load } from './scenarios/s3.js';
import { parseSize } from './units.js';

export const SCENARIOS = ['s3', 'mount', 'micro'] as const;
export type Scenario = (typeof SCENARIOS)[number];
const S3_OPS = ['get', 'put', 'head', 'delete', 'list', 'mixed'] as const satisfies readonly S3Load['op'][];

export const USAGE = `npm run perf -- [s3|mount|micro] [options]

Without a scenario: all of them. Each figure is measured beside its limit in the same run.

  --quick            less of everything: under a minute
  --seconds N        how long each figure runs (10; with --quick 0.4)
  --rounds N         how often everything runs, in turns; the middle one is reported (3; with --quick 1)
  --json FILE        write all there is, with the samples of every round
  --html FILE        write a page with plots
  --compare FILE     hold the figures against those of an earlier --json: better, worse, or within noise

s3:
  --op OP            ${S3_OPS.join('|')}: this load alone
  --size SIZE        of a body (4KiB)
  --clients N        connections (64)
  --keys N           objects (5000; fewer of large ones)
  --rate N           open loop: N requests are due a second, latency counts from then
  --against URL      load another S3 server; AWS_ACCESS_KEY_ID, AWS_SECRET_ACCESS_KEY, AWS_REGION say with which key
  --bucket NAME      there (perf)

mount:
  --op OP            ${MOUNT_OPS.map((op) => `'${op}'`).join('|')}
  --processes N      that make the load (1)
`;

export interface Options {
  readonly scenarios: readonly Scenario[];
  readonly quick: boolean;
  readonly seconds: number;
  readonly rounds: number;
  readonly json: string | undefined;
  readonly html: string | undefined;
  readonly compare: string | undefined;
  readonly against: URL | undefined;
  readonly bucket: string;
  readonly s3: S3Load | undefined;
  readonly mount: { readonly op: MountOp; readonly processes: number } | undefined;
}

/** For people: what is wrong with the command line. */
export class UsageError extends Error {}

const QUICK_SECONDS = 0.4;
const FULL_SECONDS = 10;
const LARGE_SET_BYTES = 256 * 1024 * 1024;
const SMALL_KEYS = 5000;

export function parseOptions(args: readonly string[]): Options {
  const { values, positionals } = parse(args);
  const scenarios = positionals.map((name) => oneOf(SCENARIOS, name, 'scenario'));
  if (positionals.length > 1) throw new UsageError('give one scenario, or none for all');
  if (values.against !== undefined && scenarios[0] !== 's3') throw new UsageError('--against goes with s3');
  const quick = values.quick ?? false;
  return {
    scenarios: scenarios.length === 0 ? SCENARIOS : scenarios,
    quick,
    seconds: number(values.seconds, 'seconds', quick ? QUICK_SECONDS : FULL_SECONDS),
    rounds: whole(values.rounds, 'rounds', quick ? 1 : 3),
    json: values.json,
    html: values.html,
    compare: values.compare,
    against: values.against === undefined ? undefined : url(values.against),
    bucket: values.bucket ?? 'perf',
    s3: scenarios[0] === 's3' && values.op !== undefined ? s3Load(values.op, values) : undefined,
    mount:
      scenarios[0] === 'mount' && values.op !== undefined
        ? { op: oneOf(MOUNT_OPS, values.op, 'op'), processes: whole(values.processes, 'processes', 1) }
        : undefined,
  };
}

function parse(args: readonly string[]) {
  const string = { type: 'string' } as const;
  try {
    return parseArgs({
      args: [...args],
      allowPositionals: true,
      options: {
        quick: { type: 'boolean' },
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

interface S3Values {
  readonly size?: string;
  readonly clients?: string;
  readonly keys?: string;
  readonly rate?: string;
}

function s3Load(op: string, values: S3Values): S3Load {
  const bodyBytes = size(values.size ?? '4KiB');
  const fitting = Math.max(1, Math.min(SMALL_KEYS, Math.floor(LARGE_SET_BYTES / Math.max(1, bodyBytes))));
  return {
    op: oneOf(S3_OPS, op, 'op'),
    bodyBytes,
    clients: whole(values.clients, 'clients', 64),
    keys: whole(values.keys, 'keys', op === 'delete' ? 100_000 : fitting),
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

function whole(text: string | undefined, name: string, fallback: number): number {
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
