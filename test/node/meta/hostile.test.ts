import assert from 'node:assert';
import fs from 'node:fs';
import { test } from 'node:test';
import fc from 'fast-check';
import { encode } from '../../../proto/codec.js';
import { type MetaOperationName, metaOperations } from '../../../proto/meta/index.js';
import type { Operation } from '../../../proto/operation.js';
import { Status, statusName } from '../../../proto/status.js';
import { arbitraryOf } from '../../proto/arbitrary.js';
import { ask, askRaw, FILE, makeVolume, seedOf, startNode, temporaryDirectory } from './support.js';

const seed = seedOf('hostile.test');
const names = Object.keys(metaOperations).filter((name) => name !== 'hello') as MetaOperationName[];

const ROOT = 2 ** 38 + 1;
const INODE_FIELDS = ['inode', 'parent', 'newParent'];
const NAME_FIELDS = ['name', 'newName', 'path', 'source'];
const inode = fc.constantFrom(ROOT, ROOT + 1, ROOT + 2, ROOT + 3, 0, 1, 2 ** 53 - 1, 2 ** 53 - 2);
const name = fc.constantFrom(
  'f',
  'd',
  'd/',
  'd/f',
  'g',
  '',
  '/',
  '.',
  '..',
  'a//b',
  '\0',
  '\xff',
  'n'.repeat(1024),
  'd/e/g',
);

interface Request {
  operation: MetaOperationName;
  fields: Record<string, unknown>;
}

/** Any request that can be encoded, about things that exist more often than chance would have it. */
const request: fc.Arbitrary<Request> = fc.constantFrom(...names).chain((operation) => {
  const codec = (metaOperations[operation] as Operation<unknown, unknown>).request;
  return fc.tuple(arbitraryOf(codec.shape), inode, inode, name, name, fc.boolean()).map((drawn) => {
    const [value, first, second, third, fourth, sensible] = drawn;
    const fields = { ...(value as Record<string, unknown>) };
    if (sensible) {
      for (const field of INODE_FIELDS) if (field in fields) fields[field] = field === 'newParent' ? second : first;
      for (const field of NAME_FIELDS)
        if (typeof fields[field] === 'string') fields[field] = field === 'name' ? third : fourth;
      if ('session' in fields) fields.session = 0;
    }
    return { operation, fields };
  });
});

test('whatever is asked is answered, and the service goes on', async (t) => {
  const directory = temporaryDirectory();
  t.after(() => fs.rmSync(directory, { recursive: true }));
  const faults: Error[] = [];
  const node = await startNode(directory, { fatal: (error) => faults.push(error) });
  const { group, root } = await makeVolume(node);
  assert.strictEqual(root, ROOT);
  await ask(node, 'mknod', { parent: root, name: 'f', ...FILE }, { group });
  await ask(node, 'mkdir', { parent: root, name: 'd', mode: 0o755, uid: 0, gid: 0 }, { group });
  const send = ({ operation, fields }: Request, session: number) => {
    const entry = metaOperations[operation] as Operation<unknown, unknown>;
    const to = entry.code >= metaOperations.volumeCreate.code ? 0 : group;
    return askRaw(node, entry.code, encode(entry.request, fields), { group: to, session });
  };
  await fc.assert(
    fc.asyncProperty(
      fc.array(request, { minLength: 20, maxLength: 20 }),
      fc.constantFrom(0, 7),
      async (list, session) => {
        const answers = list.map((one) => send(one, session));
        assert.deepStrictEqual(faults, []);
        for (const { status } of await Promise.all(answers)) assert.ok(!statusName(status).startsWith('status'));
        assert.deepStrictEqual(faults, []);
      },
    ),
    { seed, numRuns: 150 },
  );
  await node.close();
});

test('bytes that are no request are answered, and the service goes on', async (t) => {
  const directory = temporaryDirectory();
  t.after(() => fs.rmSync(directory, { recursive: true }));
  const node = await startNode(directory);
  const { group } = await makeVolume(node);
  const codes = names.map((operation) => metaOperations[operation].code);
  await fc.assert(
    fc.asyncProperty(fc.constantFrom(...codes, 0, 65_535), fc.uint8Array({ maxLength: 60 }), async (code, bytes) => {
      const { status } = await askRaw(node, code, Buffer.from(bytes), { group });
      assert.ok(!statusName(status).startsWith('status'));
    }),
    { seed, numRuns: 1000 },
  );
  assert.strictEqual((await askRaw(node, 0, Buffer.alloc(0), { group })).status, Status.MALFORMED);
  await node.close();
});
