// Must be imported before uWebSockets.js, and in a process with worker threads by its main thread: the library reads
// the bound of a request's header section once, from the environment of the process, when it is loaded, and a worker
// only has a copy of that environment.

import { limits } from '../../proto/limits.js';

process.env.UWS_HTTP_MAX_HEADERS_SIZE ??= String(limits.s3HeaderBytes);
