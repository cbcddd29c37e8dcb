// CRC-32C (Castagnoli, RFC 3720 appendix B.4) for log, frames and needle headers, by hash-wasm.

import hashWasm from 'hash-wasm';

const CASTAGNOLI_REFLECTED = 0x82f63b78;
const hasher = await hashWasm.createCRC32(CASTAGNOLI_REFLECTED);

/**
 * The CRC-32C of the given pieces in order, as an unsigned 32-bit number.
 * Synchronous; the pieces are not kept.
 */
export function crc32c(first: Uint8Array, second?: Uint8Array): number {
  hasher.init();
  hasher.update(first);
  if (second !== undefined && second.length > 0) hasher.update(second);
  const digest = hasher.digest('binary');
  return ((digest[0]! << 24) | (digest[1]! << 16) | (digest[2]! << 8) | digest[3]!) >>> 0;
}
