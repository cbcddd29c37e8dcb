import assert from 'node:assert';
import net from 'node:net';
import { test } from 'node:test';
import { emptyHeader } from '../../proto/frame.js';
import { FrameAssembler } from '../../proto/frame-stream.js';
import { FrameSender } from '../../workers/index.js';

interface Pair {
  near: net.Socket;
  far: net.Socket;
  close(): Promise<void>;
}

async function connectedPair(): Promise<Pair> {
  const server = net.createServer({ pauseOnConnect: true });
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve));
  const accepted = new Promise<net.Socket>((resolve) => server.once('connection', resolve));
  const near = net.connect({ port: (server.address() as net.AddressInfo).port, host: '127.0.0.1', noDelay: true });
  await new Promise((resolve) => near.once('connect', resolve));
  const far = await accepted;
  return {
    near,
    far,
    close: async () => {
      near.destroy();
      far.destroy();
      await new Promise((resolve) => server.close(resolve));
    },
  };
}

function nextTurn(): Promise<void> {
  return new Promise((resolve) => setImmediate(resolve));
}

/** What frame `number` holds: told from any other's. */
function content(number: number, bytes: number): Buffer {
  return Buffer.alloc(bytes, `${number}:`);
}

for (const largePayloads of ['copied', 'kept'] as const) {
  test(`frames sent while the socket takes nothing arrive whole and in order, large payloads ${largePayloads}`, async () => {
    const { near, far, close } = await connectedPair();
    const sender = new FrameSender({ flush: () => sender.flushInto(near), largePayloads });
    const header = emptyHeader();
    const count = 3000;
    const expected: [number, Buffer, Buffer][] = [];
    let backedUp = false;
    for (let number = 1; number <= count; number++) {
      const body = content(number, number % 700);
      const payload =
        number % 500 === 0 ? [content(number, 90_000), content(number, 7)] : [content(number, number % 3000)];
      header.number = number;
      sender.send(header, body, payload);
      expected.push([number, Buffer.from(body), Buffer.concat(payload)]);
      body.fill(0xff);
      if (largePayloads === 'copied') for (const piece of payload) piece.fill(0xff);
      backedUp ||= near.writableLength > 0;
      // The first leave one by one, the rest in heaps, while the other side reads nothing.
      if (number < 1000 || number % 40 === 0) await nextTurn();
    }
    assert.ok(backedUp, 'the socket took everything at once: nothing was tried');
    let seen = 0;
    const assembler = new FrameAssembler((got, body, payload) => {
      const [number, expectedBody, expectedPayload] = expected[seen++]!;
      assert.strictEqual(got.number, number);
      assert.ok(body.equals(expectedBody) && payload.equals(expectedPayload), `frame ${number} differs`);
    });
    await new Promise<void>((resolve) => {
      far.on('data', (piece) => {
        assembler.push(piece);
        if (seen === count) resolve();
      });
      far.resume();
    });
    await close();
  });
}

test('what is sent in one turn leaves with one write', async () => {
  const { near, far, close } = await connectedPair();
  let flushes = 0;
  const sender = new FrameSender({
    flush: () => {
      flushes++;
      sender.flushInto(near);
    },
    largePayloads: 'copied',
  });
  for (let number = 1; number <= 20; number++) {
    sender.send({ ...emptyHeader(), number }, content(number, 10), []);
    assert.ok(sender.isPlanned);
  }
  await nextTurn();
  assert.ok(!sender.isPlanned);
  assert.strictEqual(flushes, 1);
  const [piece] = await new Promise<[Buffer]>((resolve) => {
    far.once('data', (data) => resolve([data]));
    far.resume();
  });
  assert.strictEqual(piece.length, 20 * 58);
  await close();
});

test('what was dropped is never written', async () => {
  const { near, far, close } = await connectedPair();
  let drop = true;
  const sender = new FrameSender({
    flush: () => {
      if (drop) sender.drop();
      else sender.flushInto(near);
    },
    largePayloads: 'copied',
  });
  sender.send({ ...emptyHeader(), number: 1 }, content(1, 10), [content(1, 100_000)]);
  await nextTurn();
  drop = false;
  sender.send({ ...emptyHeader(), number: 2 }, content(2, 10), []);
  const numbers: number[] = [];
  const assembler = new FrameAssembler(({ number }) => numbers.push(number));
  await new Promise<void>((resolve) => {
    far.on('data', (piece) => {
      assembler.push(piece);
      if (numbers.length > 0) resolve();
    });
    far.resume();
  });
  assert.deepStrictEqual(numbers, [2]);
  await close();
});
