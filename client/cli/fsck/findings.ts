// What a check finds. An error is a rule of the metadata that does not hold; a warning is something odd that harms
// nobody; garbage is blocks that nothing names, which `ofs gc` frees. Findings are bounded: beyond the bound only their
// number is kept.

import type { ByteString } from '../../../proto/codec.js';

export type Severity = 'error' | 'warning' | 'garbage';

export interface Finding {
  severity: Severity;
  text: string;
}

/** Findings listed at most, of each severity. */
const LISTED = 1000;

export class Findings {
  readonly list: Finding[] = [];
  readonly counts: Record<Severity, number> = { error: 0, warning: 0, garbage: 0 };

  add(severity: Severity, text: string): void {
    if (++this.counts[severity] <= LISTED) this.list.push({ severity, text });
  }
}

/** A byte string as people read it: what is not printable ASCII is escaped. */
export function printable(name: ByteString): string {
  let text = '';
  for (const character of name) {
    const code = character.charCodeAt(0);
    text += code < 0x20 || code > 0x7e ? `\\x${code.toString(16).padStart(2, '0')}` : character;
  }
  return text;
}
