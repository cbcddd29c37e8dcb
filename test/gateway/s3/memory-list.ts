// A listing computed the slow way, from all keys, for the service in memory.

import type { ByteString } from '../../../proto/codec.js';
import type { Attr } from '../../../proto/meta/index.js';

export interface ListRequest {
  prefix: ByteString;
  delimiter: ByteString;
  marker: ByteString;
  limit: number;
}

export interface ListAnswer {
  entries: { key: ByteString; attr: Attr }[];
  prefixes: ByteString[];
  truncated: boolean;
  next: ByteString;
}

export function listKeys(objects: { key: ByteString; attr: Attr }[], request: ListRequest): ListAnswer {
  const { prefix, delimiter, marker, limit } = request;
  const answer: ListAnswer = { entries: [], prefixes: [], truncated: false, next: '' };
  for (const { key, attr } of objects.sort((a, b) => (a.key < b.key ? -1 : 1))) {
    if (!key.startsWith(prefix)) continue;
    const cut = delimiter === '' ? -1 : key.indexOf(delimiter, prefix.length);
    const shown = cut < 0 ? key : key.slice(0, cut + delimiter.length);
    if (shown <= marker || (cut >= 0 && answer.prefixes.at(-1) === shown)) continue;
    if (answer.entries.length + answer.prefixes.length === limit) return { ...answer, truncated: true };
    if (cut < 0) answer.entries.push({ key, attr });
    else answer.prefixes.push(shown);
    answer.next = shown;
  }
  return answer;
}
