// PUT of an object: the body goes through its digests into blocks as it arrives; nothing becomes visible before all of
// it has arrived, is what the request promised, and is on disk.

import type { ByteString } from '../../../proto/codec.js';
import type { ObjectMeta } from '../../../proto/meta/index.js';
import { bodyOf, type Received } from '../body/body.js';
import { type BodyPlan, bodyPlan, UPLOAD } from '../body/plan.js';
import { writeCondition } from '../http/conditions.js';
import type { Exchange } from '../http/exchange.js';
import type { S3Service } from '../service.js';
import { ChecksumType, checksumBlock, encodeMeta, metaOfHeaders, refuseUnsupported } from './metadata.js';

export async function putObject(x: Exchange, service: S3Service): Promise<void> {
  refuseUnsupported(x);
  const plan = bodyPlan(x, UPLOAD);
  const meta = metaOfHeaders(x);
  const condition = writeCondition(x.headers);
  encodeMeta(meta);
  const pathfs = service.pathfs(service.volumeSync(x) ?? (await held(x, service.volume(x))));
  const writer = pathfs.createWriter(plan.length);
  let etag: ByteString;
  try {
    const received = await bodyOf(x).receive(plan, writer);
    etag = received.md5.toString('hex');
    addChecksum(meta, plan, received);
    await pathfs.put(x.key, writer, etag, { object: encodeMeta(meta), condition, uid: 0, gid: 0 });
  } catch (error) {
    writer.abort();
    throw error;
  }
  x.send(200, `\r\nETag: "${etag}"${checksumBlock(meta)}`);
}

/** Waits for something before the body is wanted: the client is held off meanwhile. */
export function held<T>(x: Exchange, waiting: Promise<T>): Promise<T> {
  x.body?.hold();
  return waiting;
}

/** Keeps the checksum of a body that came in one. */
export function addChecksum(meta: ObjectMeta, plan: BodyPlan, received: Received): void {
  if (received.checksum.length === 0) return;
  meta.checksumAlgorithm = plan.algorithm;
  meta.checksum = received.checksum;
  meta.checksumType = ChecksumType.FULL_OBJECT;
}
