// The metadata service of one meta thread: its groups, and the timer that drives what they do by themselves. Hands each
// request to the group that it names; makes and removes groups as group 0's volumes come and go. A volume's record is
// committed before its group is made, so that a start finds every group that was promised, and makes those that were
// not made yet (volumes.ts says how a volume goes).

import assert from 'node:assert';
import path from 'node:path';
import { crc32 } from 'node:zlib';
import { type Codec, DecodeError, decode, encode, Reader, u53 } from '../../proto/codec.js';
import { limits } from '../../proto/limits.js';
import { metaOperations, Table } from '../../proto/meta/index.js';
import { OfsError, Status } from '../../proto/status.js';
import type { Request, Service } from '../../workers/channel.js';
import { Reserve } from '../disk/index.js';
import type { RaftHost } from '../raft/interface.js';
import { refuse } from './caller.js';
import type { ReadBlock } from './context.js';
import { GroupHome } from './home.js';
import { type JobTools, reclaim, runJobs } from './jobs.js';
import { type GroupSurroundings, OpenGroup } from './open-group.js';
import type { BoundOperation, DeletedBlob, MetaLogic } from './operation-table.js';
import { type ClusterInfo, countRows } from './service-handlers.js';
import {
  allVolumes,
  forgetGone,
  type GoneGroup,
  goneGroups,
  markDeleted,
  purge,
  type Volume,
  volumeNamed,
  withGoneRows,
} from './volumes.js';

const { chunkCommit, reclaimNow, volumeCreate, volumeDelete, writeCommit } = metaOperations;
/** reclaimNow counts what is left no further. */
const LEFT_LIMIT = 1_000_000;

export interface MetaServiceOptions {
  /** The node's data directory. */
  readonly directory: string;
  readonly thread: number;
  /** Meta threads of the process. */
  readonly threads: number;
  readonly bootId: string;
  readonly logic: MetaLogic;
  readonly openRaft: (directory: string) => Promise<RaftHost>;
  /** Whether the lease of a group lets this node answer reads. */
  readonly holdsLease: (group: number) => boolean;
  /** Resolves when the blobs' tombstones are on disk. */
  readonly deleteBlobs: (blobs: readonly DeletedBlob[]) => Promise<void>;
  /** Nothing is read where the process has no blocks. */
  readonly readBlock?: ReadBlock;
  /** Writes a block under a client's session; resolves with its blob when it is on disk. Rejects with OfsError. */
  readonly writeBlock?: (session: number, crc: number, data: Buffer) => Promise<number>;
  readonly clusterInfo: ClusterInfo;
  readonly warn: (message: string) => void;
  /** Something that must not happen did: the process has to end. */
  readonly fatal: (error: Error) => void;
  /** Milliseconds; injected by tests. */
  readonly monotonic?: () => number;
  readonly wallClock?: () => number;
  readonly jobsMs?: number;
}

export class MetaService {
  private readonly groups = new Map<number, OpenGroup>();
  private readonly adding = new Map<number, Promise<OpenGroup>>();
  private readonly tools: JobTools;
  private readonly reserve: Reserve;
  private surroundings: GroupSurroundings | null = null;
  private closing = false;
  private timer: NodeJS.Timeout | null = null;
  private round: Promise<void> | null = null;
  private checkpointing: Promise<void> | null = null;
  /** Groups whose deletion a request is about. */
  private readonly deleting = new Set<number>();

  constructor(private readonly options: MetaServiceOptions) {
    // Groups on several threads need a way for the thread of group 0 to tell the others of a volume.
    assert(options.threads === 1 && options.thread === 0, 'the metadata service runs on one thread of a process');
    const logic = withGoneRows(options.logic);
    this.tools = { logic, deleteBlobs: options.deleteBlobs };
    const meta = path.join(options.directory, 'meta');
    this.reserve = new Reserve(path.join(meta, `reserve-${options.thread}`), limits.metaReserveBytes);
  }

  readonly service: Service = (request) => {
    try {
      this.receive(request);
    } catch (error) {
      this.options.fatal(error as Error);
    }
  };

