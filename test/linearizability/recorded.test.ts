// A real history: clients on connections of their own to the metadata service of a node that runs in another process,
// all at work in the same few directories, checked by the model. Every second one reads the node's database itself.

import assert from 'node:assert';
import { after, before, test } from 'node:test';
import type { MetaChannel } from '../../client/channel/index.js';
import { connectRemote, type RemoteNode } from '../../client/connect/index.js';
import { HOST, killNodes, type NodeTarget, startNode } from '../../perf/servers.js';
import { rootInode } from '../../proto/ids.js';
import type { Attr, MetaOperations } from '../../proto/meta/index.js';
import type { AnswerOf } from '../../proto/operation.js';
import { Status } from '../../proto/status.js';
import { seededRandom } from '../support/random.js';
import { ask, sliceOf, writeOf } from './file-histories.js';
import { check, type FileOperation, type FileRequest, fileSystem, page, Recorder, UNKNOWN } from './index.js';

const CLIENTS = 8;
const REQUESTS = 100;
/** Requests that a client has under way at once. */
const DEPTH = 2;
const DIRECTORIES = 3;
const NAMES = 5;

let node: NodeTarget;

before(async () => {
  node = await startNode({ log: () => {} });
});

after(killNodes);

function connect(client: number): Promise<RemoteNode> {
  const warn = (text: string): never => assert.fail(text);
  const server = { host: HOST, port: node.listen };
  return connectRemote({ server, client: `client ${client}`, warn, readsHere: client % 2 === 1 });
}

let readHere = 0;

/** Asks for what cannot be read here. */
function reading(meta: MetaChannel): Pick<MetaChannel, 'call'> {
  return {
    call: async (name, group, request, payload) => {
      const answer = meta.readLocal(name, group, request);
      if (answer === undefined) return meta.call(name, group, request, payload);
      readHere++;
      return answer;
    },
  };
}

interface Volume {
  readonly group: number;
  readonly root: number;
  readonly directories: readonly number[];
  readonly setup: readonly FileOperation[];
}

async function makeVolume({ meta }: RemoteNode): Promise<Volume> {
  const { volume } = await meta.call('volumeCreate', 0, { name: 'recorded', owner: 'test' });
  const { group } = volume;
  const root = rootInode(volume.partition);
  await meta.session(group);
  const recorder = new Recorder();
  const directories: number[] = [];
  for (let at = 0; at < DIRECTORIES; at++) {
    const answer = await recorder.call(meta, { client: 0, group }, ask.mkdir(root, `d${at}`) as never);
    assert(answer !== UNKNOWN && answer.status === Status.OK);
    directories.push((answer.answer as { attr: Attr }).attr.inode);
  }
  return { group, root, directories, setup: recorder.history };
}

