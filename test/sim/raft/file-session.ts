// Uses the metadata of a volume as clients do: names that all of them use, in a few directories, each request with a
// number under which it is sent again until there is an answer. All of it is taken down for the linearizability checker.

import { decode, encode } from '../../../proto/codec.js';
import { rootInode } from '../../../proto/ids.js';
import { type Attr, metaOperations } from '../../../proto/meta/index.js';
import type { Operation } from '../../../proto/operation.js';
import { Status } from '../../../proto/status.js';
import { type FileAnswer, type FileOperation, type FileRequest, UNKNOWN } from '../../linearizability/index.js';
import { ask, sliceOf, writeOf } from '../../linearizability/requests.js';
import type { MetaMachine } from './meta-machine.js';
import { Session } from './session.js';

/** Nothing was done, or nobody knows: it is asked again, under the same number. */
const AGAIN: ReadonlySet<number> = new Set([Status.NOT_LEADER, Status.BUSY, Status.NOSPC]);
const NAMES = 4;
const HEARD = 6;

export class FileSession extends Session {
  private number = 0;
  private readonly heard: number[] = [];

  protected write(): void {
    const { random, operations } = this.universe;
    const [parent, name] = this.place();
    const inode = this.inode(parent);
    const slice = sliceOf(operations.next(), { offset: 10 * random.below(3), length: 20 });
    const request = random.pick<() => FileRequest>([
      () => ask.create(parent, name, random.chance(0.5)),
      () => ask.create(parent, name),
      () => ask.mkdir(parent, name),
      () => ask.mkdir(parent, name),
      () => ask.unlink(parent, name),
      () => ask.rmdir(parent, name),
      () => ask.rename([parent, name], this.place(), random.pick([0, 0, 1, 2])),
      () => ask.rename([parent, name], this.place()),
      () => ask.link(inode, parent, name),
      () => ask.truncate(inode, 10 * random.below(4)),
      () => this.commit(inode, slice),
    ])();
    this.send(request);
  }

  protected read(): void {
    const [parent, name] = this.place();
    const inode = this.inode(parent);
    const { random } = this.universe;
    const request = random.pick<() => FileRequest>([
      () => ask.lookup(parent, name),
      () => ask.lookup(parent, name),
      () => ask.getattr(inode),
      () => ask.readdir(parent),
      () => ask.read(inode),
      () => ask.open(inode),
    ])();
    this.send(request);
  }

  /** Session 0 is the service's own, and needs not be opened to commit. */
  private commit(inode: number, slice: ReturnType<typeof sliceOf>): FileRequest {
    const { request } = writeOf(inode, slice) as FileRequest & { name: 'chunkCommit' };
    return { name: 'chunkCommit', request: { ...request, session: 0 } };
  }

  private place(): [number, string] {
    const { random } = this.universe;
    const root = rootInode(this.group);
    const directory = random.chance(0.6) ? root : (this.heard.at(-1 - random.below(HEARD)) ?? root);
    return [directory, `f${random.below(NAMES)}`];
  }

  private inode(otherwise: number): number {
    const { random } = this.universe;
    return this.heard.at(-1 - random.below(HEARD)) ?? otherwise;
  }

  private send(request: FileRequest): void {
    const { universe, group, id: session } = this;
    const { files } = universe.group(group).history;
    const operation = metaOperations[request.name as keyof typeof metaOperations] as Operation<unknown, unknown>;
    const body = encode(operation.request, request.request);
    const number = ++this.number;
    const begun: FileOperation = {
      client: session,
      invoked: ++universe.moments,
      returned: null,
      request,
      answer: UNKNOWN,
    };
    const at = files.push(begun) - 1;
    this.ask((node, answer) => {
      const machine = node.machines.get(group) as MetaMachine | undefined;
      if (machine === undefined) return false;
      return machine.receive(operation.code, body, {
        session,
        number,
        window: 1,
        answer: (status, bytes) => {
          // What is answered is overwritten when this call is over.
          const kept = Buffer.from(bytes ?? []);
          if (!node.living(machine) || AGAIN.has(status)) return;
          answer(() => {
            const answered = { status, answer: status === Status.OK ? decode(operation.answer, kept) : null };
            files[at] = { ...begun, returned: ++universe.moments, answer: answered as FileAnswer };
            const { attr } = (answered.answer ?? {}) as { attr?: Attr };
            if (attr !== undefined) this.heard.push(attr.inode);
            this.done('file');
          });
        },
      });
    });
  }
}