  /** Resolves when every group leads. */
  async start(): Promise<void> {
    const { directory, thread, bootId, clusterInfo, holdsLease, warn } = this.options;
    const raft = await this.options.openRaft(path.join(directory, 'meta', String(thread), 'wal'));
    const monotonic = this.options.monotonic ?? (() => performance.now());
    const wallClock = this.options.wallClock ?? (() => Date.now());
    const { logic } = this.tools;
    const progress = { loggedBytes: 0 };
    const readBlock = this.options.readBlock ?? (() => null);
    const { reserve } = this;
    reserve.ensure();
    this.surroundings = {
      raft,
      bootId,
      logic,
      clusterInfo,
      holdsLease,
      readBlock,
      monotonic,
      wallClock,
      warn,
      reserve,
      progress,
    };
    const root = await this.addGroup(0, 0);
    const volumes = allVolumes(root.group.state);
    await Promise.all(volumes.map((volume) => this.addGroup(volume.group, volume.partition)));
    // In this order: what a deletion that is finished now retires must not be taken up once more.
    for (const gone of goneGroups(root.group.state)) await this.retireGone(gone, raft);
    await this.finishDeletions();
    this.timer = setInterval(() => this.runRound(), this.options.jobsMs ?? limits.metaJobsMs);
  }

  async close(): Promise<void> {
    this.closing = true;
    if (this.timer !== null) clearInterval(this.timer);
    await this.round;
    await this.checkpointing;
    await Promise.allSettled(this.adding.values());
    await this.surroundings?.raft.close();
    for (const group of this.groups.values()) await group.close();
    this.groups.clear();
  }

  /** Takes a checkpoint of a group now and cuts its log behind it. */
  async checkpoint(group: number): Promise<void> {
    await this.groups.get(group)?.checkpoint();
  }

  private addGroup(group: number, partition: number): Promise<OpenGroup> {
    const { surroundings } = this;
    if (surroundings === null || this.closing) {
      return Promise.reject(new OfsError(Status.CLOSED, 'the metadata service is not running'));
    }
    let opened = this.adding.get(group);
    if (opened === undefined) {
      opened = OpenGroup.open(group, partition, this.home(group), surroundings).then((open) => {
        this.groups.set(group, open);
        return open;
      });
      this.adding.set(group, opened);
    }
    return opened;
  }

  private home(group: number): GroupHome {
    return new GroupHome(path.join(this.options.directory, 'meta', 'groups', String(group)));
  }

  private get root(): OpenGroup {
    const root = this.groups.get(0);
    assert(root !== undefined, 'group 0 is opened first');
    return root;
  }

  private receive(request: Request): void {
    const open = this.groups.get(request.group);
    if (this.closing) {
      refuse(request, Status.CLOSED, 'the metadata service is ending');
    } else if (open === undefined) {
      refuse(request, Status.NO_SUCH_GROUP, `group ${request.group} is not on this node`);
    } else if (open.deleted) {
      refuse(request, Status.NO_SUCH_VOLUME, `the volume of group ${request.group} is deleted`);
    } else if (request.session >= Number.MAX_SAFE_INTEGER) {
      refuse(request, Status.MALFORMED, `session ${request.session} is out of range`);
    } else if (request.kind === reclaimNow.code) {
      this.settle(request, () => this.reclaimNow(open, request));
    } else if (request.kind === writeCommit.code) {
      this.settle(request, () => this.writeCommit(open, request));
    } else {
      this.dispatch(open, request);
    }
  }

  private dispatch(open: OpenGroup, request: Request): void {
    const operation = open.operations[request.kind];
    if (operation === undefined) {
      refuse(request, Status.MALFORMED, `no operation ${request.kind} for group ${request.group}`);
    } else if (request.kind === volumeCreate.code) {
      this.settle(request, () => this.createVolume(operation, request));
    } else if (request.kind === volumeDelete.code) {
      this.settle(request, () => this.deleteVolume(operation, request));
    } else {
      open.group.receive(operation, request.body, request);
    }
  }

  /** Answers with the error of work that answers by itself when it succeeds. */
  private settle(request: Request, work: () => Promise<void>): void {
    work().catch((error: Error) => {
      if (error instanceof OfsError) refuse(request, error.status, error.message);
      else this.options.fatal(error);
    });
  }

