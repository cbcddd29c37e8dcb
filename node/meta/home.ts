// The files of a group's database, and which of them to believe at a start (design.md, section 4):
//
//   data.mdb        the database, committed without sync
//   checkpoint.mdb  a synced copy of it at some place in the log; the log is cut only behind it
//   boot            the boot of the machine under which data.mdb was last written
//   clean           there only while data.mdb is synced and nobody writes it
//
// After a crash of the process data.mdb is whole, since the kernel kept what was written. After a crash of the machine
// it may be anything: the checkpoint is copied over it. The log replays either way. A failed sync is for the caller to
// end the process on.

import fs from 'node:fs';
import path from 'node:path';

export type Start = 'new' | 'kept' | 'restored' | 'emptied';

export class GroupHome {
  readonly data: string;
  readonly checkpoint: string;
  /** A checkpoint that is being made. */
  readonly unfinished: string;
  private readonly boot: string;
  private readonly clean: string;
  /** Open as long as the database is written, so that a lost write-back is reported by the next sync. */
  private liveFd = -1;

  constructor(readonly directory: string) {
    this.data = path.join(directory, 'data.mdb');
    this.checkpoint = path.join(directory, 'checkpoint.mdb');
    this.unfinished = path.join(directory, 'checkpoint.tmp');
    this.boot = path.join(directory, 'boot');
    this.clean = path.join(directory, 'clean');
  }

  get exists(): boolean {
    return fs.existsSync(this.directory);
  }

  get isClean(): boolean {
    return fs.existsSync(this.clean);
  }

  /** Makes data.mdb one that the log can be replayed on, under this boot. Before the database is opened. */
  prepare(bootId: string): Start {
    fs.mkdirSync(this.directory, { recursive: true });
    syncDirectory(path.dirname(this.directory));
    this.dropUnfinished();
    const recorded = readText(this.boot);
    const start = this.settle(recorded === bootId || this.isClean);
    if (recorded !== bootId) this.replaceText(this.boot, bootId);
    return start;
  }

  /** From here on the database may be written: after it was opened, before the first commit. */
  beginWriting(): void {
    this.liveFd = fs.openSync(this.data, 'r+');
    removeFile(this.clean);
    syncDirectory(this.directory);
  }

  /** Length of the database in bytes. */
  get bytes(): number {
    return fs.fstatSync(this.liveFd).size;
  }

  /** Length of the database in bytes, and its first `bytes` bytes, as they are now. */
  head(bytes: number): { size: number; head: Buffer } {
    const head = Buffer.alloc(bytes);
    fs.readSync(this.liveFd, head, 0, bytes, 0);
    return { size: this.bytes, head };
  }

  /** Resolves when all that was written to the database is on disk; rejects if any of it was ever lost. */
  syncData(): Promise<void> {
    return new Promise((resolve, reject) => {
      fs.fdatasync(this.liveFd, (error) => (error === null ? resolve() : reject(error)));
    });
  }

  dropUnfinished(): void {
    removeFile(this.unfinished);
    removeFile(`${this.unfinished}-lock`);
  }

  /** The unfinished checkpoint, synced and verified, takes its place. */
  finishCheckpoint(): void {
    fs.renameSync(this.unfinished, this.checkpoint);
    removeFile(`${this.unfinished}-lock`);
    syncDirectory(this.directory);
  }

  /** After the last write: the database is synced and says so. */
  endWriting(): void {
    fs.fsyncSync(this.liveFd);
    fs.closeSync(this.liveFd);
    this.liveFd = -1;
    this.replaceText(this.clean, '');
  }

  remove(): void {
    fs.rmSync(this.directory, { recursive: true, force: true });
    syncDirectory(path.dirname(this.directory));
  }

  private settle(trusted: boolean): Start {
    const copied = fs.existsSync(this.checkpoint);
    const there = fs.existsSync(this.data);
    if (there && trusted) return 'kept';
    if (!there && !copied) return 'new';
    removeFile(`${this.data}-lock`);
    if (!copied) {
      removeFile(this.data);
      syncDirectory(this.directory);
      return 'emptied';
    }
    fs.copyFileSync(this.checkpoint, this.data);
    syncFile(this.data);
    syncDirectory(this.directory);
    return 'restored';
  }

  private replaceText(file: string, text: string): void {
    const temporary = `${file}.tmp`;
    fs.writeFileSync(temporary, text);
    syncFile(temporary);
    fs.renameSync(temporary, file);
    syncDirectory(this.directory);
  }
}

function readText(file: string): string | undefined {
  try {
    return fs.readFileSync(file, 'utf8');
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code === 'ENOENT') return undefined;
    throw error;
  }
}

function removeFile(file: string): void {
  fs.rmSync(file, { force: true });
}

function syncFile(file: string): void {
  const fd = fs.openSync(file, 'r+');
  try {
    fs.fsyncSync(fd);
  } finally {
    fs.closeSync(fd);
  }
}

function syncDirectory(directory: string): void {
  const fd = fs.openSync(directory, 'r');
  try {
    fs.fsyncSync(fd);
  } finally {
    fs.closeSync(fd);
  }
}
