// A service in memory for the gateway's tests: volumes, keys, objects and uploads as maps, with the semantics that the
// gateway relies on and none of the durability. Faults (a slow disk, a full service, a broken read) can be set.

import { createHash, randomBytes } from 'node:crypto';
import type { MetaChannel } from '../../../client/channel/interface.js';
import type { ObjectWriter, OpenObject, PathFs, PutRequest } from '../../../client/pathfs/interface.js';
import type { Volume } from '../../../gateway/s3/index.js';
import type { ByteString } from '../../../proto/codec.js';
import {
  type Attr,
  AttrFlag,
  type Chunk,
  etagOf,
  type MetaOperationName,
  type MetaOperations,
  Mode,
} from '../../../proto/meta/index.js';
import type { AnswerOf, RequestOf } from '../../../proto/operation.js';
import { OfsError, Status } from '../../../proto/status.js';
import { listKeys } from './memory-list.js';

interface Stored {
  attr: Attr;
  data: Buffer;
}

interface Part {
  data: Buffer;
  etag: ByteString;
  checksum: Uint8Array;
  modified: Attr['mtime'];
}

interface Upload {
  path: ByteString;
  object: Uint8Array;
  created: Attr['mtime'];
  initiator: string;
  parts: Map<number, Part>;
}

interface Bucket {
  volume: Volume;
  objects: Map<ByteString, Stored>;
  uploads: Map<ByteString, Upload>;
}

type Handler = (request: never, group: number) => unknown;

const now = (): Attr['mtime'] => {
  const ms = Date.now();
  return { sec: Math.floor(ms / 1000), nsec: (ms % 1000) * 1e6 };
};

export class MemoryService implements MetaChannel {
  readonly buckets = new Map<string, Bucket>();
  readonly accessKeys = new Map<string, { secretKey: string; user: string }>();
  /** Without it every read goes through `call`, as on a node that holds no lease. */
  local = true;
  /** Thrown by the next operations of a name. */
  readonly failures = new Map<string, OfsError>();
  /** When set, every block read waits for it. */
  readGate: Promise<void> | undefined;
  /** Called with the offset of each block read. */
  onRead: ((offset: number) => void) | undefined;
  /** Bytes a writer takes before it asks to be left alone until `drain`. */
  writeBound = 1 << 30;
  /** The last ones made, a hundred at most. */
  readonly writers = new Set<MemoryWriter>();
  aborted = 0;
  objectCopyRefuses = false;
  private nextGroup = 1;
  private nextInode = 100;

  constructor() {
    this.accessKeys.set('bench', { secretKey: 'benchbench', user: 'bench' });
    this.accessKeys.set('other', { secretKey: 'othersecret', user: 'other' });
  }

  async call<K extends MetaOperationName>(
    name: K,
    group: number,
    request: RequestOf<MetaOperations[K]>,
  ): Promise<AnswerOf<MetaOperations[K]>> {
    await new Promise((resolve) => setImmediate(resolve));
    return this.run(name, group, request);
  }

  readLocal<K extends MetaOperationName>(
    name: K,
    group: number,
    request: RequestOf<MetaOperations[K]>,
  ): AnswerOf<MetaOperations[K]> | undefined {
    return this.local ? this.run(name, group, request) : undefined;
  }

  async session(): Promise<number> {
    return 7;
  }
  hold(): void {}
  unhold(): void {}
  async close(): Promise<void> {}

  bucketOf(group: number): Bucket {
    for (const bucket of this.buckets.values()) if (bucket.volume.group === group) return bucket;
    throw new OfsError(Status.NO_SUCH_GROUP, `no group ${group}`);
  }

  private run<K extends MetaOperationName>(
    name: K,
    group: number,
    request: RequestOf<MetaOperations[K]>,
  ): AnswerOf<MetaOperations[K]> {
    const failure = this.failures.get(name);
    if (failure !== undefined) throw failure;
    const handler = (this.handlers as Record<string, Handler>)[name];
    if (handler === undefined) throw new OfsError(Status.OPNOTSUPP, `no ${name} in memory`);
    return handler(request as never, group) as AnswerOf<MetaOperations[K]>;
  }

