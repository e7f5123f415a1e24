// Of the broker contract: what becomes of messages that die, wait, or find no room, and what they carry.
import { createCipheriv, createHash } from 'node:crypto';
import { describe, expect, it } from 'vitest';
import { type TestedBroker } from './tested-broker.ts';

export function claimLimits(tested: TestedBroker): void {
  const { makeQueue, send, isTaken, get, ready } = tested;

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
      tested.channel.reject((await get(queue)).message, false);
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
        tested.channel.nack(message, false, true);
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
      await tested.channel.purgeQueue(queue);
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
      tested.channel.ack(message);
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
}

/** The same each time, and no part of it like another. */
function pseudoRandom(bytes: number): Buffer {
  return createCipheriv('aes-256-ctr', Buffer.alloc(32), Buffer.alloc(16)).update(Buffer.alloc(bytes));
}

function sha256(bytes: Buffer): string {
  return createHash('sha256').update(bytes).digest('hex');
}
