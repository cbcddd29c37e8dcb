// Short looks at a growing tree: what a lookup, a create, a page of a listing and a GET take at its size.

import { type Figure, latencyOf, type Series } from '../figures.js';
import { Histogram, type HistogramData } from '../histogram.js';
import type { TreeResult, TreeTask } from '../load/tree-load.js';
import { runLoad } from '../load-process.js';
import { formatNumber } from '../units.js';
import { runMountLoad } from './mount.js';
import { runS3, type S3Target } from './s3-target.js';

export interface Probe {
  readonly name: string;
  readonly latency: HistogramData;
}

export interface ProbedStep {
  readonly files: number;
  readonly probes: readonly Probe[];
}

const TREE_LOAD = new URL('../load/tree-load.js', import.meta.url);
const CLIENTS = 8;
const KEYS = 2000;
const PAGES = 100;
/** Growth is held against what a step of at least as many files took. */
const BASE_FILES = 100_000;

export async function probe(
  { target, directory }: { readonly target: S3Target; readonly directory: string },
  { files, objectBytes, seconds }: { readonly files: number; readonly objectBytes: number; readonly seconds: number },
): Promise<Probe[]> {
  const times = { seconds, warmSeconds: seconds / 2 };
  const s3 = async (op: 'get' | 'list', most: number): Promise<HistogramData> => {
    const keys = Math.min(most, files);
    const firstKey = Math.floor(Math.random() * (files - keys));
    const load = { op, bodyBytes: objectBytes, clients: CLIENTS, keys, firstKey, rate: 0, layout: 'tree' } as const;
    return (await runS3(target, load, times)).latency;
  };
  const tree: TreeTask = { directory, op: 'stat', files, fileBytes: objectBytes, seconds };
  const create = { op: 'create', processes: 1, files: 1, fileBytes: 1 } as const;
  return [
    { name: 'S3 GET', latency: await s3('get', KEYS) },
    { name: 'page of a listing', latency: await s3('list', PAGES) },
    { name: 'lookup on the mount', latency: (await runLoad<TreeResult>(TREE_LOAD, tree)).latency },
    { name: 'create on the mount', latency: (await runMountLoad(directory, create, times)).latency.data() },
  ];
}

/** How each grew: its median at the end, beside that of the first step that was large enough. */
export function probeFigures(steps: readonly ProbedStep[]): Figure[] {
  const last = steps.at(-1)!; // there is one
  const base = steps.find(({ files }) => files >= BASE_FILES) ?? steps[0]!; // likewise
  return last.probes.map(({ name, latency }, index) => {
    const histogram = Histogram.of(latency);
    const before = Histogram.of(base.probes[index]!.latency); // the same probes in each step
    return {
      name: `${name} at ${formatNumber(last.files)} files, median`,
      unit: 'us',
      value: histogram.percentile(0.5),
      limits: [{ name: `at ${formatNumber(base.files)} files`, value: before.percentile(0.5) }],
      latency: latencyOf(histogram),
      lessIsBetter: true,
      series: [0.5, 0.99].map((share) => line(`${name} as the tree grows`, share, steps, index)),
    };
  });
}

function line(title: string, share: number, steps: readonly ProbedStep[], index: number): Series {
  return {
    title,
    name: `p${share * 100}`,
    unit: 'us',
    over: 'files',
    points: steps.map(({ files, probes }) => [files, Histogram.of(probes[index]!.latency).percentile(share)]),
  };
}
