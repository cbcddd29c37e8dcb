// What all handlers of a gateway thread share: the channel to the metadata, the volumes, who is who, and the pool of
// buffers that large reads go through.

import type { MetaChannel } from '../../client/channel/interface.js';
import type { PathFs } from '../../client/pathfs/interface.js';
import type { Decoded } from '../../proto/codec.js';
import type { MetaOperationName, MetaOperations, volumeCodec } from '../../proto/meta/index.js';
import type { AnswerOf, RequestOf } from '../../proto/operation.js';
import { OfsError, Status } from '../../proto/status.js';
import { AccessKeys } from './auth/keys.js';
import { ReadBuffers } from './body/buffers.js';
import { S3Error } from './errors.js';
import type { Exchange } from './http/exchange.js';
import { validBucketName } from './http/target.js';

export type Volume = Decoded<typeof volumeCodec>;

/** Where the gateway says what it could not say to a client. */
export interface Log {
  error(fields: object, message: string): void;
  warn(fields: object, message: string): void;
  info(fields: object, message: string): void;
}

export interface ServiceOptions {
  readonly metaChannel: MetaChannel;
  /** The file system of a volume: must be cheap, it is asked for with every request. */
  readonly pathfs: (volume: Volume) => PathFs;
  readonly region: string;
  /** Domains under which `bucket.domain` is a virtual host. */
  readonly domains: readonly string[];
  readonly log: Log;
  readonly now: () => number;
  /** Connections of this thread; one more is closed. Must leave descriptors of the process for its files. */
  readonly connectionsMax: number;
}

export const ROOT_GROUP = 0;

export class S3Service {
  readonly channel: MetaChannel;
  readonly keys: AccessKeys;
  readonly region: string;
  readonly domains: readonly string[];
  readonly log: Log;
  readonly now: () => number;
  readonly connectionsMax: number;
  readonly buffers = new ReadBuffers();
  private readonly pathfsOf: (volume: Volume) => PathFs;

  constructor(options: ServiceOptions) {
    this.channel = options.metaChannel;
    this.keys = new AccessKeys(options.metaChannel);
    this.region = options.region;
    this.domains = options.domains;
    this.log = options.log;
    this.now = options.now;
    this.connectionsMax = options.connectionsMax;
    this.pathfsOf = options.pathfs;
  }

  /** A read, without a hop where this process may answer it. */
  async read<K extends MetaOperationName>(
    name: K,
    group: number,
    request: RequestOf<MetaOperations[K]>,
  ): Promise<AnswerOf<MetaOperations[K]>> {
    return this.channel.readLocal(name, group, request) ?? this.channel.call(name, group, request);
  }

  /** The bucket's volume, if whoever asks may use it. Undefined: not known on this thread, use `volume`. */
  volumeSync(x: Exchange): Volume | undefined {
    try {
      const answer = this.channel.readLocal('volumeInfo', ROOT_GROUP, { name: x.bucket });
      return answer === undefined ? undefined : permitted(x, answer.volume);
    } catch (error) {
      throw noSuchBucket(error, x.bucket);
    }
  }

  /** Rejects with NoSuchBucket, or AccessDenied where it is another user's. */
  async volume(x: Exchange): Promise<Volume> {
    const local = this.volumeSync(x);
    if (local !== undefined) return local;
    return permitted(x, await this.anyVolume(x.bucket));
  }

  /** A bucket's volume, whoever asks. */
  async anyVolume(name: string): Promise<Volume> {
    if (!validBucketName(name)) throw new S3Error('InvalidBucketName', undefined, { BucketName: name });
    try {
      return (await this.read('volumeInfo', ROOT_GROUP, { name })).volume;
    } catch (error) {
      throw noSuchBucket(error, name);
    }
  }

  pathfs(volume: Volume): PathFs {
    return this.pathfsOf(volume);
  }
}

/** A bucket is its owner's; one that nobody owns is everybody's. */
export function mayUse(user: string, volume: Volume): boolean {
  return volume.owner === '' || volume.owner === user;
}

function permitted(x: Exchange, volume: Volume): Volume {
  if (!mayUse(x.identity.user, volume)) throw new S3Error('AccessDenied');
  const expected = x.headers.get('x-amz-expected-bucket-owner');
  if (expected !== '' && expected !== volume.owner) throw new S3Error('AccessDenied');
  return volume;
}

function noSuchBucket(error: unknown, name: string): unknown {
  const absent = error instanceof OfsError && (error.status === Status.NO_SUCH_VOLUME || error.status === Status.NOENT);
  if (!absent) return error;
  return validBucketName(name)
    ? new S3Error('NoSuchBucket', undefined, { BucketName: name })
    : new S3Error('InvalidBucketName', undefined, { BucketName: name });
}
