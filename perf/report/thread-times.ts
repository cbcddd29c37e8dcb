// Where the time of each thread went, on a processor and off it, by what it waited for.

import type { ThreadWaits } from '../instrument/wait-sampler.js';
import { escapeXml } from './flame-page.js';

/** What a thread of JavaScript says of its idle event loop (waits.cts), in microseconds. */
export interface LoopWaits {
  readonly rings: number;
  readonly sockets: number;
  readonly disk: number;
  readonly other: number;
}

export interface ThreadTimes {
  readonly thread: string;
  /** Microseconds of all threads of the name. */
  readonly cpuUs: number;
  /** Ready, and without a processor. */
  readonly queuedUs: number;
  /** By cause. */
  readonly waitedUs: Readonly<Record<string, number>>;
}

const NO_PROCESSOR = 'no processor';
const LOOP = 'event loop';
/** Threads that did less in all are not worth a line. */
const SHOWN_US = 1000;
/** Of a thread's time. */
const SHOWN_SHARE = 0.005;

/** What was waited for in the event loop is split as the thread says; a thread that says nothing keeps it whole. */
export function threadTimes(kernel: readonly ThreadWaits[], loops: ReadonlyMap<string, LoopWaits>): ThreadTimes[] {
  return kernel.map(({ thread, cpuUs, queuedUs, waitedUs }) => {
    const waited: Record<string, number> = { ...waitedUs };
    const loop = loops.get(thread);
    const idleUs = waited[LOOP] ?? 0;
    const saidUs = loop === undefined ? 0 : loop.rings + loop.sockets + loop.disk + loop.other;
    if (loop !== undefined && saidUs > 0) {
      delete waited[LOOP];
      for (const [cause, us] of Object.entries(loop)) {
        const name = cause === 'other' ? 'timers and others' : cause;
        waited[name] = (waited[name] ?? 0) + (us / saidUs) * idleUs;
      }
    }
    return { thread, cpuUs, queuedUs, waitedUs: waited };
  });
}

interface Line {
  readonly thread: string;
  readonly cpuUs: number;
  /** Of the thread's whole time. */
  readonly shares: ReadonlyMap<string, number>;
}

function linesOf(threads: readonly ThreadTimes[]): { causes: string[]; lines: Line[] } {
  const lines = threads
    .filter(({ cpuUs }) => cpuUs >= SHOWN_US)
    .toSorted((left, right) => right.cpuUs - left.cpuUs)
    .map(({ thread, cpuUs, queuedUs, waitedUs }) => {
      const parts = [['on a processor', cpuUs], [NO_PROCESSOR, queuedUs], ...Object.entries(waitedUs)] as const;
      const whole = parts.reduce((sum, [, us]) => sum + us, 0);
      return { thread, cpuUs, shares: new Map(parts.map(([name, us]) => [name, us / Math.max(1, whole)])) };
    });
  const all = new Set(lines.flatMap(({ shares }) => [...shares.keys()]));
  const isSeen = (cause: string): boolean => lines.some(({ shares }) => (shares.get(cause) ?? 0) >= SHOWN_SHARE);
  return { causes: [...all].filter(isSeen), lines };
}

function percent(share: number): string {
  return share < SHOWN_SHARE ? '' : `${(share * 100).toFixed(share < 0.1 ? 1 : 0)} %`;
}

export function formatThreadTimes(threads: readonly ThreadTimes[]): string {
  const { causes, lines } = linesOf(threads);
  const rows = [
    ['thread', ...causes],
    ...lines.map(({ thread, shares }) => [thread, ...causes.map((cause) => percent(shares.get(cause) ?? 0))]),
  ];
  const widths = rows[0]!.map((_, column) => Math.max(...rows.map((row) => row[column]!.length))); // all as wide
  return rows
    .map((row) => row.map((cell, column) => (column === 0 ? cell.padEnd(widths[0]!) : cell.padStart(widths[column]!))))
    .map((cells) => cells.join('  '))
    .join('\n');
}

export function threadTimesTable(threads: readonly ThreadTimes[]): string {
  const { causes, lines } = linesOf(threads);
  const head = ['thread', ...causes].map(
    (name, column) => `<th${column > 0 ? ' class="n"' : ''}>${escapeXml(name)}</th>`,
  );
  const rows = lines.map(({ thread, shares }) => {
    const cells = causes.map((cause) => `<td class="n">${percent(shares.get(cause) ?? 0)}</td>`);
    return `<tr><td>${escapeXml(thread)}</td>${cells.join('')}</tr>`;
  });
  return `<table><tr>${head.join('')}</tr>${rows.join('\n')}</table>`;
}
