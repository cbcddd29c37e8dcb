// Channels over rings, both ends on one thread, so that every bound can be driven to its edge.

import assert from 'node:assert';
import { Buffer } from 'node:buffer';
import { type TestContext, test } from 'node:test';
import { limits } from '../../proto/limits.js';
import { Status } from '../../proto/status.js';
import {
  type Channel,
  createDoorbell,
  createLink,
  createSlab,
  Doorbell,
  Hub,
  type LinkEnd,
  openLink,
  type Request,
  RingProducer,
  type Service,
  Slab,
} from '../../workers/index.js';
import { generator, seedOf } from './random.js';

const NOTHING = Buffer.alloc(0);
const WAIT_TURNS = 10_000;

interface Side {
  hub: Hub;
  end: LinkEnd;
  slab: Slab;
  channel: Channel;
  serve(service: Service): void;
}

/** Two sides of one link, closed when the test ends. */
function connect(context: TestContext): [Side, Side] {
  const slabs = [0, 1].map(() => createSlab(limits.slabBytes));
  const bells = [createDoorbell(), createDoorbell()];
  const ends = createLink(
    { name: 'one', bell: bells[0]!, slab: slabs[0] },
    { name: 'other', bell: bells[1]!, slab: slabs[1] },
  );
  const [one, other] = ends.map((end, index): Side => {
    const hub = new Hub(new Doorbell(bells[index]!));
    context.after(() => hub.close());
    const slab = new Slab(slabs[index]!);
    const { channel, answerer } = openLink(hub, end, slab);
    return { hub, end, slab, channel, serve: (service) => answerer.serve(service) };
  });
  return [one!, other!];
}

/** Turns of the event loop until the condition holds. */
async function until(condition: () => boolean, what: string): Promise<void> {
  for (let turn = 0; turn < WAIT_TURNS; turn++) {
    if (condition()) return;
    await new Promise(setImmediate);
  }
  assert.fail(`never: ${what}`);
}

function copyOf(request: Request): Buffer {
  return Buffer.from(request.body.buffer.subarray(request.body.position, request.body.end));
}

interface Answer {
  status: number;
  body: Buffer;
  payload: Buffer;
}

function ask(channel: Channel, body: Buffer, payload: Buffer | null = null): Promise<Answer> {
  return new Promise((resolve) => {
    channel.call(1, 2, body, payload, (status, reader, answered) => {
      const copy = Buffer.from(reader.buffer.subarray(reader.position, reader.end));
      resolve({ status, body: copy, payload: Buffer.from(answered) });
    });
  });
}

function patterned(length: number, seed: number): Buffer {
  const bytes = Buffer.alloc(length, seed & 0xff);
  for (let at = 0; at + 4 <= length; at += 4096) bytes.writeUInt32LE(seed + at, at);
  return bytes;
}

test('bodies and payloads of all lengths, up to those of the frame, come and go as they were', async (context) => {
  const [one, other] = connect(context);
  other.serve((request) =>
    request.answer(3, copyOf(request), [request.payload.subarray(0, 5), request.payload.subarray(5)]),
  );
  const inOneMessage = limits.ringMessageBytes - 48;
  const bodies = [0, 1, inOneMessage - 1, inOneMessage, inOneMessage + 1, limits.ringBytes * 2, limits.frameBodyBytes];
  const payloads = [0, 7, limits.slabMinBytes, limits.slabMinBytes + 1, limits.framePayloadBytes];
  for (const bodyLength of bodies) {
    for (const payloadLength of payloads) {
      const body = patterned(bodyLength, bodyLength);
      const payload = patterned(payloadLength, payloadLength + 1);
      const answer = await ask(one.channel, body, payload);
      assert.strictEqual(answer.status, 3);
      assert(answer.body.equals(body), `body of ${bodyLength}`);
      assert(answer.payload.equals(payload), `payload of ${payloadLength}`);
    }
  }
  assert.strictEqual(one.slab.usedBytes, 0, 'copies in the slab are given back');
});

