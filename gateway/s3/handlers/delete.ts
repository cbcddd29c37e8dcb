// DELETE of one object and of many.

import type { ByteString } from '../../../proto/codec.js';
import { limits } from '../../../proto/limits.js';
import { OfsError, Status } from '../../../proto/status.js';
import { readDocument } from '../body/document.js';
import { S3Error, s3ErrorOf } from '../errors.js';
import { writeCondition } from '../http/conditions.js';
import type { Exchange } from '../http/exchange.js';
import { checkedKey } from '../http/target.js';
import { toBytes } from '../http/uri.js';
import type { S3Service, Volume } from '../service.js';
import { childNodes, childText, type XmlNode } from '../xml/parse.js';
import { document, element } from '../xml/writer.js';
import { refuseVersion } from './get.js';
import { held } from './put.js';

const UNCONDITIONAL = { ifNoneMatch: '', ifMatch: '' };

function statusError(status: number, key: ByteString): S3Error | undefined {
  if (status === Status.OK || status === Status.NOENT) return undefined;
  return s3ErrorOf(new OfsError(status as Status, `deleting ${key}`)) ?? new S3Error('InternalError');
}

export async function deleteObject(x: Exchange, service: S3Service): Promise<void> {
  refuseVersion(x);
  const condition = writeCondition(x.headers);
  const volume = await held(x, service.volume(x));
  const answer = await service.channel.call('objectDelete', volume.group, { paths: [x.key], condition });
  const error = statusError(answer.statuses[0]!, x.key);
  if (error !== undefined) throw error;
  x.send(204, '');
}

interface Wanted {
  readonly key: ByteString;
  /** '' without a condition. */
  readonly ifMatch: ByteString;
  error: S3Error | undefined;
}

export async function deleteObjects(x: Exchange, service: S3Service): Promise<void> {
  const root = await readDocument(x, 'Delete');
  const volume = await service.volume(x);
  const objects = childNodes(root, 'Object');
  if (objects.length === 0 || objects.length > limits.keysPerDelete) throw new S3Error('MalformedXML');
  const quiet = childText(root, 'Quiet') === 'true';
  const wanted = objects.map(wantedOf);
  await deletePlain(service, volume, wanted);
  for (const entry of wanted)
    if (entry.error === undefined && entry.ifMatch !== '') await deleteIf(service, volume, entry);
  let content = '';
  for (const { key, error } of wanted) {
    if (error === undefined) {
      if (!quiet) content += `<Deleted>${element('Key', key)}</Deleted>`;
    } else {
      const message = element('Message', toBytes(error.message));
      content += `<Error>${element('Key', key)}${element('Code', error.code)}${message}</Error>`;
    }
  }
  x.sendXml(200, document('DeleteResult', content));
}

function wantedOf(node: XmlNode): Wanted {
  const key = childText(node, 'Key');
  if (key === undefined || key === '') throw new S3Error('MalformedXML');
  const ifMatch = (childText(node, 'ETag') ?? '').replace(/^"(.*)"$/, '$1');
  const version = childText(node, 'VersionId') ?? '';
  const wanted: Wanted = { key, ifMatch, error: undefined };
  if (version !== '' && version !== 'null') wanted.error = new S3Error('NoSuchVersion');
  try {
    checkedKey(key);
  } catch (error) {
    wanted.error = s3ErrorOf(error);
  }
  return wanted;
}

async function deletePlain(service: S3Service, volume: Volume, wanted: readonly Wanted[]): Promise<void> {
  const plain = wanted.filter((entry) => entry.error === undefined && entry.ifMatch === '');
  if (plain.length === 0) return;
  const paths = plain.map((entry) => entry.key);
  const { statuses } = await service.channel.call('objectDelete', volume.group, { paths, condition: UNCONDITIONAL });
  for (let at = 0; at < plain.length; at++) plain[at]!.error = statusError(statuses[at]!, paths[at]!);
}

async function deleteIf(service: S3Service, volume: Volume, entry: Wanted): Promise<void> {
  const request = { paths: [entry.key], condition: { ifNoneMatch: '', ifMatch: entry.ifMatch } };
  try {
    const { statuses } = await service.channel.call('objectDelete', volume.group, request);
    entry.error = statusError(statuses[0]!, entry.key);
  } catch (error) {
    entry.error = s3ErrorOf(error);
    if (entry.error === undefined) throw error;
  }
}
