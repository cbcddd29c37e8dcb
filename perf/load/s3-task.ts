// What a load on S3 is told, and what it tells.

import type { HistogramData } from '../histogram.js';
import type { Endpoint } from './connection.js';
import type { Credentials } from './presign.js';

export const S3_OPS = ['get', 'put', 'head', 'delete', 'list', 'mixed'] as const;
export type S3Op = (typeof S3_OPS)[number] | 'bucket';

/** `flat`: all keys in one directory. `tree`: a hundred in each. */
export type KeyLayout = 'flat' | 'tree';

export interface LoadTask extends Endpoint {
  readonly op: S3Op;
  readonly bucket: string;
  readonly keys: number;
  /** The first of them, where several processes share. */
  readonly firstKey: number;
  readonly layout: KeyLayout;
  readonly bodyBytes: number;
  readonly clients: number;
  readonly seconds: number;
  /** The same load unmeasured, before it is ready. */
  readonly warmSeconds: number;
  /** Where each key is good for one request, a warm-up takes these: WARM_KEYS of them from here on. */
  readonly warmFirstKey: number;
  /** Requests a second; 0: closed loop. */
  readonly rate: number;
  /** Each key once and no more, even if there is time. */
  readonly once: boolean;
  /** Latencies are kept for windows of as long, too; 0: for the whole alone. */
  readonly windowMs: number;
  readonly credentials: Credentials;
}

export interface LoadResult {
  readonly requests: number;
  readonly errors: number;
  readonly firstError: string;
  readonly bytes: number;
  readonly seconds: number;
  readonly latency: HistogramData;
  /** Seconds of processor time that the generator itself took. */
  readonly cpuSeconds: number;
  /** Requests that were due and never sent, because the server is slower than the rate. */
  readonly unsent: number;
  /** The longest time without an answer, from the beginning on. */
  readonly longestGapUs: number;
  /** By when answers came, from the beginning on; empty without `windowMs`. */
  readonly windows: readonly HistogramData[];
}

/** What a warm-up takes where each key is good for one request. */
export const WARM_KEYS = 1000;
const LEAF_KEYS = 100;

export function keyName(layout: KeyLayout, index: number): string {
  const name = String(index).padStart(7, '0');
  if (layout === 'flat') return `bench/${name}`;
  const leaf = Math.floor(index / LEAF_KEYS);
  return `tree/${String(Math.floor(leaf / LEAF_KEYS)).padStart(3, '0')}/${String(leaf % LEAF_KEYS).padStart(2, '0')}/${name}`;
}

export interface MultipartTask extends Endpoint {
  readonly bucket: string;
  /** Sizes of the parts of each upload, in their order. */
  readonly partBytes: readonly number[];
  /** Each sends its parts one after the other. */
  readonly uploadsAtOnce: number;
  readonly seconds: number;
  readonly warmSeconds: number;
  readonly credentials: Credentials;
}

export interface MultipartResult {
  readonly uploads: number;
  readonly bytes: number;
  readonly seconds: number;
  readonly part: HistogramData;
  readonly complete: HistogramData;
  readonly cpuSeconds: number;
}