test('a large payload without room in the slab travels in the frame', async (context) => {
  const [one, other] = connect(context);
  while (one.slab.allocate(limits.slabMaxBytes) !== null);
  other.serve((request) => request.answer(0, NOTHING, [request.payload]));
  const payload = patterned(limits.framePayloadBytes, 9);
  assert((await ask(one.channel, NOTHING, payload)).payload.equals(payload));
});

test('frames over the limit are answered INVAL and nothing is sent', async (context) => {
  const [one, other] = connect(context);
  other.serve(() => assert.fail('it arrived'));
  const long = Buffer.alloc(limits.frameBodyBytes + 1);
  assert.strictEqual((await ask(one.channel, long)).status, Status.INVAL);
  assert.strictEqual((await ask(one.channel, NOTHING, long)).status, Status.INVAL);
});

test('a payload in the slab of the asker is seen by the service where it lies', async (context) => {
  const [one, other] = connect(context);
  const span = one.slab.allocate(100_000)!;
  const payload = span.subarray(40_000, 90_000);
  other.serve((request) => {
    assert.strictEqual(request.payload.buffer, one.slab.shared);
    assert.strictEqual(request.payload.byteOffset, payload.byteOffset);
    assert.strictEqual(request.payload.length, payload.length);
    request.answer(0);
  });
  assert.strictEqual((await ask(one.channel, NOTHING, payload)).status, 0);
  one.slab.release(span);
});

test('calls past the requests in flight are answered BUSY after they returned, the others all when served', async (context) => {
  const [one, other] = connect(context);
  const total = limits.requestsInFlightPerPeer + 10;
  const statuses: number[] = [];
  for (let index = 0; index < total; index++) {
    one.channel.call(1, 0, NOTHING, null, (status) => statuses.push(status));
    assert.strictEqual(statuses.length, 0, 'answered before the call returned');
  }
  await until(() => statuses.length === 10, 'ten refusals');
  assert.deepStrictEqual(new Set(statuses), new Set([Status.BUSY]));
  other.serve((request) => request.answer(0));
  await until(() => statuses.length === total, 'all answers');
  assert.deepStrictEqual(new Set(statuses.slice(10)), new Set([Status.OK]));
});

test('a service that does not take its requests pushes back by bytes too, and then gets all that was taken, in order', async (context) => {
  const [one, other] = connect(context);
  const body = Buffer.alloc(100_000);
  let refused = 0;
  let answered = 0;
  let sent = 0;
  while (refused === 0) {
    for (let index = 0; index < 20; index++) {
      body.writeUInt32LE(sent++, 0);
      one.channel.call(1, 0, body, null, (status) => {
        if (status === Status.BUSY) refused++;
        else answered++;
      });
    }
    await new Promise(setImmediate);
    assert((sent - refused) * body.length <= limits.ringBytes + limits.channelQueueBytes, 'more kept than allowed');
  }
  let expected = 0;
  other.serve((request) => {
    assert.strictEqual(request.body.buffer.readUInt32LE(request.body.position), expected++);
    request.answer(0);
  });
  await until(() => answered + refused === sent, 'all answers');
  assert.strictEqual(expected, sent - refused);
});

test('an asker that does not read its answers stops its own requests, and loses none', async (context) => {
  const [one, other] = connect(context);
  const big = Buffer.alloc(200_000, 5);
  let served = 0;
  other.serve((request) => {
    served++;
    request.answer(0, big);
  });
  let answered = 0;
  for (let index = 0; index < 1000; index++) {
    one.channel.call(1, 0, NOTHING, null, (_status, body) => {
      assert.strictEqual(body.remaining, big.length);
      answered++;
    });
  }
  one.hub.flush();
  // Only the answering side runs.
  while (other.hub.poll());
  const bound = (limits.ringBytes + limits.channelQueueBytes) / big.length + 2;
  assert(served <= bound, `${served} served, ${bound} bounded`);
  await until(() => answered === 1000, 'all answers');
});

