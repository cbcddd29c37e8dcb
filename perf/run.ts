// A run: every round starts a node on an empty directory and measures each scenario on it.

import type { Figure } from './figures.js';
import { Observatory } from './instrument/observed.js';
import type { Options } from './options.js';
import { measureMicro } from './scenarios/micro.js';
import { measureMount } from './scenarios/mount.js';
import { measureS3, nodeTarget, type S3Target } from './scenarios/s3.js';
import { startNode } from './servers.js';
import { FULL_MOUNT, FULL_S3, QUICK_MOUNT, QUICK_S3 } from './suites.js';

const MOUNT_FILES = 2000;
const MOUNT_FILE_BYTES = 4096;

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
  const { scenarios, seconds, against } = options;
  const figures: Figure[] = [];
  if (scenarios.includes('micro')) figures.push(...(await measureMicro(seconds)));
  if (against !== undefined)
    figures.push(...(await measureS3(otherServer(options, against), s3Loads(options), seconds)));
  else if (scenarios.includes('s3') || scenarios.includes('mount')) figures.push(...(await onNode(options)));
  return figures;
}

async function onNode(options: Options): Promise<Figure[]> {
  const { scenarios, seconds } = options;
  const observatory = new Observatory();
  try {
    const target = await startNode({ env: observatory.env });
    const figures: Figure[] = [];
    try {
      if (scenarios.includes('s3')) {
        figures.push(...(await measureS3(nodeTarget(target, observatory), s3Loads(options), seconds)));
      }
      if (scenarios.includes('mount')) {
        figures.push(...(await measureMount({ target, observatory }, mountLoads(options), seconds)));
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
  if (s3 !== undefined) return [s3];
  return quick ? QUICK_S3 : FULL_S3;
}

function mountLoads({ mount, quick }: Options) {
  if (mount !== undefined) return [{ ...mount, files: MOUNT_FILES, fileBytes: MOUNT_FILE_BYTES }];
  return quick ? QUICK_MOUNT : FULL_MOUNT;
}

function otherServer({ bucket }: Options, url: URL): S3Target {
  const { AWS_ACCESS_KEY_ID: accessKey = '', AWS_SECRET_ACCESS_KEY: secretKey = '', AWS_REGION: region } = process.env;
  const tls = url.protocol === 'https:';
  const port = url.port === '' ? (tls ? 443 : 80) : Number(url.port);
  const credentials = { accessKey, secretKey, region: region ?? process.env.AWS_DEFAULT_REGION ?? 'us-east-1' };
  return { host: url.hostname, port, tls, bucket, credentials, node: null };
}
