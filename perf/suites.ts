// Which loads a run is made of: `quick` for a minute in CI, `full` for figures that are to be kept.

import { isOnLargeFile, MOUNT_OPS, type MountOp } from './load/mount-task.js';
import type { MountLoad } from './scenarios/mount.js';
import type { MultipartLoad, S3Load } from './scenarios/s3-target.js';
import { formatSize } from './units.js';

const KIB = 1024;
const MIB = 1024 * KIB;
const CLIENTS = 64;
const LARGE_CLIENTS = 16;
/** Bytes that the keys of a load with large bodies take together. */
const LARGE_SET_BYTES = 256 * MIB;
const QUICK_SET_BYTES = 32 * MIB;
const SMALL_KEYS = 5000;
const DELETE_KEYS = 100_000;

function large(op: 'put' | 'get', bodyBytes: number, setBytes = LARGE_SET_BYTES): S3Load {
  return { op, bodyBytes, clients: LARGE_CLIENTS, keys: Math.ceil(setBytes / bodyBytes), rate: 0 };
}

function small(op: S3Load['op'], clients = CLIENTS, bodyBytes = 4 * KIB): S3Load {
  return { op, bodyBytes, clients, keys: op === 'delete' ? DELETE_KEYS : SMALL_KEYS, rate: 0 };
}

/** Parts of 5, 6, 7 and 8 MiB in turns. */
export function multipart(uploadsAtOnce: number, parts: number): MultipartLoad {
  const partBytes = Array.from({ length: parts }, (_, part) => (5 + (part % 4)) * MIB);
  return { op: 'multipart', partBytes, clients: uploadsAtOnce };
}

const SWEEP = [1, 2, 4, 8, 16, 32, 64, 128, 256, 512, 1000];
const SHORT_SWEEP = [1, 4, 16, 256, 1000];

/** The same load by more and more clients. */
export function sweep(load: S3Load, clients: readonly number[] = SWEEP): S3Load[] {
  const curve = `S3 ${load.op} ${load.op === 'list' ? '1,000 keys' : formatSize(load.bodyBytes)}`;
  return clients.map((count) => ({ ...load, clients: count, curve }));
}

/** What is stored for one load serves those behind it, so loads of one size stand together. */
export const QUICK_S3: readonly (S3Load | MultipartLoad)[] = [
  small('put'),
  { ...small('get'), keys: 500 },
  { ...small('head'), keys: 500 },
  { ...small('list', 4), keys: 500 },
  { ...small('mixed'), keys: 500 },
  large('put', MIB, QUICK_SET_BYTES),
  large('get', MIB, QUICK_SET_BYTES),
  multipart(2, 2),
  { ...small('delete'), keys: 1000 },
];

export const FULL_S3: readonly (S3Load | MultipartLoad)[] = [
  small('put'),
  small('get'),
  small('head'),
  small('list', 4),
  ...sweep(small('get'), SHORT_SWEEP),
  { ...small('get'), rate: 5000 },
  small('mixed'),
  small('delete'),
  ...sweep(small('put'), SHORT_SWEEP),
  { ...small('put'), rate: 1000 },
  small('put', CLIENTS, 64 * KIB),
  small('get', CLIENTS, 64 * KIB),
  ...[MIB, 16 * MIB, 64 * MIB].flatMap((bytes) => [large('put', bytes), large('get', bytes)]),
  multipart(4, 8),
];

/** The load that is run beside ten times its clients in a run of everything. */
export const OVERLOAD: S3Load = small('mixed');

interface MountSizes {
  readonly files: number;
  readonly pieces: number;
  /** Where each file is good for one operation, as many as there is time for. */
  readonly unlinks: number;
}

function mount(op: MountOp, processes: number, { files, pieces, unlinks }: MountSizes): MountLoad {
  const count = isOnLargeFile(op) ? pieces : op === 'unlink' ? unlinks : files;
  return { op, processes, files: count, fileBytes: 4 * KIB };
}

const QUICK_SIZES = { files: 60, pieces: 16, unlinks: 200 };
const QUICK_PAIRS: readonly MountOp[] = ['create', 'stat', 'open-read-close'];
const FULL_SIZES = { files: 2000, pieces: 256, unlinks: 10_000 };

/** `processes`: of each load; default: one, and of the loads that matter most two besides. */
export function quickMount(processes?: number): MountLoad[] {
  if (processes !== undefined) return MOUNT_OPS.map((op) => mount(op, processes, QUICK_SIZES));
  const one = MOUNT_OPS.map((op) => mount(op, 1, QUICK_SIZES));
  return [...one, ...QUICK_PAIRS.map((op) => mount(op, 2, QUICK_SIZES))];
}

export function fullMount(processes?: number): MountLoad[] {
  const counts = processes === undefined ? [1, 2] : [processes];
  return MOUNT_OPS.flatMap((op) => counts.map((count) => mount(op, count, FULL_SIZES)));
}
