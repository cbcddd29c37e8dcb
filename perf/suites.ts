// Which loads a run is made of: `quick` for a minute in CI, `full` for figures that are to be kept.

import { MOUNT_OPS } from './load/mount-task.js';
import type { MountLoad } from './scenarios/mount.js';
import type { S3Load } from './scenarios/s3.js';

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

/** What is stored for one load serves those behind it, so loads of one size stand together. */
export const QUICK_S3: readonly S3Load[] = [
  small('put'),
  { ...small('get'), keys: 500 },
  { ...small('head'), keys: 500 },
  { ...small('list', 4), keys: 500 },
  { ...small('mixed'), keys: 500 },
  large('put', MIB, QUICK_SET_BYTES),
  large('get', MIB, QUICK_SET_BYTES),
  { ...small('delete'), keys: 1000 },
];

const CURVE = [1, 4, 16, 256, 1000];

export const FULL_S3: readonly S3Load[] = [
  small('put'),
  small('get'),
  small('head'),
  small('list', 4),
  ...CURVE.map((clients) => ({ ...small('get', clients), curve: 'S3 get 4 KiB' })),
  { ...small('get'), rate: 5000 },
  small('mixed'),
  small('delete'),
  ...CURVE.map((clients) => ({ ...small('put', clients), curve: 'S3 put 4 KiB' })),
  { ...small('put'), rate: 1000 },
  small('put', CLIENTS, 64 * KIB),
  small('get', CLIENTS, 64 * KIB),
  ...[MIB, 16 * MIB, 64 * MIB].flatMap((bytes) => [large('put', bytes), large('get', bytes)]),
];

function mount(op: MountLoad['op'], processes: number, files: number): MountLoad {
  return { op, processes, files: op === 'sequential read' ? Math.min(files, 256) : files, fileBytes: 4 * KIB };
}

export const QUICK_MOUNT: readonly MountLoad[] = MOUNT_OPS.map((op) => {
  return mount(op, op === 'stat' ? 2 : 1, op === 'sequential read' ? 32 : 60);
});

export const FULL_MOUNT: readonly MountLoad[] = MOUNT_OPS.flatMap((op) => {
  return [mount(op, 1, op === 'unlink' ? 10_000 : 2000), mount(op, 2, op === 'unlink' ? 10_000 : 2000)];
});