  /** Answers a volumeCreate when the volume's group leads. */
  private async createVolume(operation: BoundOperation, request: Request): Promise<void> {
    if (this.adding.size >= limits.raftGroupsPerThread) {
      throw new OfsError(Status.NOSPC, `there are ${this.adding.size} volumes, all that this node takes: delete one`);
    }
    const body = await askGroup(this.root, operation, request.body, request);
    const { volume } = decode(volumeCreate.answer, body);
    await this.addGroup(volume.group, volume.partition);
    request.answer(Status.OK, body);
  }

  private async deleteVolume(operation: BoundOperation, request: Request): Promise<void> {
    const { buffer, position, end } = request.body;
    const body = Buffer.from(buffer.subarray(position, end));
    const { name, force } = readRequest(volumeDelete.request, body);
    const volume = volumeNamed(this.root.group.state, name);
    const group = volume?.group ?? 0;
    this.deleting.add(group);
    try {
      if (volume !== undefined) {
        const open = await this.addGroup(volume.group, volume.partition);
        await open.group.run((transaction, context) => {
          markDeleted(transaction, force || this.tools.logic.isEmptyVolume(transaction, context));
        });
        open.deleted = true;
      }
      await askGroup(this.root, operation, new Reader(body), request);
      if (volume !== undefined) await this.retire(volume.group);
    } finally {
      this.deleting.delete(group);
    }
    request.answer(Status.OK);
  }

  /** Step 2 of deletions that a crash, or a refusal, left after step 1. */
  private async finishDeletions(): Promise<void> {
    const begun = [...this.groups.values()].filter((open) => open.deleted && !this.deleting.has(open.id));
    if (begun.length === 0) return;
    const volumes = allVolumes(this.root.group.state);
    for (const { id } of begun) {
      const volume = volumes.find(({ group }) => group === id);
      if (volume !== undefined) await this.finishDeletion(volume);
    }
  }

  private async finishDeletion(volume: Volume): Promise<void> {
    const remove = this.tools.logic.writeHandlers.volumeDelete;
    assert(remove !== undefined);
    await this.root.group.run((transaction, context) =>
      remove(transaction, { name: volume.name, force: true }, context),
    );
    await this.retire(volume.group);
  }

  /** Step 3. */
  private async retire(group: number): Promise<void> {
    const open = this.groups.get(group);
    if (open === undefined) return;
    this.groups.delete(group);
    await open.retire();
    this.adding.delete(group);
  }

  /** Step 3 of a deletion that a crash left after step 2: where the log stands yet, what it has is brought in first. */
  private async retireGone(gone: GoneGroup, raft: RaftHost): Promise<void> {
    if (!this.home(gone.group).exists || raft.logBytes(gone.group) === 0) return;
    await this.addGroup(gone.group, gone.partition);
    await this.retire(gone.group);
  }

  /** Step 4 for volumes deleted at least `minAgeMs` ago. */
  private async purgeGone(minAgeMs: number): Promise<void> {
    const { root } = this;
    for (const gone of goneGroups(root.group.state)) {
      if (gone.timeMs + minAgeMs > root.wallClock() || this.adding.has(gone.group) || this.closing) continue;
      const { bootId, deleteBlobs } = this.options;
      await purge(this.home(gone.group), { gone, bootId, deleteBlobs });
      await root.group.run((transaction) => forgetGone(transaction, gone.group));
    }
  }