  private named(name: string): Bucket {
    const bucket = this.buckets.get(name);
    if (bucket === undefined) throw new OfsError(Status.NO_SUCH_VOLUME, `no volume ${name}`);
    return bucket;
  }

  object(group: number, path: ByteString): Stored {
    const found = this.bucketOf(group).objects.get(path);
    if (found === undefined) throw new OfsError(Status.NOENT, `no object ${path}`);
    return found;
  }

  private upload(group: number, id: ByteString, path: ByteString): Upload {
    const found = this.bucketOf(group).uploads.get(id);
    if (found === undefined || found.path !== path) throw new OfsError(Status.NO_SUCH_UPLOAD, `no upload ${id}`);
    return found;
  }

  private check(stored: Stored | undefined, condition: { ifMatch: string; ifNoneMatch: string }): void {
    const fails = (why: string): never => {
      throw new OfsError(Status.PRECONDITION_FAILED, why);
    };
    if (condition.ifNoneMatch === '*' && stored !== undefined) fails('it is there');
    if (condition.ifMatch !== '') {
      if (stored === undefined) throw new OfsError(Status.NOENT, 'nothing to match');
      if (condition.ifMatch !== '*' && condition.ifMatch !== etagOf(stored.attr)) fails('another ETag');
    }
  }

  /** Makes an object visible. */
  store(
    group: number,
    path: ByteString,
    content: { data: Buffer; etag: ByteString; object: Uint8Array; condition: PutRequest['condition'] },
  ): Attr {
    const { objects } = this.bucketOf(group);
    this.check(objects.get(path), content.condition);
    const time = now();
    const attr: Attr = {
      inode: this.nextInode++,
      mode: Mode.FILE | 0o644,
      uid: 0,
      gid: 0,
      nlink: 1,
      rdev: 0,
      size: content.data.length,
      atime: time,
      mtime: time,
      ctime: time,
      version: 1,
      flags: AttrFlag.S3_ETAG,
      etag: content.etag,
      target: '',
      object: Buffer.from(content.object),
    };
    objects.set(path, { attr, data: content.data });
    return attr;
  }

