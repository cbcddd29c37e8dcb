// What can be told of an operation of the file system from its request and answer alone.

import { isDirectory, RenameFlag } from '../../proto/meta/index.js';
import { Status } from '../../proto/status.js';
import type { FileOperation, FileRequest } from './file-operations.js';
import { UNKNOWN } from './history.js';
import type { Answers, Requests } from './rule.js';
import { rules } from './rules.js';

/** Whether it changes nothing in whatever state. */
export function changesNothing({ name }: FileRequest, answer: FileOperation['answer']): boolean {
  if (answer === UNKNOWN) return rules[name].effect === undefined;
  // An inode that is found gone is gone for good.
  if (answer.status !== Status.OK) return answer.status !== Status.STALE;
  return rules[name].effect === undefined || (name === 'mknod' && !(answer.answer as Answers['mknod']).created);
}

/** Whether it is a rename that moves a directory, or depends on what lies above one. */
export function mayMoveDirectory({ request: { name, request }, answer }: FileOperation): boolean {
  if (name !== 'rename') return false;
  if (answer === UNKNOWN || answer.status === Status.INVAL) return true;
  if (answer.status !== Status.OK) return false;
  const { attr } = answer.answer as Answers['rename'];
  return isDirectory(attr) || (request as Requests['rename']).flags === RenameFlag.EXCHANGE;
}
