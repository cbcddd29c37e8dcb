// What the simulated state machine holds: a register a key, and for each session its last request with the answer, so
// that a request that is sent again is answered and not run again. An operation swaps a register's value for one that
// no other operation writes, so each answer says which operation came before. A snapshot is this state as bytes.

import { crc32 } from 'node:zlib';
import type { Configuration } from '../../../proto/raft/index.js';
import { mix } from '../random.js';
import type { SimState } from './state.js';

export interface Swap {
  readonly session: number;
  readonly sequence: number;
  readonly key: number;
  readonly value: number;
}

const SWAP_BYTES = 16;
const HEADER_BYTES = 4;

export function encodeSwap(swap: Swap, paddingBytes: number): Buffer {
  const payload = Buffer.alloc(SWAP_BYTES + paddingBytes, swap.value & 0xff);
  payload.writeUInt32LE(swap.session, 0);
  payload.writeUInt32LE(swap.sequence, 4);
  payload.writeUInt32LE(swap.key, 8);
  payload.writeUInt32LE(swap.value, 12);
  return payload;
}

export function decodeSwap(payload: Buffer): Swap {
  return {
    session: payload.readUInt32LE(0),
    sequence: payload.readUInt32LE(4),
    key: payload.readUInt32LE(8),
    value: payload.readUInt32LE(12),
  };
}

interface Answered {
  readonly sequence: number;
  /** What the register held before. */
  readonly result: number;
}

interface Image {
  readonly index: number;
  readonly term: number;
  readonly configuration: Configuration;
  readonly hash: number;
  readonly values: readonly (readonly [number, number])[];
  readonly sessions: readonly (readonly [number, number, number])[];
}

export class KvState implements SimState {
  index = 0;
  term = 0;
  /** Of all that it holds; equal states have equal hashes, whichever way they came about. */
  hash = 0;
  readonly values = new Map<number, number>();
  readonly sessions = new Map<number, Answered>();

  constructor(public configuration: Configuration) {}

  /** Runs an operation once; answers what it answered then when it comes again. */
  swap({ session, sequence, key, value }: Swap): number {
    const answered = this.sessions.get(session);
    if (answered !== undefined && answered.sequence >= sequence) return answered.result;
    const result = this.values.get(key) ?? 0;
    this.hash ^= hashOf(1, key, result) ^ hashOf(1, key, value);
    this.values.set(key, value);
    if (answered !== undefined) this.hash ^= hashOf(session + 2, answered.sequence, answered.result);
    this.hash ^= hashOf(session + 2, sequence, result);
    this.sessions.set(session, { sequence, result });
    return result;
  }

  encode(): Buffer {
    const { index, term, configuration, hash } = this;
    const values = [...this.values];
    const sessions = [...this.sessions].map(([session, { sequence, result }]) => [session, sequence, result] as const);
    const image: Image = { index, term, configuration, hash, values, sessions };
    const body = Buffer.from(JSON.stringify(image));
    const bytes = Buffer.alloc(HEADER_BYTES + body.length);
    bytes.writeUInt32LE(crc32(body), 0);
    bytes.set(body, HEADER_BYTES);
    return bytes;
  }

  /** Undefined if these are not the bytes of a state. */
  static decode(bytes: Buffer): KvState | undefined {
    if (bytes.length < HEADER_BYTES) return undefined;
    const body = bytes.subarray(HEADER_BYTES);
    if (crc32(body) !== bytes.readUInt32LE(0)) return undefined;
    const image = JSON.parse(body.toString()) as Image;
    const state = new KvState(image.configuration);
    state.index = image.index;
    state.term = image.term;
    state.hash = image.hash;
    for (const [key, value] of image.values) state.values.set(key, value);
    for (const [session, sequence, result] of image.sessions) state.sessions.set(session, { sequence, result });
    return state;
  }

  /** The hash as it follows from what is held. */
  computedHash(): number {
    let hash = 0;
    for (const [key, value] of this.values) hash ^= hashOf(1, key, value) ^ hashOf(1, key, 0);
    for (const [session, { sequence, result }] of this.sessions) hash ^= hashOf(session + 2, sequence, result);
    return hash;
  }
}

function hashOf(kind: number, first: number, second: number): number {
  return mix(kind ^ mix(first ^ mix(second)));
}
