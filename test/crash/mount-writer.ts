// A process that writes through a mount, and what it was promised, checked through S3: what one protocol has
// acknowledged the other shows.

import assert from 'node:assert';
import { type ChildProcess, spawn } from 'node:child_process';
import { fileURLToPath } from 'node:url';
import { contentOf } from '../support/content.js';
import type { S3 } from '../support/s3.js';
import { Ledger } from './ledger.js';

const CHILD = fileURLToPath(new URL('./mount-child.js', import.meta.url));
const MAX_BYTES = 200 * 1024;
const RECORD_BYTES = 3000;

export class MountWriter {
  readonly ledger = new Ledger(MAX_BYTES);
  private child: ChildProcess | null = null;
  private rest = '';
  private generation = 0;
  private logAcknowledged = 0;
  /** Where records of the log begin, as their writers said before they wrote. */
  private readonly records: { at: number; promised: boolean }[] = [];
  done = 0;

  constructor(
    private readonly bucket: string,
    private readonly directory: string,
    private readonly writer: number,
  ) {}

  start(): void {
    const args = [CHILD, this.directory, String(this.writer), String(this.generation)];
    this.child = spawn(process.execPath, args, { stdio: ['ignore', 'pipe', 'inherit'] });
    this.rest = '';
    this.child.stdout?.on('data', (piece: Buffer) => this.hear(piece.toString('latin1')));
  }

  /** Ends the process (its file system call under way is finished by the kernel first) and hears all it has said. */
  async stop(): Promise<void> {
    const { child } = this;
    if (child === null) return;
    const closed = new Promise((resolve) => child.once('close', resolve));
    assert(child.exitCode === null, `the writer on the mount failed with code ${child.exitCode}`);
    child.kill('SIGKILL');
    await closed;
    this.child = null;
  }

  async check(s3: S3): Promise<void> {
    const prefix = `/${this.bucket}/m${this.writer}`;
    for (const name of this.ledger.all()) {
      const answer = await s3.get(`/${this.bucket}/${name}`);
      assert(answer.status === 200 || answer.status === 404, `GET ${name}: ${answer.status} ${answer.body}`);
      this.ledger.check(name, answer.status === 404 ? null : answer.body);
    }
    const log = await s3.get(`${prefix}/log`);
    if (log.status === 404) assert.strictEqual(this.logAcknowledged, 0);
    else this.checkLog(log.body);
  }

  /**
   * The log holds every record promised, whole. One whose writer was killed in the call may stand as a beginning of
   * itself, as write(2) allows; the next one begins where it ends.
   */
  private checkLog(log: Buffer): void {
    assert(
      log.length >= this.logAcknowledged,
      `the log has ${log.length} bytes, promised were ${this.logAcknowledged}`,
    );
    this.records.forEach(({ at, promised }, index) => {
      const end = this.records[index + 1]?.at ?? log.length;
      const record = contentOf(`m${this.writer}/log`, at, RECORD_BYTES);
      const shown = log.subarray(at, end);
      const right = shown.length <= record.length && shown.equals(record.subarray(0, shown.length));
      assert(right, `the record at ${at} of the log has wrong bytes`);
      assert(!promised || shown.length === record.length, `the record at ${at} is cut at ${shown.length} bytes`);
    });
  }

  private hear(text: string): void {
    const lines = (this.rest + text).split('\n');
    this.rest = lines.pop() ?? '';
    for (const line of lines) this.note(JSON.parse(line));
  }

  private note(event: {
    begin?: string;
    done?: string;
    generation?: number | null;
    append?: number;
    appended?: number;
  }): void {
    const name = `m${this.writer}/${event.begin ?? event.done}`;
    if (event.append !== undefined) this.noteAppend(event.append);
    if (event.appended !== undefined) {
      this.logAcknowledged = event.appended;
      this.records.at(-1)!.promised = true; // it was begun before
    }
    if (event.generation === null) {
      if (event.begin !== undefined) this.ledger.beginDelete(name);
      else this.ledger.acknowledgeDelete(name);
    } else if (event.generation !== undefined) {
      this.generation = Math.max(this.generation, event.generation);
      if (event.begin !== undefined) this.ledger.notePut(name, event.generation);
      else this.ledger.acknowledgePut(name, event.generation);
    }
    if (event.begin === undefined && event.append === undefined) this.done++;
  }

  private noteAppend(at: number): void {
    // The one before was not written at all.
    if (this.records.at(-1)?.at === at) this.records.pop();
    this.records.push({ at, promised: false });
  }
}
