// What a thread of JavaScript waits for while its event loop is idle: rings, sockets, or the disk through libuv's pool.
// Whatever callback runs first after the loop was idle is what it had waited for. To know it, this module steps between
// the thread and what calls it back; so it is only there when waits are asked for (`npm run flame`).

import fs = require('node:fs');
import nodeModule = require('node:module');
import net = require('node:net');
import perfHooks = require('node:perf_hooks');
import stream = require('node:stream');

interface Waits {
  /** Microseconds. */
  rings: number;
  sockets: number;
  disk: number;
  /** Timers, and native code that calls back by other ways. */
  other: number;
}

type Cause = 'rings' | 'sockets' | 'disk';
type Callable = (...args: unknown[]) => unknown;

const FILE_CALLS = [
  'read',
  'readv',
  'write',
  'writev',
  'fdatasync',
  'fsync',
  'open',
  'close',
  'rename',
  'unlink',
] as const;
const ROUTES = ['any', 'get', 'put', 'post', 'head', 'del', 'options', 'patch'];

let isCounting = false;
let claimedMs = 0;
let waits: Waits = { rings: 0, sockets: 0, disk: 0, other: 0 };

function idleMs(): number {
  return perfHooks.performance.eventLoopUtilization().idle;
}

function claim(cause: Cause): void {
  if (!isCounting) return;
  const now = idleMs();
  waits[cause] += (now - claimedMs) * 1000;
  claimedMs = now;
}

/** From here on waits are counted. */
function beginWaits(): void {
  waits = { rings: 0, sockets: 0, disk: 0, other: 0 };
  claimedMs = idleMs();
  isCounting = true;
}

function endWaits(): Waits {
  isCounting = false;
  waits.other += (idleMs() - claimedMs) * 1000;
  return waits;
}

/** In each thread, before the first line of the program. */
function watchWaits(): void {
  watchRings();
  watchFiles();
  watchSockets();
  watchServer();
  nodeModule.syncBuiltinESMExports();
}

function watchRings(): void {
  const original = Atomics.waitAsync as unknown as (...args: unknown[]) => { async: boolean; value: Promise<unknown> };
  const watched = (...args: unknown[]): unknown => {
    const result = original(...args);
    // Asked for first, it is also told first.
    if (result.async) void result.value.then(() => claim('rings'));
    return result;
  };
  Object.assign(Atomics, { waitAsync: watched });
}

function watchFiles(): void {
  for (const name of FILE_CALLS) {
    const original = fs[name] as unknown as Callable;
    const watched = (...args: unknown[]): unknown => {
      const callback = args.at(-1);
      if (typeof callback !== 'function') return original(...args);
      args[args.length - 1] = (...results: unknown[]): unknown => {
        claim('disk');
        return (callback as Callable)(...results);
      };
      return original(...args);
    };
    // What util.promisify looks for is among them.
    Object.defineProperties(watched, Object.getOwnPropertyDescriptors(original));
    Object.assign(fs, { [name]: watched });
  }
}

function watchSockets(): void {
  const { push } = stream.Readable.prototype;
  net.Socket.prototype.push = function (this: net.Socket, ...args: Parameters<typeof push>): boolean {
    claim('sockets');
    return push.apply(this, args);
  };
}

/** uWebSockets.js is an addon: its face is seen when it is loaded. */
function watchServer(): void {
  const loaders = nodeModule as unknown as { _extensions: Record<string, (module: { exports: Addon }) => void> };
  const load = loaders._extensions['.node'];
  if (load === undefined) return;
  loaders._extensions['.node'] = function (this: unknown, ...args) {
    load.apply(this, args);
    const { exports } = args[0];
    const { App } = exports;
    if (typeof App !== 'function') return;
    exports.App = (...options) => watchApp(App(...options));
  };
}

interface Addon {
  App?: (...options: unknown[]) => Record<string, Callable>;
}

interface Answer {
  onData?: Callable;
}

function watchApp(app: Record<string, Callable>): Record<string, Callable> {
  for (const route of ROUTES) {
    const original = app[route];
    if (original === undefined) continue;
    app[route] = (pattern, handler) => {
      return original.call(app, pattern, (response: Answer, request: unknown) => {
        claim('sockets');
        watchBody(response);
        (handler as Callable)(response, request);
      });
    };
  }
  return app;
}

function watchBody(response: Answer): void {
  const { onData } = response;
  if (onData === undefined) return;
  response.onData = (handler) => {
    return onData.call(response, (...pieces: unknown[]) => {
      claim('sockets');
      (handler as Callable)(...pieces);
    });
  };
}

export = { watchWaits, beginWaits, endWaits };
