// The CRC of two stretches of bytes from the CRCs of each: appending n zero bytes to a message multiplies its CRC by
// x^(8n) modulo the polynomial, which takes a few multiplications in GF(2) (Mark Adler, zlib's crc32_combine). So the
// checksum of a whole object follows from those of its parts, without reading.

import { Buffer } from 'node:buffer';
import { ChecksumAlgorithm } from '../../../proto/meta/index.js';

interface Field {
  readonly bits: bigint;
  /** The polynomial, reflected, without its highest term. */
  readonly polynomial: bigint;
}

const fields: Readonly<Record<number, Field>> = {
  [ChecksumAlgorithm.CRC32]: { bits: 32n, polynomial: 0xedb88320n },
  [ChecksumAlgorithm.CRC32C]: { bits: 32n, polynomial: 0x82f63b78n },
  [ChecksumAlgorithm.CRC64NVME]: { bits: 64n, polynomial: 0x9a6c9329ac4bc9b5n },
};

export function combines(algorithm: number): boolean {
  return fields[algorithm] !== undefined;
}

/** The product of two polynomials modulo the field's, all with the bit of x^0 highest. */
function multiply(a: bigint, b: bigint, { bits, polynomial }: Field): bigint {
  let product = 0n;
  let factor = b;
  for (let bit = 1n << (bits - 1n); bit !== 0n; bit >>= 1n) {
    if ((a & bit) !== 0n) product ^= factor;
    factor = (factor & 1n) === 0n ? factor >> 1n : (factor >> 1n) ^ polynomial;
  }
  return product;
}

/** x^(8 · bytes) modulo the polynomial. */
function powerOfBytes(bytes: number, field: Field): bigint {
  let result = 1n << (field.bits - 1n);
  let square = 1n << (field.bits - 9n);
  for (let rest = bytes; rest > 0; rest = Math.floor(rest / 2)) {
    if (rest % 2 === 1) result = multiply(square, result, field);
    square = multiply(square, square, field);
  }
  return result;
}

function toNumber(checksum: Uint8Array): bigint {
  return BigInt(`0x${Buffer.from(checksum).toString('hex')}`);
}

/** The CRC of all parts in order, from each part's CRC (big-endian bytes) and length in bytes. */
export function combineChecksums(
  algorithm: number,
  parts: readonly { readonly checksum: Uint8Array; readonly size: number }[],
): Buffer {
  const field = fields[algorithm];
  if (field === undefined) throw new RangeError(`checksums of algorithm ${algorithm} do not combine`);
  let crc = 0n;
  let power = 1n;
  let powerSize = -1;
  for (const { checksum, size } of parts) {
    if (size !== powerSize) power = powerOfBytes(size, field);
    powerSize = size;
    crc = multiply(power, crc, field) ^ toNumber(checksum);
  }
  const bytes = Number(field.bits) / 8;
  return Buffer.from(crc.toString(16).padStart(bytes * 2, '0'), 'hex');
}
