// The dates of S3: HTTP's, ISO 8601's and SigV4's. Listings and hot objects repeat seconds, so the last strings made
// are kept.

import type { Time } from '../../../proto/meta/index.js';

let httpSecond = Number.NaN;
let httpText = '';
let isoSecond = Number.NaN;
let isoText = '';
let stampText = '';
let stampMs = Number.NaN;

/** `Tue, 24 Nov 2026 18:20:50 GMT`. */
export function httpDate(time: Time): string {
  if (time.sec !== httpSecond) {
    httpSecond = time.sec;
    httpText = new Date(time.sec * 1000).toUTCString();
  }
  return httpText;
}

/** `2026-11-24T18:20:50.000Z`: whole seconds, so that it is the same instant as in Last-Modified. */
export function isoDate(time: Time): string {
  if (time.sec !== isoSecond) {
    isoSecond = time.sec;
    isoText = new Date(time.sec * 1000).toISOString();
  }
  return isoText;
}

/** Milliseconds of `20261124T182050Z`; NaN if it is not of that form. */
export function stampToMs(stamp: string): number {
  if (stamp === stampText) return stampMs;
  const parts = /^(\d{4})(\d\d)(\d\d)T(\d\d)(\d\d)(\d\d)Z$/.exec(stamp);
  if (parts === null) return Number.NaN;
  const [, year, month, day, hour, minute, second] = parts;
  const ms = Date.parse(`${year}-${month}-${day}T${hour}:${minute}:${second}Z`);
  stampText = stamp;
  stampMs = ms;
  return ms;
}

/** `20261124T182050Z` of milliseconds. */
export function msToStamp(ms: number): string {
  return new Date(ms).toISOString().replace(/[-:]|\.\d+/g, '');
}

/** Seconds of an HTTP date in a condition; NaN if it is none. */
export function parseHttpDate(text: string): number {
  return Math.floor(Date.parse(text) / 1000);
}
