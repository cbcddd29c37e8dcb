// A run: every round starts a node on an empty directory and measures each scenario on it.

import type { Figure } from './figures.js';
import { Observatory } from './instrument/observed.js';
import type { Options } from './options.js';
import { measureMicro } from './scenarios/micro.js';
import { measureMount } from './scenarios/mount.js';
import { measureS3 } from './scenarios/s3.js';
import { nodeTarget, type S3Target } from './scenarios/s3-target.js';
import { startNode } from './servers.js';
import { FULL_S3, fullMount, QUICK_S3, quickMount } from './suites.js';

/** The figures of each round. */
export async function runRounds(options: Options, say: (message: string) => void): Promise<Figure[][]> {
  const rounds: Figure[][] = [];
  for (let round = 1; round <= options.rounds; round++) {
    if (options.rounds > 1) say(`round ${round} of ${options.rounds}`);
    rounds.push(await runRound(options));
  }
  return rounds;
}

async function runRound(options: Options): Promise<Figure[]> {
  const { scenarios, against } = options;
  const figures: Figure[] = [];
  if (scenarios.includes('micro')) figures.push(...(await measureMicro(options.seconds)));
  if (against !== undefined)
    figures.push(...(await measureS3(otherServer(options, against), s3Loads(options), options)));
  else if (scenarios.includes('s3') || scenarios.includes('mount')) figures.push(...(await onNode(options)));
  return figures;
}

async function onNode(options: Options): Promise<Figure[]> {
  const { scenarios } = options;
  const observatory = new Observatory();
  try {
    const target = await startNode({ env: observatory.env });
    const figures: Figure[] = [];
    try {
      if (scenarios.includes('s3')) {
        figures.push(...(await measureS3(nodeTarget(target, observatory), s3Loads(options), options)));
      }
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

function s3Loads({ s3, quick }: Options) {
  return s3 ?? (quick ? QUICK_S3 : FULL_S3);
}

function mountLoads({ mount, processes, quick }: Options) {
  if (mount !== undefined) return [mount];
  return quick ? quickMount(processes) : fullMount(processes);
}

function otherServer({ bucket }: Options, url: URL): S3Target {
  const { AWS_ACCESS_KEY_ID: accessKey = '', AWS_SECRET_ACCESS_KEY: secretKey = '', AWS_REGION: region } = process.env;
  const tls = url.protocol === 'https:';
  const port = url.port === '' ? (tls ? 443 : 80) : Number(url.port);
  const credentials = { accessKey, secretKey, region: region ?? process.env.AWS_DEFAULT_REGION ?? 'us-east-1' };
  return { host: url.hostname, port, tls, bucket, credentials, node: null };
}