  /** The block first, then the commit that names it, as the client would do it in two requests. */
  private async writeCommit(open: OpenGroup, request: Request): Promise<void> {
    const { body, payload, session, number, window } = request;
    const asked = readRequest(writeCommit.request, body.buffer.subarray(body.position, body.end));
    const { inode, size, mtime } = asked;
    const chunk = Math.floor(asked.offset / limits.chunkBytes);
    const offset = asked.offset - chunk * limits.chunkBytes;
    const { length } = payload;
    if (length === 0 || length > limits.inlineBytes || offset + length > limits.chunkBytes) {
      throw new OfsError(
        Status.INVAL,
        `${length} bytes at ${asked.offset}: at most ${limits.inlineBytes} of one chunk`,
      );
    }
    if (crc32(payload) !== asked.crc) {
      throw new OfsError(Status.CORRUPT, `${length} bytes for inode ${inode} came damaged: send them again`);
    }
    let blob = open.group.mayRun(request) ? await this.writeBlock(asked.session, asked.crc, payload) : 0;
    if (this.closing || open.deleted) throw new OfsError(Status.CLOSED, 'the group is ending');
    // The same request, sent again over another connection, may have overtaken this one: its block is the one named.
    if (!open.group.mayRun(request)) blob = 0;
    const slices = [{ offset, length, blob, blobOffset: 0, blobLength: length }];
    const commit = encode(chunkCommit.request, {
      inode,
      session: asked.session,
      chunks: [{ chunk, slices }],
      size,
      mtime,
    });
    // The answer is that of a chunkCommit and the blob behind it.
    const answer = (status: number, bytes: Uint8Array = Buffer.alloc(0)): void =>
      request.answer(status, status === Status.OK ? Buffer.concat([bytes, encode(u53, blob)]) : bytes);
    const operation = open.operations[chunkCommit.code];
    assert(operation !== undefined, 'every group takes commits');
    // Or overtakes it where both wait for the group.
    const repeats = (): void => {
      blob = 0;
    };
    open.group.receive(operation, new Reader(commit), { session, number, window, answer, repeats });
  }

  private writeBlock(session: number, crc: number, data: Buffer): Promise<number> {
    const { writeBlock } = this.options;
    if (writeBlock === undefined) throw new OfsError(Status.OPNOTSUPP, 'this node has no blocks');
    return writeBlock(session, crc, data);
  }

  private async reclaimNow(open: OpenGroup, request: Request): Promise<void> {
    const { body } = request;
    const { limit } = readRequest(reclaimNow.request, body.buffer.subarray(body.position, body.end));
    const rounds = Math.ceil(limit / limits.reclaimRows);
    const { state } = open.group;
    const left = await open.during(async () => {
      if (open.id === 0) await this.purgeGone(0);
      else await reclaim(open, this.tools, { minAgeMs: 0, rounds });
      return open.id === 0 ? goneGroups(state).length : countRows(state, Table.RECLAIM, LEFT_LIMIT);
    });
    request.answer(Status.OK, encode(reclaimNow.answer, { left }));
  }

  private runRound(): void {
    if (this.round !== null) return;
    this.round = this.jobs().then(
      () => {
        this.round = null;
      },
      (error: Error) => {
        this.round = null;
        // The world's errors pass, and the work is done again; ours do not.
        if (error instanceof OfsError) this.options.warn(`background work of the metadata: ${error.message}`);
        else this.options.fatal(error);
      },
    );
    this.checkpointing ??= this.checkpoints().then(
      () => {
        this.checkpointing = null;
      },
      (error: Error) => this.options.fatal(error),
    );
  }

  private async jobs(): Promise<void> {
    this.reserve.ensure();
    for (const open of [...this.groups.values()]) {
      if (!open.deleted && !this.closing) await open.during(() => runJobs(open, this.tools));
    }
    await this.finishDeletions();
    await this.purgeGone(limits.reclaimAgeMs);
  }

  private async checkpoints(): Promise<void> {
    for (const open of [...this.groups.values()]) if (!open.deleted && !this.closing) await open.checkpointIfDue();
  }
}

/** Sends a request on in the place of its asker; rejects with the error of its answer. */
function askGroup(open: OpenGroup, operation: BoundOperation, body: Reader, request: Request): Promise<Buffer> {
  const { session, number, window } = request;
  return new Promise((resolve, reject) => {
    const answer = (status: number, bytes: Uint8Array = Buffer.alloc(0)): void => {
      const copy = Buffer.from(bytes);
      if (status === Status.OK) resolve(copy);
      else reject(new OfsError(status as Status, copy.toString('utf8')));
    };
    open.group.receive(operation, body, { session, number, window, answer });
  });
}

function readRequest<T>(codec: Codec<T>, body: Buffer): T {
  try {
    return decode(codec, body);
  } catch (error) {
    if (!(error instanceof DecodeError)) throw error;
    throw new OfsError(Status.MALFORMED, error.message);
  }
}
