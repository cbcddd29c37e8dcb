// A run: every round starts a node on an empty directory and measures each scenario on it. Cold sets and ingest have
// nodes of their own.

import { NotHereError } from './cgroup.js';
import type { Figure } from './figures.js';
import { Observatory } from './instrument/observed.js';
import type { Options, Scenario } from './options.js';
import { measureCold } from './scenarios/cold.js';
import { measureIdle } from './scenarios/idle.js';
import { measureIngest } from './scenarios/ingest.js';
import { measureMicro } from './scenarios/micro.js';
import { measureMount } from './scenarios/mount.js';
import { measureOverload } from './scenarios/overload.js';
import { measureS3 } from './scenarios/s3.js';
import { nodeTarget, type S3Target } from './scenarios/s3-target.js';
import { measureSustained } from './scenarios/sustained.js';
import { startNode } from './servers.js';
import { FULL_S3, fullMount, OVERLOAD, QUICK_S3, quickMount } from './suites.js';

/** Of a figure's time, for each look at a growing tree. */
const PROBE_SHARE = 0.1;
const ON_NODE: readonly Scenario[] = ['idle', 's3', 'mount'];

/** The figures of each round. */
export async function runRounds(options: Options, say: (message: string) => void): Promise<Figure[][]> {
  const rounds: Figure[][] = [];
  for (let round = 1; round <= options.rounds; round++) {
    if (options.rounds > 1) say(`round ${round} of ${options.rounds}`);
    rounds.push(await runRound(options, say));
  }
  return rounds;
}

async function runRound(options: Options, say: (message: string) => void): Promise<Figure[]> {
  const { scenarios, against } = options;
  const figures: Figure[] = [];
  if (scenarios.includes('micro')) figures.push(...(await measureMicro(options.seconds)));
  if (against !== undefined) figures.push(...(await measureTarget(otherServer(options, against), options)));
  else if (scenarios.some((scenario) => ON_NODE.includes(scenario))) figures.push(...(await onNode(options)));
  if (scenarios.includes('cold')) figures.push(...(await cold(options, say)));
  if (scenarios.includes('ingest')) {
    const probeSeconds = options.seconds * PROBE_SHARE;
    figures.push(...(await measureIngest({ ...options, probeSeconds, say })));
  }
  return figures;
}

async function onNode(options: Options): Promise<Figure[]> {
  const { scenarios } = options;
  const observatory = new Observatory();
  try {
    const target = await startNode({ env: observatory.env });
    const figures: Figure[] = [];
    try {
      if (scenarios.includes('idle')) figures.push(...(await measureIdle({ target, observatory }, options.seconds)));
      if (scenarios.includes('s3'))
        figures.push(...(await measureTarget(nodeTarget(target, observatory, options.generators), options)));
      if (scenarios.includes('mount')) {
        figures.push(...(await measureMount({ target, observatory }, mountLoads(options), options)));
      }
    } finally {
      await target.stop();
    }
    return figures;
  } finally {
    observatory.close();
  }
}

/** What was asked of S3; of everything, overload too. */
async function measureTarget(target: S3Target, options: Options): Promise<Figure[]> {
  const { overload, sustained, scenarios, quick, seconds, warmSeconds } = options;
  if (overload !== undefined) return measureOverload(target, overload, options);
  if (sustained !== undefined) {
    const times = { seconds: sustained.seconds, warmSeconds, peakSeconds: seconds };
    return measureSustained(target, sustained.load, times);
  }
  const figures = await measureS3(target, s3Loads(options), options);
  if (scenarios.length > 1 && !quick) figures.push(...(await measureOverload(target, OVERLOAD, options)));
  return figures;
}

/** Asked for by itself it fails where it cannot be; of everything it is left out. */
async function cold(options: Options, say: (message: string) => void): Promise<Figure[]> {
  try {
    return await measureCold(options);
  } catch (error) {
    if (!(error instanceof NotHereError) || options.scenarios.length === 1) throw error;
    say(`cold is left out: ${error.message}`);
    return [];
  }
}

function s3Loads({ s3, quick }: Options) {
  return s3 ?? (quick ? QUICK_S3 : FULL_S3);
}

function mountLoads({ mount, processes, quick }: Options) {
  if (mount !== undefined) return [mount];
  return quick ? quickMount(processes) : fullMount(processes);
}

function otherServer({ bucket, generators }: Options, url: URL): S3Target {
  const { AWS_ACCESS_KEY_ID: accessKey = '', AWS_SECRET_ACCESS_KEY: secretKey = '', AWS_REGION: region } = process.env;
  const tls = url.protocol === 'https:';
  const port = url.port === '' ? (tls ? 443 : 80) : Number(url.port);
  const credentials = { accessKey, secretKey, region: region ?? process.env.AWS_DEFAULT_REGION ?? 'us-east-1' };
  return { host: url.hostname, port, tls, bucket, credentials, generators, node: null };
}
