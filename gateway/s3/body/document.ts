// The bodies of requests that are XML documents: bounded, verified like any other body, and whole in memory.

import type { Buffer } from 'node:buffer';
import { limits } from '../../../proto/limits.js';
import { S3Error } from '../errors.js';
import type { Exchange } from '../http/exchange.js';
import { parseXml, type XmlNode } from '../xml/parse.js';
import { bodyOf, MemorySink } from './body.js';
import { bodyPlan, type PlanOptions } from './plan.js';

async function readBody(x: Exchange, checksumOf: PlanOptions['checksumOf']): Promise<Buffer> {
  const declared = x.length('content-length');
  if (declared > limits.s3XmlBodyBytes) throw new S3Error('MaxMessageLengthExceeded');
  const plan = bodyPlan(x, { maxBytes: limits.s3XmlBodyBytes, checksumOf });
  const sink = new MemorySink();
  await bodyOf(x).receive(plan, sink);
  return sink.bytes();
}

/** The root element's content. Throws MalformedXML. */
export async function readDocument(
  x: Exchange,
  root: string,
  checksumOf: PlanOptions['checksumOf'] = 'body',
): Promise<XmlNode> {
  return parseXml(await readBody(x, checksumOf), root);
}

/** The same where the body may be left out. */
export async function readOptionalDocument(x: Exchange, root: string): Promise<XmlNode | undefined> {
  if (x.length('content-length') <= 0 && !x.headers.has('transfer-encoding')) return undefined;
  return readDocument(x, root);
}
