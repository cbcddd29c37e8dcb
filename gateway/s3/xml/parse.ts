// Reads the XML documents of requests. Only what S3's schemas have: elements and text. Doctypes are refused, so there
// are no entities but XML's own five and character references; documents are bounded before they get here.

import type { Buffer } from 'node:buffer';
import { XMLParser, XMLValidator } from 'fast-xml-parser';
import type { ByteString } from '../../../proto/codec.js';
import { S3Error } from '../errors.js';
import { toBytes } from '../http/uri.js';

const parser = new XMLParser({
  ignoreAttributes: true,
  ignoreDeclaration: true,
  ignorePiTags: true,
  parseTagValue: false,
  processEntities: false,
  removeNSPrefix: true,
  trimValues: false,
  isArray: () => true,
});

/** An element's children by name, each as often as it stands; texts are strings. */
export type XmlNode = { readonly [name: string]: readonly (XmlNode | string)[] };

function malformed(): S3Error {
  return new S3Error('MalformedXML');
}

/** The children of the root element `root`. Throws MalformedXML. */
export function parseXml(bytes: Buffer, root: string): XmlNode {
  const text = bytes.toString('utf8');
  if (text.includes('<!') || XMLValidator.validate(text) !== true) throw malformed();
  let parsed: XmlNode;
  try {
    parsed = parser.parse(text) as XmlNode;
  } catch {
    throw malformed();
  }
  const found = parsed[root]?.[0];
  if (found === undefined) throw malformed();
  return typeof found === 'string' ? {} : found;
}

/** The elements `name` of a node, those without children of their own left out. */
export function childNodes(node: XmlNode, name: string): XmlNode[] {
  return (node[name] ?? []).filter((child): child is XmlNode => typeof child !== 'string');
}

/** The text of the first element `name`; undefined if it is not there. */
export function childText(node: XmlNode, name: string): ByteString | undefined {
  const child = node[name]?.[0];
  if (child === undefined) return undefined;
  if (typeof child !== 'string') {
    const text = child['#text']?.[0];
    if (typeof text === 'string' && Object.keys(child).length === 1) return toBytes(unescapeXml(text));
    throw malformed();
  }
  return toBytes(unescapeXml(child));
}

const named: Readonly<Record<string, string>> = { amp: '&', lt: '<', gt: '>', quot: '"', apos: "'" };

function unescapeXml(text: string): string {
  if (!text.includes('&')) return text;
  return text.replace(/&(?:#x([0-9a-fA-F]{1,6})|#(\d{1,7})|(\w+));?/g, (_, hex, decimal, name) => {
    if (name !== undefined) {
      const character = named[name as string];
      if (character === undefined) throw malformed();
      return character;
    }
    const code = hex === undefined ? Number(decimal) : Number.parseInt(hex as string, 16);
    if (code > 0x10ffff) throw malformed();
    return String.fromCodePoint(code);
  });
}
