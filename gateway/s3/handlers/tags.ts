// The tags of an object: stored as a query string in the order of their names, read from the x-amz-tagging header or
// a Tagging document.

import type { ByteString } from '../../../proto/codec.js';
import { S3Error } from '../errors.js';
import { encodeQuery, Query } from '../http/uri.js';
import { element } from '../xml/writer.js';

const TAGS_MAX = 10;
const NAME_MAX = 128;
const VALUE_MAX = 256;

export interface Tag {
  readonly name: ByteString;
  readonly value: ByteString;
}

/** Throws InvalidTag for more, longer or repeated tags than S3 takes. */
export function encodeTags(tags: readonly Tag[]): ByteString {
  if (tags.length > TAGS_MAX) throw new S3Error('InvalidTag', 'Object tags cannot be greater than 10');
  const seen = new Set<string>();
  for (const { name, value } of tags) {
    if (name === '' || textLength(name) > NAME_MAX) throw new S3Error('InvalidTag', 'The TagKey is not valid');
    if (textLength(value) > VALUE_MAX) throw new S3Error('InvalidTag', 'The TagValue is not valid');
    if (seen.has(name)) throw new S3Error('InvalidTag', 'Cannot provide multiple Tags with the same key');
    seen.add(name);
  }
  const ordered = [...tags].sort((a, b) => (a.name < b.name ? -1 : 1));
  return ordered.map(({ name, value }) => `${encodeQuery(name)}=${encodeQuery(value)}`).join('&');
}

function textLength(bytes: ByteString): number {
  let length = 0;
  for (let at = 0; at < bytes.length; at++) if ((bytes.charCodeAt(at) & 0xc0) !== 0x80) length++;
  return length;
}

export function decodeTags(stored: ByteString): Tag[] {
  const query = new Query(stored);
  return query.names.map((name, at) => ({ name, value: query.values[at]! }));
}

export function tagsOfHeader(header: string): ByteString {
  return header === '' ? '' : encodeTags(decodeTags(header));
}

export function tagsXml(tags: readonly Tag[]): ByteString {
  const set = tags.map(({ name, value }) => `<Tag>${element('Key', name)}${element('Value', value)}</Tag>`).join('');
  return `<TagSet>${set}</TagSet>`;
}