test('requests flow in both directions at once through full rings without blocking each other', async (context) => {
  const sides = connect(context);
  const body = Buffer.alloc(150_000, 1);
  let answered = 0;
  for (const side of sides) side.serve((request) => request.answer(0, copyOf(request)));
  for (let index = 0; index < 100; index++) {
    for (const side of sides) {
      side.channel.call(1, 0, body, null, (status, answer) => {
        assert.strictEqual(status, 0);
        assert.strictEqual(answer.remaining, body.length);
        answered++;
      });
    }
  }
  await until(() => answered === 200, 'all answers');
});

test('answers find their requests in whatever order and however late they come', async (context) => {
  const seed = seedOf();
  context.diagnostic(`SEED=${seed}`);
  const random = generator(seed);
  const [one, other] = connect(context);
  const held: { request: Request; number: number }[] = [];
  const answerSome = (): void => {
    for (let count = random(20); count > 0 && held.length > 0; count--) {
      const [{ request, number }] = held.splice(random(held.length), 1) as [(typeof held)[0]];
      const body = Buffer.alloc(8);
      body.writeDoubleLE(number, 0);
      request.answer(0, body, [request.payload]);
    }
    if (held.length > 0) setImmediate(answerSome);
  };
  other.serve((request) => {
    const number = request.body.buffer.readDoubleLE(request.body.position);
    assert.strictEqual(request.session, 0);
    assert.strictEqual(request.group, number % 7);
    held.push({ request, number });
    if (held.length === 1) setImmediate(answerSome);
  });
  let answered = 0;
  let sent = 0;
  const askOne = (): void => {
    const number = sent++;
    const body = Buffer.alloc(8);
    body.writeDoubleLE(number, 0);
    const payload = Buffer.alloc(random(8000), number & 0xff);
    one.channel.call(4, number % 7, body, payload, (_status, answer, echoed) => {
      assert.strictEqual(answer.buffer.readDoubleLE(answer.position), number);
      assert(echoed.equals(payload));
      answered++;
      if (sent < 20_000) askOne();
    });
  };
  for (let index = 0; index < 500; index++) askOne();
  await until(() => answered === sent && sent >= 20_000, 'all answers');
});

test('a peer that floods delays another by one batch, and the event loop by no more', (context) => {
  const bells = [0, 1, 2].map(() => createDoorbell());
  const party = (index: number) => ({ name: `party${index}`, bell: bells[index]!, slab: undefined });
  const hubs = bells.map((bell) => new Hub(new Doorbell(bell)));
  context.after(() => {
    for (const hub of hubs) hub.close();
  });
  const served: string[] = [];
  const channels = [1, 2].map((index) => {
    const [ofServer, ofAsker] = createLink(party(0), party(index));
    openLink(hubs[0]!, ofServer, undefined).answerer.serve((request) => {
      served.push(`party${index}`);
      request.answer(0);
    });
    return openLink(hubs[index]!, ofAsker, undefined).channel;
  });
  for (let index = 0; index < 2000; index++) channels[0]!.call(1, 0, NOTHING, null, () => {});
  channels[1]!.call(1, 0, NOTHING, null, () => {});
  for (const hub of hubs.slice(1)) hub.flush();
  assert(hubs[0]!.poll());
  assert(served.length <= limits.ringBatchMessages + 1, 'one poll takes one batch of each');
  assert.strictEqual(served.at(-1), 'party2');
});

test('a service that takes long over its requests lets the event loop run after a few', (context) => {
  const [one, other] = connect(context);
  let served = 0;
  other.serve((request) => {
    served++;
    for (const endMs = performance.now() + limits.ringBatchMs; performance.now() < endMs; );
    request.answer(0);
  });
  for (let index = 0; index < 100; index++) one.channel.call(1, 0, NOTHING, null, () => {});
  one.hub.flush();
  assert(other.hub.poll());
  assert(served > 0 && served <= 8, `${served} served in one poll`);
});