  private readonly handlers = {
    keyInfo: ({ accessKey }: { accessKey: string }) => {
      const key = this.accessKeys.get(accessKey);
      if (key === undefined) throw new OfsError(Status.NO_SUCH_KEY_ID, `no key ${accessKey}`);
      return { key: { accessKey, ...key, email: '', created: now() } };
    },
    volumeInfo: ({ name }: { name: string }) => ({ volume: this.named(name).volume }),
    volumeList: ({ after, limit }: { after: string; limit: number }) => {
      const names = [...this.buckets.keys()].filter((name) => name > after).sort();
      return {
        volumes: names.slice(0, limit).map((name) => this.named(name).volume),
        truncated: names.length > limit,
      };
    },
    volumeCreate: ({ name, owner }: { name: string; owner: string }) => {
      if (this.buckets.has(name)) throw new OfsError(Status.VOLUME_EXISTS, `volume ${name} exists`);
      const group = this.nextGroup++;
      const volume = { name, group, partition: group, created: now(), owner, blockBytes: 4 << 20, relaxed: false };
      this.buckets.set(name, { volume, objects: new Map(), uploads: new Map() });
      return { volume };
    },
    volumeDelete: ({ name }: { name: string }) => {
      if (this.named(name).objects.size > 0) throw new OfsError(Status.NOTEMPTY, `volume ${name} has objects`);
      this.buckets.delete(name);
      return {};
    },
    objectHead: ({ path }: { path: ByteString }, group: number) => ({ attr: this.object(group, path).attr }),
    objectList: (request: { prefix: string; delimiter: string; marker: string; limit: number }, group: number) =>
      listKeys(
        [...this.bucketOf(group).objects].map(([key, { attr }]) => ({ key, attr })),
        request,
      ),
    objectDelete: ({ paths, condition }: RequestOf<MetaOperations['objectDelete']>, group: number) => {
      const { objects } = this.bucketOf(group);
      for (const path of paths) this.check(objects.get(path), condition);
      for (const path of paths) objects.delete(path);
      return { statuses: paths.map(() => Status.OK) };
    },
    objectCopy: (request: RequestOf<MetaOperations['objectCopy']>, group: number) => {
      const source = this.object(group, request.source);
      this.check(source, request.sourceCondition);
      if (this.objectCopyRefuses) throw new OfsError(Status.FBIG, 'too many slices to copy at once');
      const attr = this.store(group, request.target, {
        data: source.data,
        etag: etagOf(source.attr),
        object: request.object ?? source.attr.object,
        condition: { ifMatch: '', ifNoneMatch: '' },
      });
      return { attr };
    },
    uploadCreate: (request: RequestOf<MetaOperations['uploadCreate']>, group: number) => {
      const id = randomBytes(16).toString('hex');
      const { path, object, initiator } = request;
      const upload = { path, object: Buffer.from(object), initiator, created: now(), parts: new Map() };
      this.bucketOf(group).uploads.set(id, upload);
      return { upload: id };
    },
    uploadInfo: ({ upload, path }: { upload: ByteString; path: ByteString }, group: number) =>
      this.upload(group, upload, path),
    uploadAbort: ({ upload, path }: { upload: ByteString; path: ByteString }, group: number) => {
      this.upload(group, upload, path);
      this.bucketOf(group).uploads.delete(upload);
      return {};
    },
    uploadParts: (request: RequestOf<MetaOperations['uploadParts']>, group: number) => {
      const { parts } = this.upload(group, request.upload, request.path);
      const numbers = [...parts.keys()].filter((part) => part > request.after).sort((a, b) => a - b);
      return {
        parts: numbers.slice(0, request.limit).map((part) => {
          const { data, etag, checksum, modified } = parts.get(part)!;
          return { part, size: data.length, etag, checksum, modified };
        }),
        truncated: numbers.length > request.limit,
      };
    },
    uploadList: (request: RequestOf<MetaOperations['uploadList']>, group: number) => {
      const { prefix, keyMarker, uploadMarker, limit } = request;
      const found = [...this.bucketOf(group).uploads]
        .map(([upload, { path, created, initiator }]) => ({ key: path, upload, created, initiator }))
        .filter(({ key, upload }) => {
          if (!key.startsWith(prefix)) return false;
          return key > keyMarker || (key === keyMarker && uploadMarker !== '' && upload > uploadMarker);
        })
        .sort((a, b) => (a.key + a.upload < b.key + b.upload ? -1 : 1));
      return { uploads: found.slice(0, limit), truncated: found.length > limit };
    },
    uploadComplete: (request: RequestOf<MetaOperations['uploadComplete']>, group: number) => {
      const upload = this.upload(group, request.upload, request.path);
      const pieces: Buffer[] = [];
      request.parts.forEach(({ part, etag }, at) => {
        if (at > 0 && part <= request.parts[at - 1]!.part) throw new OfsError(Status.INVALID_PART_ORDER, 'order');
        const found = upload.parts.get(part);
        if (found === undefined || found.etag !== etag) throw new OfsError(Status.INVALID_PART, `part ${part}`);
        if (at < request.parts.length - 1 && found.data.length < 5 << 20) {
          throw new OfsError(Status.PART_TOO_SMALL, `part ${part} is too small`);
        }
        pieces.push(found.data);
      });
      const attr = this.store(group, request.path, {
        data: Buffer.concat(pieces),
        etag: request.etag,
        object: request.object ?? upload.object,
        condition: request.condition,
      });
      this.bucketOf(group).uploads.delete(request.upload);
      return { attr };
    },
  };

  putPart(group: number, id: ByteString, path: ByteString, part: number, content: Omit<Part, 'modified'>): void {
    this.upload(group, id, path).parts.set(part, { ...content, modified: now() });
  }

