// The namespace by absolute path, for S3 and HDFS. Read interface.ts first.

export type { ObjectWriter, OpenObject, PathFs, PutRequest } from './interface.js';
export { createPathFs, type PathFsOptions } from './pathfs.js';
