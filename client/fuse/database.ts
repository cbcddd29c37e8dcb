// What a device thread answers from the volume's database without waking the engine: the attributes of a directory, and
// that a name is not there, which are asked before every change. Nothing that this mount may have changed and not
// committed (the attributes of files), and nothing that the engine must know the kernel was told (an inode). Each answer is
// read under the node's lease after the request has arrived, so it is what the service would say.

import { type LocalMeta, openOutsideMeta } from '../../node/meta/index.js';
import { attrOut, decodeName, ROOT_NODE, requestHeader } from '../../proto/fuse/index.js';
import { limits } from '../../proto/limits.js';
import { type Attr, isDirectory } from '../../proto/meta/index.js';
import { OfsError, Status } from '../../proto/status.js';
import { attributeFields } from './answerer.js';

/** Where the database is; `instance` as in openOutsideMeta. */
export interface DatabaseData {
  readonly directory: string;
  readonly instance: number;
  readonly group: number;
  readonly root: number;
  /** How long the kernel may believe attributes. */
  readonly attributeMs: number;
  /** Whether the kernel may believe that a name is not there: then it has to be told in another way. */
  readonly absenceIsKept: boolean;
}

/** lmdb sets a timer with each read, which is gone when it has run: so the event loop has to run now and then. */
const READS_PER_TURN = 64;
/** Names found in a row after which the next are left to the engine, up to so many. */
const MOST_PASSED = 64;

export class DatabaseAnswers {
  private reads = 0;
  /** Of look-ups: how many are left to the engine before one is tried again, and after the next name that is found. */
  private passing = 0;
  private passed = 0;

  private constructor(
    private readonly meta: LocalMeta,
    private readonly data: DatabaseData,
  ) {}

  /** Null: there is none that may be read. */
  static open(data: DatabaseData | null): DatabaseAnswers | null {
    if (data === null) return null;
    try {
      const meta = openOutsideMeta(data.directory, data.instance, () => {});
      return meta === null ? null : new DatabaseAnswers(meta, data);
    } catch {
      // The engine opens it too, and says why.
      return null;
    }
  }

  /** Writes the body of the answer to a GETATTR into `target` at `at`; false: the engine answers. */
  directory(node: number, target: Buffer, at: number): boolean {
    const attr = this.attributesOf(this.inodeOf(node));
    if (attr === undefined || !isDirectory(attr)) return false;
    const { attributeMs } = this.data;
    attrOut.write(target, at, {
      attrValid: Math.floor(attributeMs / 1000),
      attrValidNsec: (attributeMs % 1000) * 1e6,
      ...attributeFields(attr, node),
    });
    return true;
  }

  /** Whether it is certain that the name of a LOOKUP is not there. */
  isAbsent(parent: number, lookup: Buffer, end: number): boolean {
    if (this.data.absenceIsKept) return false;
    if (this.passing > 0) {
      this.passing--;
      return false;
    }
    const name = decodeName(lookup, requestHeader.bytes, end);
    if (name === '.' || name === '..' || name.length > limits.nameBytes) return false;
    this.reads++;
    try {
      const found = this.meta.read('lookup', this.data.group, { parent: this.inodeOf(parent), name });
      if (found !== undefined) this.passed = Math.min(MOST_PASSED, 2 * this.passed + 1);
      this.passing = this.passed;
      return false;
    } catch (error) {
      if (!(error instanceof OfsError)) throw error;
      this.passed = 0;
      return error.status === Status.NOENT;
    }
  }

  /** To be awaited when it is not null. */
  turn(): Promise<void> | null {
    if (this.reads < READS_PER_TURN) return null;
    this.reads = 0;
    return new Promise((resolve) => setImmediate(resolve));
  }

  close(): Promise<void> {
    return this.meta.close();
  }

  private attributesOf(inode: number): Attr | undefined {
    this.reads++;
    try {
      return this.meta.read('getattr', this.data.group, { inode })?.attr;
    } catch (error) {
      if (error instanceof OfsError) return undefined;
      throw error;
    }
  }

  private inodeOf(node: number): number {
    return node === ROOT_NODE ? this.data.root : node;
  }
}
