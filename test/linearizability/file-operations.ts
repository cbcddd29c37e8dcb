// Operations of the file system in a history, in the terms of the metadata service.

import type { Status } from '../../proto/status.js';
import type { History, Operation } from './history.js';
import type { Answers, OperationName, Requests } from './rule.js';

export type FileRequest = { [K in OperationName]: { readonly name: K; readonly request: Requests[K] } }[OperationName];

/** `answer` is that of the operation with status OK, null otherwise. */
export interface FileAnswer {
  readonly status: Status;
  readonly answer: Answers[OperationName] | null;
}

export type FileOperation = Operation<FileRequest, FileAnswer>;
export type FileHistory = History<FileRequest, FileAnswer>;
