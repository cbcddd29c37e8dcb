// How a mount shows the names that stand in dentry rows. Most are shown as they are. What POSIX cannot name (an empty
// part, `.`, `..`, a NUL, more than 255 bytes) and a file that lives beside a directory of its name are shown escaped:
//
//   %ofs%n<body>   the name of the body
//   %ofs%f<body>   the file of that name, whose place the directory of the same name takes
//   %ofs%i<hex>    an entry whose escaped name would not fit, by its inode
//
// In a body `%` is `%25` and NUL is `%00`. A name that itself begins with the prefix is always escaped, so a shown name
// has one meaning and an entry has one shown name; whoever makes the name `%ofs%n..` makes the entry `..`.

import type { ByteString } from '../codec.js';
import { limits } from '../limits.js';

const PREFIX = '%ofs%';

/** What a shown name stands for. A `twin` is a file beside a directory of its name. */
export type ShownName = { form: 'plain' | 'twin'; name: ByteString } | { form: 'inode'; inode: number };

/** Whether a mount can show a stored name as it is. */
export function isPlainName(name: ByteString): boolean {
  const length = name.length;
  if (length === 0 || length > limits.nameBytes) return false;
  const first = name.charCodeAt(0);
  if (first === 0x2e && (length === 1 || (length === 2 && name.charCodeAt(1) === 0x2e))) return false;
  if (first === 0x25 && name.startsWith(PREFIX)) return false;
  return !name.includes('\0') && !name.includes('/');
}

/** The name under which a mount shows an entry; `twin`: it is a file and a directory of its name stands beside it. */
export function showName(name: ByteString, entry: { inode: number; twin: boolean }): ByteString {
  if (!entry.twin && isPlainName(name)) return name;
  const body = name.replaceAll('%', '%25').replaceAll('\0', '%00');
  const shown = `${PREFIX}${entry.twin ? 'f' : 'n'}${body}`;
  return shown.length <= limits.nameBytes ? shown : `${PREFIX}i${entry.inode.toString(16)}`;
}

/** Whether a name given by a mount has the form that is kept for escaped names. */
export function isEscaped(shown: ByteString): boolean {
  return shown.startsWith(PREFIX) && !shown.includes('/') && !shown.includes('\0');
}

/** What a name given by a mount stands for; null when no entry is ever shown so. */
export function parseShownName(shown: ByteString): ShownName | null {
  if (!shown.startsWith(PREFIX)) return isPlainName(shown) ? { form: 'plain', name: shown } : null;
  if (shown.length > limits.nameBytes || shown.includes('/')) return null;
  const kind = shown.charAt(PREFIX.length);
  const body = shown.slice(PREFIX.length + 1);
  if (kind === 'i') {
    const inode = /^[1-9a-f][0-9a-f]{0,13}$/.test(body) ? Number.parseInt(body, 16) : 0;
    return inode > 0 && inode <= Number.MAX_SAFE_INTEGER ? { form: 'inode', inode } : null;
  }
  if (kind !== 'n' && kind !== 'f') return null;
  const name = body.replaceAll('%00', '\0').replaceAll('%25', '%');
  const twin = kind === 'f';
  if (showName(name, { inode: 0, twin }) !== shown) return null;
  return { form: twin ? 'twin' : 'plain', name };
}
