// A thread that does what a test tells it to, in its data and by message.

import { Buffer } from 'node:buffer';
import { joinHost } from '../../../workers/index.js';

export interface ActorData {
  /** How it fails before it is ready. */
  start?: 'throw' | 'exit';
  /** What its hook does when it is told to stop; all note their place in the order in shared.order. */
  stop?: 'throw' | 'hang';
  index?: number;
}

export type ActorCommand = 'throw' | 'refuse' | 'exit' | 'call' | 'echo';

const host = joinHost<ActorData>();

function note(): void {
  const order = new Int32Array(host.shared.order!);
  const place = Atomics.add(order, 0, 1);
  Atomics.store(order, 1 + place, host.data.index!);
}

function fail(way: 'throw' | 'refuse' | 'exit'): void {
  if (way === 'exit') process.exit(9);
  const error = new Error(`${host.name} has a reason to die`);
  if (way === 'throw') throw error;
  void Promise.reject(error);
}

if (host.data.start !== undefined) {
  // Node 22 aborts the process when a thread ends in the middle of a module's evaluation.
  await new Promise(setImmediate);
  fail(host.data.start);
}

if (host.shared.order !== undefined) {
  host.onStop(async () => {
    // Runs last: hooks run in the reverse order of their naming.
    await new Promise(setImmediate);
    note();
    if (host.data.stop === 'throw') throw new Error(`${host.name} cannot stop`);
  });
  host.onStop(() => (host.data.stop === 'hang' ? new Promise(() => {}) : undefined));
}

host.onMessage((message) => {
  const command = message as ActorCommand;
  if (command === 'echo') host.post({ name: host.name, peers: host.peers(), shared: Object.keys(host.shared) });
  else if (command !== 'call') fail(command);
  else {
    host.channel(host.peers()[0]!).call(1, 0, Buffer.alloc(0), null, (status) => host.post(status));
    host.post('called');
  }
});
host.ready();
