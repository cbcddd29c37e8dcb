// The parts of a multipart upload: uploaded, or copied from an object.

import { limits } from '../../../proto/limits.js';
import { ChecksumAlgorithm } from '../../../proto/meta/index.js';
import { bodyOf } from '../body/body.js';
import { algorithmName, type BodyPlan, bodyPlan, UPLOAD } from '../body/plan.js';
import { S3Error } from '../errors.js';
import type { Range } from '../http/conditions.js';
import { isoDate } from '../http/dates.js';
import type { Exchange } from '../http/exchange.js';
import type { S3Service } from '../service.js';
import { document, element, etagElement } from '../xml/writer.js';
import { checkSource, checksumLine, copySource, pump } from './copy.js';
import { checksumElementName } from './metadata.js';
import { held } from './put.js';
import { encodePartChecksum, uploadIdOf, uploadState } from './uploads.js';

function partNumberOf(x: Exchange): number {
  const text = x.query.get('partNumber') ?? '';
  const part = Number(text);
  if (!/^\d{1,5}$/.test(text) || part < 1 || part > limits.multipartParts) {
    throw new S3Error('InvalidArgument', 'Part number must be an integer between 1 and 10000, inclusive', {
      ArgumentName: 'partNumber',
      ArgumentValue: text,
    });
  }
  return part;
}

export async function uploadPart(x: Exchange, service: S3Service): Promise<void> {
  const part = partNumberOf(x);
  const upload = uploadIdOf(x);
  const plan = bodyPlan(x, UPLOAD);
  const volume = service.volumeSync(x) ?? (await held(x, service.volume(x)));
  const { meta } = await held(x, uploadState(x, service, volume));
  const wanted = partPlan(plan, meta.checksumAlgorithm);
  const pathfs = service.pathfs(volume);
  const writer = pathfs.createWriter(plan.length);
  try {
    const { md5, checksum } = await bodyOf(x).receive(wanted, writer);
    const etag = md5.toString('hex');
    await pathfs.putPart(upload, x.key, part, writer, etag, encodePartChecksum(wanted.algorithm, checksum));
    x.send(200, `\r\nETag: "${etag}"${checksumLine(wanted.algorithm, checksum)}`);
  } catch (error) {
    writer.abort();
    throw error;
  }
}

/** A part has the checksum that the upload was begun with, whether the client sends it or not. */
function partPlan(plan: BodyPlan, algorithm: number): BodyPlan {
  if (algorithm === ChecksumAlgorithm.NONE || plan.algorithm === algorithm) return plan;
  if (plan.algorithm === ChecksumAlgorithm.NONE) return { ...plan, algorithm };
  const expected = algorithmName(algorithm).toLowerCase();
  const actual = algorithmName(plan.algorithm).toLowerCase();
  throw new S3Error(
    'InvalidRequest',
    `Checksum Type mismatch occurred, expected checksum Type: ${expected}, actual checksum Type: ${actual}`,
  );
}

export async function uploadPartCopy(x: Exchange, service: S3Service): Promise<void> {
  const part = partNumberOf(x);
  const upload = uploadIdOf(x);
  const volume = await service.volume(x);
  const { meta } = await uploadState(x, service, volume);
  const source = await copySource(x, service);
  const object = await source.pathfs.open(source.key);
  checkSource(x, object.attr);
  const range = copyRange(x.headers.get('x-amz-copy-source-range'), object.attr.size);
  if (range.end - range.start > limits.s3PartBytes) throw new S3Error('EntityTooLarge');
  const pathfs = service.pathfs(volume);
  const writer = pathfs.createWriter(range.end - range.start);
  try {
    const algorithm = meta.checksumAlgorithm;
    const { md5, checksum } = await pump(x, source.pathfs, object, { range, writer, checksum: algorithm });
    const etag = md5.toString('hex');
    await pathfs.putPart(upload, x.key, part, writer, etag, encodePartChecksum(algorithm, checksum));
    let content = `<LastModified>${isoDate({ sec: Math.floor(service.now() / 1000), nsec: 0 })}</LastModified>`;
    content += etagElement(etag);
    if (checksum.length > 0) content += element(checksumElementName(algorithm), checksum.toString('base64'));
    x.sendXml(200, document('CopyPartResult', content));
  } catch (error) {
    writer.abort();
    throw error;
  }
}

/** `bytes=first-last`, both given and within the source, as AWS demands here. */
function copyRange(header: string, size: number): Range {
  if (header === '') return { start: 0, end: size };
  const parts = /^bytes=(\d{1,15})-(\d{1,15})$/.exec(header);
  if (parts === null || Number(parts[2]) < Number(parts[1])) {
    throw new S3Error(
      'InvalidArgument',
      'The x-amz-copy-source-range value must be of the form bytes=first-last where first and last are the ' +
        'zero-based offsets of the first and last bytes to copy',
    );
  }
  if (Number(parts[2]) >= size) {
    throw new S3Error('InvalidRange', `Range specified is not valid for source object of size: ${size}`);
  }
  return { start: Number(parts[1]), end: Number(parts[2]) + 1 };
}
