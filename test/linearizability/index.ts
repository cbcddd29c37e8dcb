export { check } from './check.js';
export {
  type FileAnswer,
  type FileHistory,
  type FileOperation,
  type FileRequest,
  type FileSystemOptions,
  fileSystem,
} from './file-system.js';
export {
  type CheckLimits,
  type History,
  type Illegal,
  type Model,
  type Operation,
  type Prefix,
  UNKNOWN,
  type Unknown,
  type Verdict,
} from './history.js';
export { type RegisterAnswer, type RegisterRequest, registers, type Value } from './registers.js';
