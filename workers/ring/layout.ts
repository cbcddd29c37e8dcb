// How a ring lies in its SharedArrayBuffer, known to both ends and to nobody else.
//
//   byte    0  free
//   byte  128  head: where the consumer has given space back up to (written by the consumer alone)
//   byte  256  tail: where the producer has published up to (written by the producer alone)
//   byte  384  1 while the producer waits for space; 1 when the producer's side is closed
//   byte  512  data: a power of two of bytes
//
// Head and tail are positions that only grow, modulo 2^32; the low bits are the offset in the data. They lie 128 bytes
// apart because processors fetch cache lines of 64 bytes in pairs. A message is a word with its length, a free word,
// and its bytes, padded to 8. It never crosses the end of the data: a SKIP word stands where it would have, and the
// message begins at offset 0.

export const HEAD = 32;
export const TAIL = 64;
export const SPACE_WANTED = 96;
export const CLOSED = 97;
export const CONTROL_BYTES = 512;

export const MESSAGE_HEADER_BYTES = 8;
export const SKIP = -1;

const MIN_BYTES = 64;
const MAX_BYTES = 2 ** 30;

/** Shared memory for a ring of `capacityBytes` of data: a power of two from 64 bytes to 1 GiB. Throws RangeError. */
export function createRing(capacityBytes: number): SharedArrayBuffer {
  checkCapacity(capacityBytes);
  return new SharedArrayBuffer(CONTROL_BYTES + capacityBytes);
}

/** The longest message for which a ring is sure to find room once it is empty, wherever its positions stand. */
export function longestMessage(capacityBytes: number): number {
  return capacityBytes / 2 - MESSAGE_HEADER_BYTES;
}

/** Bytes that a message takes in the ring. */
export function messageSpan(length: number): number {
  return (length + MESSAGE_HEADER_BYTES + 7) & ~7;
}

/** The capacity of a ring's shared memory. Throws RangeError if it is not one. */
export function capacityOf(shared: SharedArrayBuffer): number {
  const capacity = shared.byteLength - CONTROL_BYTES;
  checkCapacity(capacity);
  return capacity;
}

function checkCapacity(bytes: number): void {
  if (bytes < MIN_BYTES || bytes > MAX_BYTES || (bytes & (bytes - 1)) !== 0) {
    throw new RangeError(`a ring holds a power of two of bytes from ${MIN_BYTES} to ${MAX_BYTES}, not ${bytes}`);
  }
}
