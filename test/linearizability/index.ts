export { check } from './check.js';
export type { FileAnswer, FileHistory, FileOperation, FileRequest } from './file-operations.js';
export { type FileSystemOptions, fileSystem } from './file-system.js';
export {
  type CheckLimits,
  type History,
  type Model,
  type Operation,
  type Prefix,
  type Progress,
  UNKNOWN,
  type Unknown,
  type Verdict,
} from './history.js';
export { page } from './page.js';
export { fileAnswer, Recorder } from './record.js';
export { type RegisterAnswer, type RegisterRequest, registers, type Value } from './registers.js';
