// What S3 keeps of an object beyond its bytes, as it stands encoded in `Attr.object`.

import { byteString, bytes, type Decoded, list, struct, text, u8, u32, u53 } from '../codec.js';
import { limits } from '../limits.js';

/** Algorithms of the x-amz-checksum headers. */
export const ChecksumAlgorithm = { NONE: 0, CRC32: 1, CRC32C: 2, CRC64NVME: 3, SHA1: 4, SHA256: 5 } as const;

const headerText = text(limits.objectMetaBytes);

export const objectMetaCodec = struct({
  contentType: headerText,
  /** Other headers that come back as they were given (cache-control, content-encoding …), lower-case name and value. */
  headers: list(struct({ name: headerText, value: headerText }), 64),
  /** x-amz-meta-*, without the prefix. */
  user: list(struct({ name: headerText, value: headerText }), 256),
  checksumAlgorithm: u8,
  checksum: bytes(64),
  /** 1: of the whole object; 2: composite, over the parts' checksums. */
  checksumType: u8,
  /** Lengths of the parts of a multipart upload; empty for one PUT. Bounded: kept only up to 1,000 parts. */
  partSizes: list(u53, 1000),
  partCount: u32,
  tags: byteString(limits.objectMetaBytes),
});
export type ObjectMeta = Decoded<typeof objectMetaCodec>;