  readonly pathfs = (volume: Volume): PathFs => new MemoryPathFs(this, volume.group);

  /** MD5 of what an object holds. */
  md5(bucket: string, key: ByteString): string {
    const { data } = this.object(this.named(bucket).volume.group, key);
    return createHash('md5').update(data).digest('hex');
  }
}

interface MemoryOpen extends OpenObject {
  readonly data: Buffer;
}

class MemoryPathFs implements PathFs {
  constructor(
    private readonly service: MemoryService,
    readonly group: number,
  ) {}

  openSync(path: ByteString): MemoryOpen | undefined {
    return this.service.local ? this.opened(path) : undefined;
  }
  async open(path: ByteString): Promise<MemoryOpen> {
    await new Promise((resolve) => setImmediate(resolve));
    return this.opened(path);
  }
  private opened(path: ByteString): MemoryOpen {
    const failure = this.service.failures.get('objectOpen');
    if (failure !== undefined) throw failure;
    const { attr, data } = this.service.object(this.group, path);
    return { attr, data, chunks: [] };
  }
  headSync(path: ByteString): Attr | undefined {
    return this.service.local ? this.service.object(this.group, path).attr : undefined;
  }
  async head(path: ByteString): Promise<Attr> {
    return this.service.object(this.group, path).attr;
  }
  readSync(object: MemoryOpen, offset: number, target: Buffer): boolean {
    if (!this.service.local || target.length > 65_536) return false;
    object.data.copy(target, 0, offset, offset + target.length);
    return true;
  }
  async read(object: MemoryOpen, offset: number, target: Buffer): Promise<void> {
    await (this.service.readGate ?? new Promise((resolve) => setImmediate(resolve)));
    this.service.onRead?.(offset);
    const failure = this.service.failures.get('read');
    if (failure !== undefined) throw failure;
    object.data.copy(target, 0, offset, offset + target.length);
  }
  hold(): void {}
  unhold(): void {}
  createWriter(): MemoryWriter {
    const writer = new MemoryWriter(this.service);
    this.service.writers.add(writer);
    if (this.service.writers.size > 100) this.service.writers.clear();
    return writer;
  }
  async put(path: ByteString, writer: ObjectWriter, etag: ByteString, request: PutRequest): Promise<Attr> {
    await writer.finish();
    const failure = this.service.failures.get('objectPut');
    if (failure !== undefined) throw failure;
    const { object, condition } = request;
    return this.service.store(this.group, path, { data: (writer as MemoryWriter).bytes(), etag, object, condition });
  }
  async putPart(
    upload: ByteString,
    path: ByteString,
    part: number,
    writer: ObjectWriter,
    etag: ByteString,
    checksum: Uint8Array,
  ): Promise<void> {
    await writer.finish();
    const data = (writer as MemoryWriter).bytes();
    this.service.putPart(this.group, upload, path, part, { data, etag, checksum: Buffer.from(checksum) });
  }
}

export class MemoryWriter implements ObjectWriter {
  size = 0;
  /** The most bytes that were ever given beyond the bound. */
  overrun = 0;
  private readonly pieces: Buffer[] = [];
  private pending = 0;
  private drainCallback: (() => void) | undefined;

  constructor(private readonly service: MemoryService) {}

  write(piece: Uint8Array): boolean {
    if (this.drainCallback !== undefined) this.overrun += piece.length;
    this.pieces.push(Buffer.from(piece));
    this.size += piece.length;
    this.pending += piece.length;
    if (this.pending < this.service.writeBound) return true;
    setImmediate(() => {
      this.pending = 0;
      const callback = this.drainCallback;
      this.drainCallback = undefined;
      callback?.();
    });
    return false;
  }
  onDrain(callback: () => void): void {
    this.drainCallback = callback;
  }
  async finish(): Promise<Chunk[]> {
    await new Promise((resolve) => setImmediate(resolve));
    return [];
  }
  abort(): void {
    this.service.aborted++;
  }
  bytes(): Buffer {
    return Buffer.concat(this.pieces);
  }
}