/** Requests about names that all clients use and inodes that this one has heard of. */
async function work(
  remote: RemoteNode,
  client: number,
  { group, directories }: Volume,
  recorder: Recorder,
  random: () => number,
): Promise<void> {
  const session = await remote.meta.session(group);
  const heard: number[] = [];
  const pick = <T>(list: readonly T[]): T => list[Math.floor(random() * list.length)]!; // none is empty
  const place = (): [number, string] => [pick(directories), `f${Math.floor(random() * NAMES)}`];
  let tag = 1000 * (client + 1);
  const request = () => {
    const [parent, name] = place();
    const inode = heard.length === 0 ? parent : pick(heard.slice(-6));
    const slice = sliceOf(++tag, { offset: Math.floor(random() * 3) * 10, length: 20 });
    const write = writeOf(inode, slice) as FileRequest & { name: 'chunkCommit' };
    const payload = Buffer.alloc(20, `${tag} `);
    const small = ask.writeBytes(inode, slice.offset, payload) as FileRequest & { name: 'writeCommit' };
    return pick([
      () => ask.create(parent, name, random() < 0.5),
      () => ask.create(parent, name),
      () => ask.mkdir(parent, name),
      () => ask.lookup(parent, name),
      () => ask.getattr(inode),
      () => ask.unlink(parent, name),
      () => ask.rmdir(parent, name),
      () => ask.rename([parent, name], place(), pick([0, 0, 1, 2])),
      () => ask.link(inode, parent, name),
      () => ask.readdir(parent),
      () => ask.readNames(parent),
      () => ask.lookupNear(parent, name, pick([0, 2, 100])),
      () => ask.truncate(inode, Math.floor(random() * 4) * 10),
      () => ({ ...write, request: { ...write.request, session } }),
      () => ({ ...small, request: { ...small.request, session } }),
      () => ask.read(inode),
      () => ask.open(inode),
    ])();
  };
  const lane = async (): Promise<void> => {
    for (let count = 0; count < REQUESTS / DEPTH; count++) {
      const answer = await recorder.call(reading(remote.meta), { client, group }, request() as never);
      if (answer === UNKNOWN || answer.answer === null) continue;
      const { attr } = answer.answer as { attr?: Attr | null };
      if (attr !== undefined && attr !== null) heard.push(attr.inode);
    }
  };
  await Promise.all(Array.from({ length: DEPTH }, lane));
}

test('what eight clients with two requests each under way see of a real service is linearizable', async (context) => {
  const { random, seed } = seededRandom();
  context.diagnostic(`SEED=${seed}`);
  const remotes = await Promise.all(Array.from({ length: CLIENTS }, (_, client) => connect(client)));
  try {
    const volume = await makeVolume(remotes[0]!); // there are several
    const recorder = new Recorder();
    await Promise.all(remotes.map((remote, client) => work(remote, client, volume, recorder, random)));
    const { history } = recorder;
    const model = fileSystem(volume);
    const begun = performance.now();
    const verdict = check(model, history);
    const ms = (performance.now() - begun).toFixed(0);
    const done = history.filter(({ answer }) => isDone(answer)).length;
    context.diagnostic(`${history.length} operations, ${done} with success: ${verdict.steps} steps in ${ms} ms`);
    assert.strictEqual(history.length, CLIENTS * REQUESTS);
    assert(done > history.length / 4);
    for (const name of ['readNames', 'lookupNear', 'writeCommit']) {
      const some = history.filter(({ request, answer }) => request.name === name && isDone(answer)).length;
      context.diagnostic(`${some} of ${name} with success`);
      assert(some > 10);
    }
    context.diagnostic(`${readHere} read here`);
    assert(readHere > 20);
    assert.strictEqual(verdict.verdict, 'ok', page(model, history, verdict));
    const damaged = [...history, listingOfNobody(history)];
    assert.notStrictEqual(
      check(model, damaged, { steps: 50_000 }).verdict,
      'ok',
      'and would not be if an answer were wrong',
    );
  } finally {
    await Promise.all(remotes.map((remote) => remote.close()));
    await node.stop();
  }
});

function isDone(answer: FileOperation['answer']): boolean {
  return answer !== UNKNOWN && answer.status === Status.OK;
}

/** After all, a listing with a name that nobody ever gave. */
function listingOfNobody(history: readonly FileOperation[]): FileOperation {
  const last = Math.max(...history.map(({ returned }) => returned ?? 0));
  for (const { request, answer } of history) {
    if (request.name !== 'readdir' || answer === UNKNOWN || answer.answer === null) continue;
    const told = answer.answer as AnswerOf<MetaOperations['readdir']>;
    const listed = {
      entries: told.entries.slice(0, 1).map((entry) => ({ ...entry, name: 'nobody' })),
      end: true,
      cursor: 'nobody',
    };
    if (told.entries.length > 0)
      return {
        client: 0,
        invoked: last + 1,
        returned: last + 2,
        request,
        answer: { status: Status.OK, answer: listed },
      };
  }
  return assert.fail('no listing of any entry');
}
