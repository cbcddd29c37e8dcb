// Who a request is from: access keys as the root group has them, and signing keys derived from them. A key record is
// kept for a bounded time (a revoked key is refused within 10 s everywhere, requirements R3.1), signatures never are.

import type { MetaChannel } from '../../../client/channel/interface.js';
import type { Decoded } from '../../../proto/codec.js';
import { limits } from '../../../proto/limits.js';
import type { accessKeyCodec } from '../../../proto/meta/index.js';
import { OfsError, Status } from '../../../proto/status.js';
import { S3Error } from '../errors.js';
import { type HmacKey, signingKey } from './hmac.js';

const ROOT_GROUP = 0;

type AccessKey = Decoded<typeof accessKeyCodec>;

/** An access key in use, with the signing keys of the days and regions that it was lately used for. */
export class Identity {
  readonly accessKey: string;
  readonly user: string;
  private readonly signing = new Map<string, HmacKey>();
  private lastScope = '';
  private lastKey: HmacKey | undefined;

  constructor(
    private readonly record: AccessKey,
    readonly untilMs: number,
  ) {
    this.accessKey = record.accessKey;
    this.user = record.user;
  }

  signingKey(date: string, region: string): HmacKey {
    const scope = `${date}/${region}`;
    if (scope === this.lastScope && this.lastKey !== undefined) return this.lastKey;
    let key = this.signing.get(scope);
    if (key === undefined) {
      if (this.signing.size >= limits.s3SigningKeys) this.signing.clear();
      key = signingKey(this.record.secretKey, date, region);
      this.signing.set(scope, key);
    }
    this.lastScope = scope;
    this.lastKey = key;
    return key;
  }
}

export class AccessKeys {
  private readonly known = new Map<string, Identity>();

  constructor(private readonly channel: MetaChannel) {}

  /** Rejects (or throws) InvalidAccessKeyId for a key that does not stand. */
  find(accessKey: string, nowMs: number): Identity | Promise<Identity> {
    const known = this.known.get(accessKey);
    if (known !== undefined && nowMs < known.untilMs) return known;
    this.known.delete(accessKey);
    try {
      const answer = this.channel.readLocal('keyInfo', ROOT_GROUP, { accessKey });
      if (answer !== undefined) return this.keep(answer.key, nowMs);
    } catch (error) {
      throw unknownKey(error, accessKey);
    }
    return this.channel.call('keyInfo', ROOT_GROUP, { accessKey }).then(
      (answer) => this.keep(answer.key, nowMs),
      (error: unknown) => {
        throw unknownKey(error, accessKey);
      },
    );
  }

  private keep(record: AccessKey, nowMs: number): Identity {
    if (this.known.size >= limits.s3KnownAccessKeys) {
      for (const oldest of this.known.keys()) {
        this.known.delete(oldest);
        break;
      }
    }
    const identity = new Identity(record, nowMs + limits.s3AccessKeyMs);
    this.known.set(record.accessKey, identity);
    return identity;
  }
}

function unknownKey(error: unknown, accessKey: string): unknown {
  const absent = error instanceof OfsError && (error.status === Status.NO_SUCH_KEY_ID || error.status === Status.NOENT);
  return absent ? new S3Error('InvalidAccessKeyId', undefined, { AWSAccessKeyId: accessKey }) : error;
}
