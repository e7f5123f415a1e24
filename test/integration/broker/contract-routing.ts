// Of the broker contract: who may come in, what is declared, where messages go and how they are handed out.
import { randomUUID } from 'node:crypto';
import type { ChannelModel } from 'amqplib';
import { describe, expect, it } from 'vitest';
import { exchanges, queues, routingKeys } from '../../../contracts/topology.ts';
import { declareTopology } from '../../../emulator/services/declare-topology.ts';
import { read, type TestedBroker, type Got } from './tested-broker.ts';

export function claimRouting(tested: TestedBroker): void {
  const { makeQueue, publish, send, get, ready } = tested;

  describe('login', () => {
    it('a wrong password is refused with 403', async () => {
      await expect(tested.broker.connect({ password: 'wrong' })).rejects.toThrow(/403|ACCESS.REFUSED/);
    });
    it('there is no user guest', async () => {
      await expect(tested.broker.connect({ username: 'guest', password: 'guest' })).rejects.toThrow(
        /403|ACCESS.REFUSED/,
      );
    });
  });

  describe('topology', () => {
    it('a queue that exists with another argument is named with it; declared twice, nothing changes', async () => {
      const { name, arguments: wanted } = queues.mailRetry;
      await tested.channel.assertQueue(name, { durable: true, arguments: { ...wanted, 'x-message-ttl': 1 } });
      await expect(declareTopology(tested.broker.address)).rejects.toThrow(
        /queue mail\.retry .*x-message-ttl/s,
      );
      await tested.channel.deleteQueue(name);
      await declareTopology(tested.broker.address);
      await publish(exchanges.main.name, routingKeys.items('shop'), 'kept');
      await declareTopology(tested.broker.address);
      expect((await get(queues.items.name)).body).toBe('kept');
    });
  });

  describe('routing', () => {
    it('topic, direct and fanout reach the bound queues, each once', async () => {
      const [one, two] = [await makeQueue(), await makeQueue()];
      const exchange = async (type: string): Promise<string> =>
        (await tested.channel.assertExchange(`test.${randomUUID()}`, type, { durable: true })).exchange;
      const [topic, direct, fanout] = [
        await exchange('topic'),
        await exchange('direct'),
        await exchange('fanout'),
      ];
      await tested.channel.bindQueue(one, topic, 'items.#');
      await tested.channel.bindQueue(one, topic, 'items.*');
      await tested.channel.bindQueue(two, topic, '*.shop.#');
      await tested.channel.bindQueue(one, direct, 'exactly');
      await tested.channel.bindQueue(one, fanout, '');
      await tested.channel.bindQueue(two, fanout, '');
      for (const key of ['items', 'items.shop', 'other.shop.eu']) await publish(topic, key, `topic ${key}`);
      await publish(direct, 'exactly', 'direct');
      await publish(direct, 'exactly.not', 'nowhere');
      await publish(fanout, 'any', 'fanout');
      const drain = async (queue: string, count: number): Promise<string[]> => {
        const bodies: string[] = [];
        for (let index = 0; index < count; index++) bodies.push((await get(queue)).body);
        expect(await tested.channel.get(queue)).toBe(false);
        return bodies;
      };
      expect(await drain(one, 4)).toEqual(['topic items', 'topic items.shop', 'direct', 'fanout']);
      expect(await drain(two, 3)).toEqual(['topic items.shop', 'topic other.shop.eu', 'fanout']);
      await tested.channel.unbindQueue(one, fanout, '');
      await publish(fanout, 'any', 'second');
      expect((await get(two)).body).toBe('second');
      expect(await tested.channel.get(one)).toBe(false);
    });

    it('a mandatory message that no queue takes comes back before its confirm', async () => {
      const seen: string[] = [];
      tested.channel.on(
        'return',
        (message: { fields: { replyCode: number }; properties: { messageId: string } }) =>
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
      await tested.channel.prefetch(3);
      const got: Got[] = [];
      await tested.channel.consume(queue, (message) => message && got.push(read(message)));
      await expect.poll(() => got.length).toBe(3);
      expect(await ready(queue)).toBe(7);
      tested.channel.ack(got[2]!.message, true);
      await expect.poll(() => got.length).toBe(6);
      expect(got.map(({ body }) => body)).toEqual(['0', '1', '2', '3', '4', '5']);
    });

    it('two consumers share a queue', async () => {
      const queue = await makeQueue();
      await tested.channel.prefetch(1);
      const got: string[] = [];
      for (const name of ['a', 'b']) await tested.channel.consume(queue, () => got.push(name));
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
      tested.channel.nack(first.message, false, true);
      // RabbitMQ may give it before or after the second one.
      const next = [await get(queue), await get(queue)];
      expect(next.find(({ body }) => body === 'second')).toMatchObject({ redelivered: false });
      const again = next.find(({ body }) => body === 'first');
      expect(again).toMatchObject({ redelivered: true, headers: { 'x-delivery-count': 1 } });
    });

    it('a lost connection gives everything back, in its old order', async () => {
      const queue = await makeQueue();
      for (let index = 0; index < 50; index++) await send(queue, String(index));
      const other = await tested.broker.connect();
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
      expect(await tested.channel.purgeQueue(queue)).toEqual({ messageCount: 3 });
      const ended = new Promise((resolve) => {
        void tested.channel.consume(queue, resolve);
      });
      await tested.channel.deleteQueue(queue);
      expect(await ended).toBeNull();
    });
  });
}

/** As a machine that vanishes: no farewell is said. */
function cut(connection: ChannelModel): void {
  (connection.connection as unknown as { stream: { destroy(): void } }).stream.destroy();
}