test('closing answers what is in flight and all that comes later with CLOSED, and the peer may still answer', async (context) => {
  const [one, other] = connect(context);
  const held: Request[] = [];
  other.serve((request) => held.push(request));
  const first = ask(one.channel, NOTHING, Buffer.alloc(limits.slabMinBytes * 2));
  await until(() => held.length === 1, 'the request');
  one.channel.close();
  assert.strictEqual((await first).status, Status.CLOSED);
  assert.strictEqual((await ask(one.channel, NOTHING)).status, Status.CLOSED);
  assert.strictEqual(one.slab.usedBytes, 0);
  held[0]!.answer(0);
  await new Promise(setImmediate);
});

test('when one side closes its hub the calls of the other are answered CLOSED', async (context) => {
  const [one, other] = connect(context);
  let taken = 0;
  other.serve(() => taken++);
  const asked = ask(one.channel, NOTHING);
  await until(() => taken === 1, 'the request');
  other.hub.close();
  assert.strictEqual((await asked).status, Status.CLOSED);
});

test('an answer given before a hub closes still arrives', async (context) => {
  const [one, other] = connect(context);
  other.serve((request) => {
    request.answer(7);
    setImmediate(() => other.hub.close());
  });
  assert.strictEqual((await ask(one.channel, NOTHING)).status, 7);
});

test('answering a request twice is an assert', async (context) => {
  const [one, other] = connect(context);
  let thrown: unknown = null;
  other.serve((request) => {
    request.answer(0);
    try {
      request.answer(0);
    } catch (error) {
      thrown = error;
    }
  });
  await ask(one.channel, NOTHING);
  assert.match(String(thrown), /answered twice/);
});

for (const [what, bytes] of [
  ['shorter than a header', Buffer.alloc(10)],
  ['of zeros', Buffer.alloc(48)],
  ['of another version', Buffer.alloc(48, 255)],
] as const) {
  test(`a message ${what} in a ring ends the thread that reads it`, (context) => {
    const [one, other] = connect(context);
    other.serve(() => assert.fail('it arrived'));
    const producer = new RingProducer(one.end.requestsOut, new Doorbell(createDoorbell()));
    const at = producer.reserve(bytes.length);
    producer.bytes.set(bytes, at);
    producer.commit(bytes.length);
    producer.publish();
    assert.throws(() => other.hub.poll());
    other.hub.close();
  });
}

test('frames of mixed lengths keep their order through a full ring, also around those that go in pieces', async (context) => {
  const seed = seedOf();
  context.diagnostic(`SEED=${seed}`);
  const random = generator(seed);
  const [one, other] = connect(context);
  let answered = 0;
  let sent = 0;
  let sentBytes = 0;
  while (sentBytes < limits.channelQueueBytes - 2 * limits.ringBytes) {
    const body = patterned(random(10) === 0 ? limits.ringMessageBytes + random(1 << 20) : 8 + random(60_000), sent);
    body.writeUInt32LE(sent++, 0);
    sentBytes += body.length + 48;
    one.channel.call(1, 0, body, null, (status, answer) => {
      assert.strictEqual(status, 0);
      assert.strictEqual(answer.remaining, body.length);
      answered++;
    });
  }
  let expected = 0;
  other.serve((request) => {
    const body = copyOf(request);
    assert.strictEqual(body.readUInt32LE(0), expected, 'out of order');
    body.writeUInt32LE(expected, 0);
    const whole = patterned(body.length, expected);
    whole.writeUInt32LE(expected++, 0);
    assert(body.equals(whole), 'damaged');
    request.answer(0, body);
  });
  await until(() => answered === sent, 'all answers');
});
