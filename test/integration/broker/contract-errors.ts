// Of the broker contract: what a client hears of its mistakes, and what is there after a crash, which comes last.
import type { ConfirmChannel } from 'amqplib';
import { describe, expect, it } from 'vitest';
import { type TestedBroker, type Got } from './tested-broker.ts';

export function claimErrors(tested: TestedBroker): void {
  const { makeQueue, publish, send, get, ready } = tested;

  describe('errors', () => {
    /** The channel is closed with it; the connection is not. */
    async function channelError(provoke: (own: ConfirmChannel) => unknown): Promise<unknown> {
      const own = await tested.connection.createConfirmChannel();
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
      const { exchange, queue, dead } = tested.crash;
      // One in ten is large, so that they lie across several writes.
      const bodies = Array.from({ length: 300 }, (_, index) =>
        `${index} `.padEnd(index % 10 === 0 ? 50_000 : 100, '.'),
      );
      await Promise.all(bodies.map((body) => publish(exchange, 'crash.now', body)));
      const held: Got[] = [];
      for (let index = 0; index < 100; index++) held.push(await get(queue));
      tested.channel.ack(held[49]!.message, true);
      tested.channel.nack(held[50]!.message, false, false);
      await expect.poll(() => ready(dead)).toBe(1);
      const gone = new Promise((resolve) => tested.connection.once('close', resolve));
      await tested.broker.crash();
      await gone;

      await tested.connectAgain();
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
