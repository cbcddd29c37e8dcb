// The digests of a body as it passes: only those that somebody asked for. MD5 and SHA by node:crypto, CRC-32 by zlib,
// CRC-32C and CRC-64/NVME by hash-wasm, whose one instance a kind is shared by all uploads of the thread (its state is
// 8 or 12 bytes, put aside after each piece).

import { Buffer } from 'node:buffer';
import { createHash, type Hash, hash } from 'node:crypto';
import { crc32 } from 'node:zlib';
import hashWasm from 'hash-wasm';
import { ChecksumAlgorithm } from '../../../proto/meta/index.js';

/** Reflected polynomials of CRC-32C (RFC 3720) and CRC-64/NVME (NVM Express base specification). */
const CASTAGNOLI_REFLECTED = 0x82f63b78;
const NVME_REFLECTED = '9a6c9329ac4bc9b5';

type WasmHasher = Awaited<ReturnType<typeof hashWasm.createCRC32>>;
const crc32cHasher = await hashWasm.createCRC32(CASTAGNOLI_REFLECTED);
const crc64Hasher = await hashWasm.createCRC64(NVME_REFLECTED);

/** A digest that grows piece by piece. */
interface Running {
  update(piece: Uint8Array): void;
  digest(): Buffer;
}

class WasmCrc implements Running {
  private state: Uint8Array;

  constructor(private readonly hasher: WasmHasher) {
    this.state = hasher.init().save();
  }

  update(piece: Uint8Array): void {
    this.hasher.load(this.state).update(piece);
    this.state = this.hasher.save();
  }

  digest(): Buffer {
    return Buffer.from(this.hasher.load(this.state).digest('binary'));
  }
}

class Crc32 implements Running {
  private value = 0;

  update(piece: Uint8Array): void {
    this.value = crc32(piece, this.value);
  }

  digest(): Buffer {
    const bytes = Buffer.alloc(4);
    bytes.writeUInt32BE(this.value);
    return bytes;
  }
}

/** MD5 or SHA. */
class CryptoDigest implements Running {
  private running: Hash | undefined;

  constructor(private readonly algorithm: string) {}

  update(piece: Uint8Array): void {
    this.running ??= createHash(this.algorithm);
    this.running.update(piece);
  }

  digest(): Buffer {
    return this.running === undefined ? hash(this.algorithm, '', 'buffer') : this.running.digest();
  }
}

function runningChecksum(algorithm: number): Running | undefined {
  switch (algorithm) {
    case ChecksumAlgorithm.CRC32:
      return new Crc32();
    case ChecksumAlgorithm.CRC32C:
      return new WasmCrc(crc32cHasher);
    case ChecksumAlgorithm.CRC64NVME:
      return new WasmCrc(crc64Hasher);
    case ChecksumAlgorithm.SHA1:
      return new CryptoDigest('sha1');
    case ChecksumAlgorithm.SHA256:
      return new CryptoDigest('sha256');
    default:
      return undefined;
  }
}

export interface DigestsWanted {
  readonly md5: boolean;
  readonly sha256: boolean;
  /** A ChecksumAlgorithm. */
  readonly checksum: number;
}

export interface DigestsMade {
  readonly md5: Buffer | undefined;
  readonly sha256: Buffer | undefined;
  readonly checksum: Buffer | undefined;
}

export class Digests {
  private readonly md5: Running | undefined;
  private readonly sha256: Running | undefined;
  private readonly checksum: Running | undefined;

  constructor(wanted: DigestsWanted) {
    const sharesSha256 = wanted.sha256 && wanted.checksum === ChecksumAlgorithm.SHA256;
    this.md5 = wanted.md5 ? new CryptoDigest('md5') : undefined;
    this.sha256 = wanted.sha256 ? new CryptoDigest('sha256') : undefined;
    this.checksum = sharesSha256 ? undefined : runningChecksum(wanted.checksum);
    this.shared = sharesSha256;
  }

  private readonly shared: boolean;

  update(piece: Uint8Array): void {
    this.md5?.update(piece);
    this.sha256?.update(piece);
    this.checksum?.update(piece);
  }

  /** Once. */
  finish(): DigestsMade {
    const sha256 = this.sha256?.digest();
    return { md5: this.md5?.digest(), sha256, checksum: this.shared ? sha256 : this.checksum?.digest() };
  }
}

/** The checksum of bytes at hand. */
export function checksumOf(algorithm: number, bytes: Uint8Array): Buffer {
  const running = runningChecksum(algorithm);
  if (running === undefined) throw new RangeError(`no checksum algorithm has the number ${algorithm}`);
  running.update(bytes);
  return running.digest();
}
