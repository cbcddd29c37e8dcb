// The log of a thread: JSON lines on standard error, with the thread's name.

import { type Logger, pino } from 'pino';

export function threadLog(thread: string): Logger {
  return pino({ base: { thread }, level: process.env.OFS_LOG ?? 'info' }, pino.destination({ fd: 2, sync: true }));
}

/** For what cannot be survived (a failed fdatasync): says it and ends the whole process, at once. */
export function endProcess(log: Logger): (error: Error) => never {
  return (error) => {
    log.fatal(error, 'this node cannot go on; start it again after the cause is removed');
    process.kill(process.pid, 'SIGKILL');
    throw error;
  };
}
