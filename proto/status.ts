// What an operation can end with, as one number in the header of its answer, and the error that carries it inside a
// process. Each protocol maps a status once: FUSE to an errno (`errnoOf`), S3 to its codes (gateway/s3), Hadoop to its
// exceptions.

export const Status = {
  OK: 0,
  NOENT: 1,
  EXIST: 2,
  NOTDIR: 3,
  ISDIR: 4,
  NOTEMPTY: 5,
  INVAL: 6,
  NAMETOOLONG: 7,
  ACCES: 8,
  PERM: 9,
  STALE: 10,
  NOSPC: 11,
  IO: 12,
  LOOP: 13,
  MLINK: 14,
  NODATA: 15,
  RANGE: 16,
  XDEV: 17,
  FBIG: 18,
  ROFS: 19,
  OPNOTSUPP: 20,
  /** A bound is reached: try again after a pause. */
  BUSY: 21,
  /** Stored bytes do not match their checksum, or are gone. */
  CORRUPT: 22,
  /** The request is not of the protocol's form. */
  MALFORMED: 23,
  NOT_LEADER: 24,
  NO_SUCH_GROUP: 25,
  SESSION_ENDED: 26,
  /** A retry so old that its answer is no longer kept. */
  RETRY_TOO_OLD: 27,
  /** The blob's volume takes no more: begin a new blob. */
  SEALED: 28,
  NO_SUCH_VOLUME: 29,
  VOLUME_EXISTS: 30,
  NO_SUCH_KEY_ID: 31,
  PRECONDITION_FAILED: 32,
  NO_SUCH_UPLOAD: 33,
  INVALID_PART: 34,
  INVALID_PART_ORDER: 35,
  PART_TOO_SMALL: 36,
  TIMEOUT: 37,
  CLOSED: 38,
} as const;

export type Status = (typeof Status)[keyof typeof Status];

const names: string[] = [];
for (const [name, value] of Object.entries(Status)) names[value] = name;

export function statusName(status: number): string {
  return names[status] ?? `status ${status}`;
}

/**
 * An operation that failed for a reason of the world's. `message` says what, on what, and what to do. It has no stack: a
 * name that is not there is an everyday answer, and to walk the stack took longer than to look the name up.
 */
export class OfsError extends Error {
  override name = 'OfsError';

  constructor(
    readonly status: Status,
    message: string,
  ) {
    const { stackTraceLimit } = Error;
    Error.stackTraceLimit = 0;
    super(message);
    Error.stackTraceLimit = stackTraceLimit;
  }
}

/** Linux errno numbers (include/uapi/asm-generic/errno.h). */
export const Errno = {
  EPERM: 1,
  ENOENT: 2,
  EINTR: 4,
  EIO: 5,
  ENXIO: 6,
  EBADF: 9,
  EAGAIN: 11,
  ENOMEM: 12,
  EACCES: 13,
  EBUSY: 16,
  EEXIST: 17,
  EXDEV: 18,
  ENODEV: 19,
  ENOTDIR: 20,
  EISDIR: 21,
  EINVAL: 22,
  EFBIG: 27,
  ENOSPC: 28,
  EROFS: 30,
  EMLINK: 31,
  ERANGE: 34,
  ENAMETOOLONG: 36,
  ENOSYS: 38,
  ENOTEMPTY: 39,
  ELOOP: 40,
  ENODATA: 61,
  EOPNOTSUPP: 95,
  ESTALE: 116,
} as const;

const errnos: Partial<Record<Status, number>> = {
  [Status.NOENT]: Errno.ENOENT,
  [Status.EXIST]: Errno.EEXIST,
  [Status.NOTDIR]: Errno.ENOTDIR,
  [Status.ISDIR]: Errno.EISDIR,
  [Status.NOTEMPTY]: Errno.ENOTEMPTY,
  [Status.INVAL]: Errno.EINVAL,
  [Status.NAMETOOLONG]: Errno.ENAMETOOLONG,
  [Status.ACCES]: Errno.EACCES,
  [Status.PERM]: Errno.EPERM,
  [Status.STALE]: Errno.ESTALE,
  [Status.NOSPC]: Errno.ENOSPC,
  [Status.LOOP]: Errno.ELOOP,
  [Status.MLINK]: Errno.EMLINK,
  [Status.NODATA]: Errno.ENODATA,
  [Status.RANGE]: Errno.ERANGE,
  [Status.XDEV]: Errno.EXDEV,
  [Status.FBIG]: Errno.EFBIG,
  [Status.ROFS]: Errno.EROFS,
  [Status.OPNOTSUPP]: Errno.EOPNOTSUPP,
  [Status.BUSY]: Errno.EAGAIN,
  [Status.NO_SUCH_VOLUME]: Errno.ENOENT,
  [Status.SESSION_ENDED]: Errno.ESTALE,
};

/** The errno that a mount answers for a status; EIO where none says it better. */
export function errnoOf(status: Status): number {
  return errnos[status] ?? Errno.EIO;
}
