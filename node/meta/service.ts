// The metadata service of one meta thread: its groups, and what belongs to running volumes. Hands each request to the
// group that it names; makes and removes groups as group 0's volumes come and go. A volume's record is committed before
// its group is made, so that a start finds every group that was promised, and makes those that were not made yet.

import path from 'node:path';
import { decode, Reader } from '../../proto/codec.js';
import { metaOperations, Table, volumeCodec } from '../../proto/meta/index.js';
import { OfsError, Status } from '../../proto/status.js';
import type { Request, Service } from '../../workers/channel.js';
import type { RaftHost } from '../raft/interface.js';
import { type Caller, refuse } from './group.js';
import { GroupHome } from './home.js';
import { type GroupSurroundings, OpenGroup } from './open-group.js';
import type { MetaLogic } from './operation-table.js';
import type { ClusterInfo } from './service-handlers.js';

export interface DeletedBlob {
  blob: number;
  blocks: number;
}

export interface MetaServiceOptions {
  /** The node's data directory. */
  readonly directory: string;
  /** Groups with `group % threads === thread` are this thread's. */
  readonly thread: number;
  readonly threads: number;
  readonly bootId: string;
  readonly logic: MetaLogic;
  readonly openRaft: (directory: string) => Promise<RaftHost>;
  readonly mayRead: (group: number) => boolean;
  /** Resolves when the blobs' tombstones are on disk. */
  readonly deleteBlobs: (blobs: readonly DeletedBlob[]) => Promise<void>;
  readonly clusterInfo: ClusterInfo;
  readonly warn: (message: string) => void;
  /** Something that must not happen did: the process has to end. */
  readonly fatal: (error: unknown) => void;
  /** Milliseconds; injected by tests. */
  readonly monotonic?: () => number;
  readonly wallClock?: () => number;
}

export class MetaService {
  private readonly groups = new Map<number, OpenGroup>();
  private readonly adding = new Map<number, Promise<OpenGroup>>();
  private surroundings: GroupSurroundings | null = null;
  private closing = false;

  constructor(private readonly options: MetaServiceOptions) {}

  readonly service: Service = (request) => {
    try {
      this.receive(request);
    } catch (error) {
      this.options.fatal(error);
    }
  };

  /** Resolves when every group of this thread leads. */
  async start(): Promise<void> {
    const { directory, thread, bootId, logic, clusterInfo, mayRead, warn } = this.options;
    const raft = await this.options.openRaft(path.join(directory, 'meta', String(thread), 'wal'));
    const monotonic = this.options.monotonic ?? (() => performance.now());
    const wallClock = this.options.wallClock ?? (() => Date.now());
    this.surroundings = { raft, bootId, logic, clusterInfo, mayRead, monotonic, wallClock, warn };
    if (thread !== 0) return;
    await this.addGroup(0, 0);
    for (const volume of this.volumes()) await this.addGroup(volume.group, volume.partition);
  }

  /** Opens a group, making it where it is new. Resolves when this node leads it. */
  addGroup(group: number, partition: number): Promise<OpenGroup> {
    const { surroundings } = this;
    if (surroundings === null || this.closing) {
      return Promise.reject(new OfsError(Status.CLOSED, 'the metadata service is not running'));
    }
    let opened = this.adding.get(group);
    if (opened === undefined) {
      const home = new GroupHome(path.join(this.options.directory, 'meta', 'groups', String(group)));
      opened = OpenGroup.open(group, partition, home, surroundings).then((open) => {
        this.groups.set(group, open);
        return open;
      });
      this.adding.set(group, opened);
    }
    return opened;
  }

  async close(): Promise<void> {
    this.closing = true;
    await Promise.allSettled(this.adding.values());
    await this.surroundings?.raft.close();
    for (const group of this.groups.values()) await group.close();
    this.groups.clear();
  }

  private receive(request: Request): void {
    const open = this.groups.get(request.group);
    const operation = open?.operations[request.kind];
    if (this.closing) {
      refuse(request, Status.CLOSED, 'the metadata service is ending');
    } else if (open === undefined) {
      refuse(request, Status.NO_SUCH_GROUP, `group ${request.group} is not on this node`);
    } else if (operation === undefined) {
      refuse(request, Status.MALFORMED, `no operation ${request.kind} for group ${request.group}`);
    } else if (request.session >= Number.MAX_SAFE_INTEGER) {
      refuse(request, Status.MALFORMED, `session ${request.session} is out of range`);
    } else {
      const caller = operation.name === 'volumeCreate' ? this.creating(request) : request;
      open.group.receive(operation, request.body, caller);
    }
  }

  /** Answers a volumeCreate when the volume's group leads. */
  private creating(request: Request): Caller {
    const { session, number, window } = request;
    const answer = (status: number, body: Uint8Array = Buffer.alloc(0)): void => {
      if (status !== Status.OK) {
        request.answer(status, body);
        return;
      }
      const copy = Buffer.from(body);
      const { volume } = metaOperations.volumeCreate.answer.read(new Reader(copy));
      this.addGroup(volume.group, volume.partition).then(
        () => request.answer(status, copy),
        (error) => this.options.fatal(error),
      );
    };
    return { session, number, window, answer };
  }

  private volumes(): { group: number; partition: number }[] {
    const root = this.groups.get(0)!; // added first
    const found: { group: number; partition: number }[] = [];
    root.group.state.scan(Table.VOLUME, `${Table.VOLUME}\xff`, (_key, value) => {
      found.push(decode(volumeCodec, value));
      return true;
    });
    return found;
  }
}
