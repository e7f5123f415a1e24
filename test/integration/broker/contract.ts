// What every part of Baton believes of its broker, as claims that a real RabbitMQ and the development broker both have
// to keep. Each test has queues of its own; the last one kills the broker.
import { createCipheriv, createHash, randomUUID } from 'node:crypto';
import type { Channel, ChannelModel, ConfirmChannel, ConsumeMessage, GetMessage, Options } from 'amqplib';
import { afterAll, afterEach, beforeAll, beforeEach, describe, expect, it } from 'vitest';
import { exchanges, queues, routingKeys } from '../../../contracts/topology.ts';
import { declareTopology } from '../../../emulator/services/declare-topology.ts';
import { pause } from '../../../runtime/waiting.ts';
import { startTestBroker, type BrokerKind, type TestBroker } from '../../support/broker.ts';

/** A message as a test reads it. */
interface Got {
  readonly body: string;
  readonly redelivered: boolean;
  readonly deliveryTag: number;
  readonly headers: Record<string, unknown>;
  readonly message: GetMessage | ConsumeMessage;
}

export function brokerContract(kind: BrokerKind): void {
  let broker: TestBroker;
  let connection: ChannelModel;
  let channel: ConfirmChannel;
  let crash: { exchange: string; queue: string; dead: string };

  beforeAll(async () => {
    broker = await startTestBroker(kind);
    connection = await broker.connect();
    await openChannel();
    crash = await makeCrashQueues();
    await channel.close();
  });
  afterAll(async () => {
    await connection.close().catch(() => undefined); // A test that failed may have closed it.
    await broker.close();
  });
  beforeEach(openChannel);
  afterEach(async () => {
    await channel.close().catch(() => undefined); // Some tests make the broker close it.
  });

  async function openChannel(): Promise<void> {
    channel = await connection.createConfirmChannel();
    channel.on('error', () => undefined); // Told through its calls as well.
  }
  async function makeQueue(table: Record<string, string | number> = {}): Promise<string> {
    const { queue } = await channel.assertQueue(`test.${randomUUID()}`, {
      durable: true,
      arguments: { 'x-queue-type': 'quorum', ...table },
    });
    return queue;
  }
  /**
   * Made long before the crash: RabbitMQ 3.10 writes down a moment later which log belongs to a new quorum queue, and a
   * queue that is younger than that never comes up again.
   */
  async function makeCrashQueues(): Promise<typeof crash> {
    const dead = await makeQueue();
    const queue = await makeQueue({
      'x-dead-letter-exchange': '',
      'x-dead-letter-routing-key': dead,
      'x-dead-letter-strategy': 'at-least-once',
      'x-overflow': 'reject-publish',
    });
    const { exchange } = await channel.assertExchange(`test.${randomUUID()}`, 'topic', { durable: true });
    await channel.bindQueue(queue, exchange, 'crash.#');
    return { exchange, queue, dead };
  }
  /** Rejects when the broker refuses it. */
  function publish(
    exchange: string,
    routingKey: string,
    body: string | Buffer,
    options: Options.Publish = {},
  ): Promise<void> {
    return new Promise((resolve, reject) => {
      channel.publish(
        exchange,
        routingKey,
        Buffer.from(body),
        { persistent: true, ...options },
        (error: unknown) => {
          if (error === null || error === undefined) resolve();
          else reject(error instanceof Error ? error : new Error('refused'));
        },
      );
    });
  }
  const send = (queue: string, body: string | Buffer, options?: Options.Publish): Promise<void> =>
    publish('', queue, body, options);
  const isTaken = (queue: string): Promise<boolean> =>
    send(queue, 'x').then(
      () => true,
      () => false,
    );
  /** Polls, since a broker may take a moment to hand on what it has confirmed. */
  async function get(queue: string, from: Channel = channel): Promise<Got> {
    const deadline = performance.now() + 5_000;
    for (;;) {
      const message = await from.get(queue);
      if (message !== false) return read(message);
      if (performance.now() > deadline) throw new Error(`no message in ${queue} within 5 s`);
      await pause(10);
    }
  }
  const ready = async (queue: string): Promise<number> => (await channel.checkQueue(queue)).messageCount;

  describe('login', () => {
    it('a wrong password is refused with 403', async () => {
      await expect(broker.connect({ password: 'wrong' })).rejects.toThrow(/403|ACCESS.REFUSED/);
    });
    it('there is no user guest', async () => {
      await expect(broker.connect({ username: 'guest', password: 'guest' })).rejects.toThrow(
        /403|ACCESS.REFUSED/,
      );
    });
  });

  describe('topology', () => {
    it('a queue that exists with another argument is named with it; declared twice, nothing changes', async () => {
      const { name, arguments: wanted } = queues.mailRetry;
      await channel.assertQueue(name, { durable: true, arguments: { ...wanted, 'x-message-ttl': 1 } });
      await expect(declareTopology(broker.address)).rejects.toThrow(/queue mail\.retry .*x-message-ttl/s);
      await channel.deleteQueue(name);
      await declareTopology(broker.address);
      await publish(exchanges.main.name, routingKeys.items('shop'), 'kept');
      await declareTopology(broker.address);
      expect((await get(queues.items.name)).body).toBe('kept');
    });
  });

  describe('routing', () => {
    it('topic, direct and fanout reach the bound queues, each once', async () => {
      const [one, two] = [await makeQueue(), await makeQueue()];
      const exchange = async (type: string): Promise<string> =>
        (await channel.assertExchange(`test.${randomUUID()}`, type, { durable: true })).exchange;
      const [topic, direct, fanout] = [
        await exchange('topic'),
        await exchange('direct'),
        await exchange('fanout'),
      ];
      await channel.bindQueue(one, topic, 'items.#');
      await channel.bindQueue(one, topic, 'items.*');
      await channel.bindQueue(two, topic, '*.shop.#');
      await channel.bindQueue(one, direct, 'exactly');
      await channel.bindQueue(one, fanout, '');
      await channel.bindQueue(two, fanout, '');
      for (const key of ['items', 'items.shop', 'other.shop.eu']) await publish(topic, key, `topic ${key}`);
      await publish(direct, 'exactly', 'direct');
      await publish(direct, 'exactly.not', 'nowhere');
      await publish(fanout, 'any', 'fanout');
      const drain = async (queue: string, count: number): Promise<string[]> => {
        const bodies: string[] = [];
        for (let index = 0; index < count; index++) bodies.push((await get(queue)).body);
        expect(await channel.get(queue)).toBe(false);
        return bodies;
      };
      expect(await drain(one, 4)).toEqual(['topic items', 'topic items.shop', 'direct', 'fanout']);
      expect(await drain(two, 3)).toEqual(['topic items.shop', 'topic other.shop.eu', 'fanout']);
      await channel.unbindQueue(one, fanout, '');
      await publish(fanout, 'any', 'second');
      expect((await get(two)).body).toBe('second');
      expect(await channel.get(one)).toBe(false);
    });

    it('a mandatory message that no queue takes comes back before its confirm', async () => {
      const seen: string[] = [];
      channel.on('return', (message: { fields: { replyCode: number }; properties: { messageId: string } }) =>
        seen.push(`return ${message.fields.replyCode} ${message.properties.messageId}`),
      );
      await publish(exchanges.main.name, 'nobody.listens', 'x', { mandatory: true, messageId: 'm-1' });
      seen.push('confirm');
      expect(seen).toEqual(['return 312 m-1', 'confirm']);
    });
  });

  describe('consuming', () => {
    it('prefetch bounds what is unacknowledged; one acknowledgement of several makes room for as many', async () => {
      const queue = await makeQueue();
      for (let index = 0; index < 10; index++) await send(queue, String(index));
      await channel.prefetch(3);
      const got: Got[] = [];
      await channel.consume(queue, (message) => message && got.push(read(message)));
      await expect.poll(() => got.length).toBe(3);
      expect(await ready(queue)).toBe(7);
      channel.ack(got[2]!.message, true);
      await expect.poll(() => got.length).toBe(6);
      expect(got.map(({ body }) => body)).toEqual(['0', '1', '2', '3', '4', '5']);
    });

    it('two consumers share a queue', async () => {
      const queue = await makeQueue();
      await channel.prefetch(1);
      const got: string[] = [];
      for (const name of ['a', 'b']) await channel.consume(queue, () => got.push(name));
      await send(queue, '1');
      await send(queue, '2');
      await expect.poll(() => got.toSorted()).toEqual(['a', 'b']);
    });

    it('what is given back comes again, marked and counted', async () => {
      const queue = await makeQueue();
      await send(queue, 'first');
      await send(queue, 'second');
      const first = await get(queue);
      expect(first).toMatchObject({ body: 'first', redelivered: false });
      channel.nack(first.message, false, true);
      // RabbitMQ may give it before or after the second one.
      const next = [await get(queue), await get(queue)];
      expect(next.find(({ body }) => body === 'second')).toMatchObject({ redelivered: false });
      const again = next.find(({ body }) => body === 'first');
      expect(again).toMatchObject({ redelivered: true, headers: { 'x-delivery-count': 1 } });
    });

    it('a lost connection gives everything back, in its old order', async () => {
      const queue = await makeQueue();
      for (let index = 0; index < 50; index++) await send(queue, String(index));
      const other = await broker.connect();
      const lost = await other.createChannel();
      const got: Got[] = [];
      await lost.consume(queue, (message) => message && got.push(read(message)));
      await expect.poll(() => got.length).toBe(50);
      cut(other);
      await expect.poll(() => ready(queue)).toBe(50);
      for (let index = 0; index < 50; index++)
        expect(await get(queue)).toMatchObject({ body: String(index), redelivered: true });
    });

    it('the end of a queue is told to its consumers; delete and purge count', async () => {
      const queue = await makeQueue();
      for (let index = 0; index < 3; index++) await send(queue, 'x');
      await expect.poll(() => ready(queue)).toBe(3);
      expect(await channel.purgeQueue(queue)).toEqual({ messageCount: 3 });
      const ended = new Promise((resolve) => {
        void channel.consume(queue, resolve);
      });
      await channel.deleteQueue(queue);
      expect(await ended).toBeNull();
    });
  });

  describe('dead letters', () => {
    it('a rejected message goes to the dead-letter exchange with its history', async () => {
      const dead = await makeQueue();
      const queue = await makeQueue({
        'x-dead-letter-exchange': '',
        'x-dead-letter-routing-key': dead,
        'x-dead-letter-strategy': 'at-least-once',
        'x-overflow': 'reject-publish',
      });
      await send(queue, 'poison', { headers: { traceparent: 'kept' }, messageId: 'm-1' });
      channel.reject((await get(queue)).message, false);
      const letter = await get(dead);
      expect(letter).toMatchObject({ body: 'poison', redelivered: false });
      expect(letter.message.properties.messageId).toBe('m-1');
      expect(letter.headers).toMatchObject({
        traceparent: 'kept',
        'x-first-death-queue': queue,
        'x-first-death-reason': 'rejected',
        'x-first-death-exchange': '',
        'x-death': [{ queue, reason: 'rejected', count: 1, exchange: '', 'routing-keys': [queue] }],
      });
      expect(await ready(queue)).toBe(0);
    });

    it('a message is delivered once more than its limit, then it is dead', async () => {
      const dead = await makeQueue();
      const queue = await makeQueue({
        'x-delivery-limit': 2,
        'x-dead-letter-exchange': '',
        'x-dead-letter-routing-key': dead,
      });
      await send(queue, 'stubborn');
      const counts: unknown[] = [];
      for (let tries = 0; tries < 3; tries++) {
        const { message, headers } = await get(queue);
        // RabbitMQ says 0 to basic.get and nothing to a consumer.
        counts.push(headers['x-delivery-count'] ?? 0);
        channel.nack(message, false, true);
      }
      expect(counts).toEqual([0, 1, 2]);
      const letter = await get(dead);
      expect(letter.headers).toMatchObject({ 'x-first-death-reason': 'delivery_limit' });
      expect(await ready(queue)).toBe(0);
    });

    it('a retry queue gives its messages back after its time, again and again', async () => {
      const main = await makeQueue();
      const retry = await makeQueue({
        'x-message-ttl': 150,
        'x-dead-letter-exchange': '',
        'x-dead-letter-routing-key': main,
        'x-dead-letter-strategy': 'at-least-once',
        'x-overflow': 'reject-publish',
      });
      const began = performance.now();
      await send(retry, 'later', { headers: { 'x-baton-attempt': 1 } });
      const first = await get(main);
      expect(performance.now() - began).toBeGreaterThanOrEqual(145);
      expect(first.headers).toMatchObject({
        'x-baton-attempt': 1,
        'x-death': [{ queue: retry, reason: 'expired', count: 1 }],
      });
      // As a handler does it: published anew with the headers that came.
      await send(retry, 'later', { headers: { ...first.headers, 'x-baton-attempt': 2 } });
      expect((await get(main)).headers).toMatchObject({
        'x-baton-attempt': 2,
        'x-first-death-reason': 'expired',
        'x-death': [{ queue: retry, reason: 'expired' }],
      });
    });

    it("a message's own time to live ends it sooner than the queue's, and is taken off the dead letter", async () => {
      const dead = await makeQueue();
      const queue = await makeQueue({
        'x-message-ttl': 60_000,
        'x-dead-letter-exchange': '',
        'x-dead-letter-routing-key': dead,
      });
      await send(queue, 'short', { expiration: '100' });
      const { message, headers } = await get(dead);
      expect(message.properties.expiration).toBeUndefined();
      expect(headers['x-death']).toMatchObject([{ reason: 'expired', 'original-expiration': '100' }]);
    });
  });

  describe('limits', () => {
    it('a full queue refuses publishes and takes them again when it has room', async () => {
      const queue = await makeQueue({ 'x-max-length': 5, 'x-overflow': 'reject-publish' });
      // RabbitMQ notices a little late, so more than five may get in.
      let accepted = 0;
      while (await isTaken(queue)) accepted += 1;
      expect(accepted).toBeGreaterThanOrEqual(5);
      expect(accepted).toBeLessThan(50);
      await expect.poll(() => ready(queue)).toBe(accepted);
      await channel.purgeQueue(queue);
      await expect.poll(() => isTaken(queue)).toBe(true);
    });

    it.each([
      ['400 KB', 400 * 1024],
      ['5 MB', 5 * 1024 * 1024],
    ])('a body of %s arrives unchanged', async (_name, bytes) => {
      const queue = await makeQueue();
      const body = pseudoRandom(bytes);
      await send(queue, body);
      const { message } = await get(queue);
      expect(sha256(message.content)).toBe(sha256(body));
      channel.ack(message);
    });
  });

  describe('content', () => {
    it('every property and header arrives as it was sent', async () => {
      const queue = await makeQueue();
      const sent = {
        contentType: 'application/json',
        contentEncoding: 'utf-8',
        priority: 4,
        correlationId: 'c-ü',
        replyTo: 'r',
        messageId: '消息-1',
        timestamp: 1_700_000_000,
        type: 'item-page.v1',
        appId: 'scraper',
        headers: {
          'größe 📏': 'naïve — 価格',
          whole: -42,
          large: 2 ** 40,
          fraction: 1.5,
          yes: true,
          nothing: null,
          list: ['a', 1, { deep: 'ß' }],
          bytes: Buffer.from([0, 255]),
        },
      };
      await send(queue, 'ä', sent);
      const { message, headers, body } = await get(queue);
      const { headers: wanted, ...properties } = sent;
      expect(message.properties).toMatchObject(properties);
      expect(headers).toMatchObject(wanted);
      expect(body).toBe('ä');
    });
    it('an empty body is a message', async () => {
      const queue = await makeQueue();
      await send(queue, '');
      expect((await get(queue)).body).toBe('');
    });
  });

  describe('errors', () => {
    /** The channel is closed with it; the connection is not. */
    async function channelError(provoke: (channel: ConfirmChannel) => unknown): Promise<unknown> {
      const own = await connection.createConfirmChannel();
      const error = new Promise((resolve) => own.once('error', resolve));
      // Told by the event; a call that waits for its answer is rejected as well.
      await Promise.resolve(provoke(own)).catch(() => undefined);
      return await error;
    }
    it('an unknown queue or exchange is 404', async () => {
      expect(await channelError((own) => own.checkQueue('test.missing'))).toMatchObject({ code: 404 });
      expect(await channelError((own) => own.checkExchange('test.missing'))).toMatchObject({ code: 404 });
      expect(await channelError((own) => own.consume('test.missing', () => undefined))).toMatchObject({
        code: 404,
      });
      const unknown = await channelError((own) => own.publish('test.missing', 'key', Buffer.from('x')));
      expect(unknown).toMatchObject({ code: 404 });
      expect(String(unknown)).toContain("no exchange 'test.missing'");
    });
    it('a second acknowledgement, and a declaration with other arguments, are 406', async () => {
      const queue = await makeQueue({ 'x-delivery-limit': 7 });
      await send(queue, 'x');
      const twice = await channelError(async (own) => {
        const { message } = await get(queue, own);
        own.ack(message);
        own.ack(message);
      });
      expect(twice).toMatchObject({ code: 406 });
      const other = await channelError((own) =>
        own.assertQueue(queue, {
          durable: true,
          arguments: { 'x-queue-type': 'quorum', 'x-delivery-limit': 8 },
        }),
      );
      expect(other).toMatchObject({ code: 406 });
      expect(String(other)).toContain("inequivalent arg 'x-delivery-limit'");
      const type = await channelError((own) => own.assertExchange('amq.direct', 'topic', { durable: true }));
      expect(type).toMatchObject({ code: 406 });
    });
    it('an acknowledgement of more than there is takes nothing', async () => {
      const queue = await makeQueue();
      await Promise.all([send(queue, 'a'), send(queue, 'b')]);
      const tooMany = await channelError(async (own) => {
        const { message } = await get(queue, own);
        await get(queue, own);
        own.ack({ ...message, fields: { ...message.fields, deliveryTag: 9 } }, true);
      });
      expect(tooMany).toMatchObject({ code: 406 });
      await expect.poll(() => ready(queue)).toBe(2);
    });
    it('what a closed channel held comes back', async () => {
      const queue = await makeQueue();
      await send(queue, 'held');
      await channelError(async (own) => {
        await get(queue, own);
        await own.checkQueue('test.missing');
      });
      expect(await get(queue)).toMatchObject({ body: 'held', redelivered: true });
    });
  });

  describe('a crash', () => {
    it('kill -9: everything confirmed and not acknowledged is there again, and nothing else', async () => {
      const { exchange, queue, dead } = crash;
      // One in ten is large, so that they lie across several writes.
      const bodies = Array.from({ length: 300 }, (_, index) =>
        `${index} `.padEnd(index % 10 === 0 ? 50_000 : 100, '.'),
      );
      await Promise.all(bodies.map((body) => publish(exchange, 'crash.now', body)));
      const held: Got[] = [];
      for (let index = 0; index < 100; index++) held.push(await get(queue));
      channel.ack(held[49]!.message, true);
      channel.nack(held[50]!.message, false, false);
      await expect.poll(() => ready(dead)).toBe(1);
      const gone = new Promise((resolve) => connection.once('close', resolve));
      await broker.crash();
      await gone;

      connection = await broker.connect();
      await openChannel();
      await expect.poll(() => ready(queue)).toBe(249);
      const after: Got[] = [];
      for (let index = 0; index < 249; index++) after.push(await get(queue));
      // RabbitMQ puts what was with a consumer back in any order.
      expect(after.map(({ body }) => body).toSorted()).toEqual(bodies.slice(51).toSorted());
      expect(after.slice(0, 49).every(({ redelivered }) => redelivered)).toBe(true);
      expect((await get(dead)).body).toBe(bodies[50]);
      // The binding is there as well.
      await publish(exchange, 'crash.again', 'new', { mandatory: true });
      expect((await get(queue)).body).toBe('new');
    });
  });
}

function read(message: GetMessage | ConsumeMessage): Got {
  return {
    body: message.content.toString('utf8'),
    redelivered: message.fields.redelivered,
    deliveryTag: message.fields.deliveryTag,
    headers: message.properties.headers ?? {},
    message,
  };
}

/** As a machine that vanishes: no farewell is said. */
function cut(connection: ChannelModel): void {
  (connection.connection as unknown as { stream: { destroy(): void } }).stream.destroy();
}

/** The same each time, and no part of it like another. */
function pseudoRandom(bytes: number): Buffer {
  return createCipheriv('aes-256-ctr', Buffer.alloc(32), Buffer.alloc(16)).update(Buffer.alloc(bytes));
}

function sha256(bytes: Buffer): string {
  return createHash('sha256').update(bytes).digest('hex');
}
