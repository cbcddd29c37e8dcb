// Writers through S3 that go on over crashes of the node: puts, overwrites and deletes of names of their own, each
// outcome noted in a ledger.

import type { S3 } from '../support/s3.js';
import { Ledger } from './ledger.js';

const NAMES_PER_WRITER = 40;
const MAX_BYTES = 300 * 1024;
const DELETE_SHARE = 0.1;

export class S3Writers {
  readonly ledger = new Ledger(MAX_BYTES);
  private running = false;
  private work: Promise<void>[] = [];
  refused = 0;

  constructor(
    private readonly bucket: string,
    private readonly writers: number,
    private readonly random: () => number,
  ) {}

  start(s3: S3): void {
    this.running = true;
    this.work = Array.from({ length: this.writers }, (_, writer) => this.write(s3, writer));
  }

  /** Lets requests under way end; after a kill they fail, and their outcome stays unknown. */
  async stop(): Promise<void> {
    this.running = false;
    await Promise.all(this.work);
  }

  /** Every name shows what it may show. */
  async check(s3: S3): Promise<void> {
    for (const name of this.ledger.all()) {
      const answer = await s3.get(`/${this.bucket}/${name}`);
      if (answer.status !== 200 && answer.status !== 404)
        throw new Error(`GET ${name}: ${answer.status} ${answer.body}`);
      this.ledger.check(name, answer.status === 404 ? null : answer.body);
    }
  }

  private async write(s3: S3, writer: number): Promise<void> {
    while (this.running) {
      const name = `w${writer}/d${Math.floor(this.random() * 4)}/k${Math.floor(this.random() * NAMES_PER_WRITER)}`;
      try {
        if (this.random() < DELETE_SHARE) await this.delete(s3, name);
        else await this.put(s3, name);
      } catch {
        // The node is gone: this outcome is unknown, and the next start is waited for by who runs the test.
        return;
      }
    }
  }

  private async put(s3: S3, name: string): Promise<void> {
    const generation = this.ledger.beginPut(name);
    const answer = await s3.put(`/${this.bucket}/${name}`, this.ledger.content(name, generation));
    if (answer.status === 200) this.ledger.acknowledgePut(name, generation);
    else this.refused++;
  }

  private async delete(s3: S3, name: string): Promise<void> {
    this.ledger.beginDelete(name);
    const answer = await s3.delete(`/${this.bucket}/${name}`);
    if (answer.status === 204) this.ledger.acknowledgeDelete(name);
    else this.refused++;
  }
}
