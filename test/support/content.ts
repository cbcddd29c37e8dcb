// Content that says what it is: any byte of it can be checked against name, generation and place.

import { createHash } from 'node:crypto';

const HEAD_BYTES = 64;

/** Deterministic bytes for a name's generation; the length too follows from them. At least 64 bytes. */
export function contentOf(name: string, generation: number, maxBytes: number): Buffer {
  const seed = createHash('sha256').update(`${name}\0${generation}`).digest();
  const length = HEAD_BYTES + (seed.readUInt32LE(0) % Math.max(1, maxBytes - HEAD_BYTES));
  const content = Buffer.alloc(length, seed);
  content.write(`${generation} ${name}`.slice(0, HEAD_BYTES).padEnd(HEAD_BYTES), 0, 'latin1');
  return content;
}

/** The generation that a content claims to be; NaN for foreign bytes. */
export function generationOf(content: Buffer): number {
  return Number.parseInt(content.toString('latin1', 0, HEAD_BYTES), 10);
}
