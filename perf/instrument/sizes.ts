// What a node's data takes: on disk by kind, in memory by needle.

import fs from 'node:fs';
import path from 'node:path';

export interface DataSizes {
  /** Bytes of the databases' files, of everything else that groups keep, and of the log's segments. */
  readonly databaseBytes: number;
  readonly checkpointBytes: number;
  readonly logBytes: number;
  /** As disks count: zeros written ahead of volume files are in it. */
  readonly blockBytes: number;
}

const STAT_BLOCK_BYTES = 512;

export function dataSizes(data: string): DataSizes {
  const files = fs.readdirSync(data, { recursive: true, encoding: 'utf8' });
  const sum = (matches: (file: string) => boolean): number => {
    return files.filter(matches).reduce((total, file) => total + allocated(path.join(data, file)), 0);
  };
  const isDatabase = (file: string): boolean => /^meta\/groups\/\d+\/data\.mdb$/.test(file);
  const isSmall = (file: string): boolean => /\/(boot|data\.mdb-lock)$/.test(file);
  return {
    databaseBytes: sum(isDatabase),
    checkpointBytes: sum((file) => file.startsWith('meta/groups/') && !isDatabase(file) && !isSmall(file)),
    logBytes: sum((file) => /^meta\/\d+\/wal\//.test(file)),
    blockBytes: sum((file) => /^blocks\/\d+\./.test(file)),
  };
}

/** 0 for what is gone since it was listed, and for folders. */
function allocated(file: string): number {
  const stat = fs.statSync(file, { throwIfNoEntry: false });
  return stat?.isFile() === true ? stat.blocks * STAT_BLOCK_BYTES : 0;
}

/**
 * Bytes of memory that the needle index of a node takes: its arena is reserved at the start and by far the largest
 * writable mapping of the process (proc_pid_smaps(5)).
 */
export function needleIndexBytes(pid: number): number {
  let largest = { sizeKib: 0, rssKib: 0 };
  let isWritable = false;
  let sizeKib = 0;
  for (const line of fs.readFileSync(`/proc/${pid}/smaps`, 'utf8').split('\n')) {
    const head = /^[0-9a-f]+-[0-9a-f]+ (\S+)/.exec(line);
    if (head !== null)
      isWritable = head[1]!.startsWith('rw'); // the group is there
    else if (line.startsWith('Size:')) sizeKib = kib(line);
    else if (line.startsWith('Rss:') && isWritable && sizeKib > largest.sizeKib)
      largest = { sizeKib, rssKib: kib(line) };
  }
  return largest.rssKib * 1024;
}

function kib(line: string): number {
  return Number(/\d+/.exec(line)?.[0] ?? 0);
}
