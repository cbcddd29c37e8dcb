// Writes XML as byte strings: names and keys are bytes already, the rest is ASCII, so a document is turned into bytes
// once, without an encoder. Escaping follows AWS: what XML cannot hold is written as a character reference, which is
// why listings take encoding-type=url.

import { Buffer, isUtf8 } from 'node:buffer';
import type { ByteString } from '../../../proto/codec.js';

export const S3_NAMESPACE = 'http://s3.amazonaws.com/doc/2006-03-01/';

const SPECIAL = /[&<>"']|[^ -~]/;
const ESCAPED = /[&<>"']|[^ -~\u0080-\u00ff]/g;

function reference(character: string): string {
  switch (character) {
    case '&':
      return '&amp;';
    case '<':
      return '&lt;';
    case '>':
      return '&gt;';
    case '"':
      return '&quot;';
    case "'":
      return '&apos;';
    default:
      return `&#x${character.charCodeAt(0).toString(16)};`;
  }
}

/** Text for an element, in and out as bytes; bytes that are no UTF-8 (a file made through POSIX) become U+FFFD. */
export function escapeXml(bytes: ByteString): ByteString {
  if (!SPECIAL.test(bytes)) return bytes;
  const escaped = bytes.replace(ESCAPED, reference);
  if (!/[\u0080-\u00ff]/.test(escaped)) return escaped;
  const raw = Buffer.from(escaped, 'latin1');
  return isUtf8(raw) ? escaped : Buffer.from(raw.toString('utf8'), 'utf8').latin1Slice();
}

/** `<name>value</name>` with the value escaped. */
export function element(name: string, value: ByteString | number): ByteString {
  return `<${name}>${typeof value === 'number' ? value : escapeXml(value)}</${name}>`;
}

/** A whole document with S3's namespace on its root. */
export function document(root: string, content: ByteString): ByteString {
  return `<?xml version="1.0" encoding="UTF-8"?>\n<${root} xmlns="${S3_NAMESPACE}">${content}</${root}>`;
}

/** An ETag as S3 writes it in XML. */
export function etagElement(etag: string): ByteString {
  return `<ETag>&quot;${escapeXml(etag)}&quot;</ETag>`;
}
