// RabbitMQ short of memory reads nothing of whoever publishes. What the client tries meanwhile it neither keeps nor sends
// after all, however often, and afterwards it goes on by itself.
import { setTimeout as sleep } from 'node:timers/promises';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { describeError } from '../../../runtime/failure.ts';
import { connectBroker, type BrokerClient } from '../../../runtime/rabbitmq.ts';
import { bytesHeld } from '../../support/bytes-held.ts';
import { rabbitmqInstalled, startTestBroker, type TestBroker } from '../../support/broker.ts';

const reason = rabbitmqInstalled ? '' : ' (skipped: no RabbitMQ is installed here)';
describe.skipIf(!rabbitmqInstalled)(`alarm${reason}`, () => {
  let broker: TestBroker;
  let client: BrokerClient;
  beforeAll(async () => {
    broker = await startTestBroker('rabbitmq');
    client = connectBroker({ ...broker.address, name: 'test' });
  });
  afterAll(async () => {
    await client?.close();
    await broker?.close();
  });
  const watermark = (...value: string[]) => broker.control('set_vm_memory_high_watermark', ...value);
  const letter = (messageId: string, bytes = 100_000) =>
    client.publish(
      { exchange: '', routingKey: 'q', type: 'test', messageId, body: Buffer.alloc(bytes, 'x') },
      { timeoutMs: 300 },
    );
  const round = () => Promise.allSettled(Array.from({ length: 20 }, (_, n) => letter(`letter-${n}`)));

  it('alarm: twenty messages, each tried sixty times, are in the queue once each, and take no memory', async () => {
    const channel = await (await broker.connect()).createChannel();
    await channel.assertQueue('q', { durable: true, arguments: { 'x-queue-type': 'quorum' } });
    await letter('first', 10);
    watermark('absolute', '1');
    await sleep(1_500); // Until it has looked.
    const [outcome] = await round();
    expect(outcome).toMatchObject({ reason: { code: 'BROKER_UNAVAILABLE' } });
    // It tells whoever publishes, and what is published until then it takes later.
    const refusal = () =>
      letter('first', 10).then(
        () => 'taken',
        (error: unknown) => describeError(error),
      );
    await expect.poll(refusal, { timeout: 20_000 }).toMatch(/low on/);
    const before = await bytesHeld();
    for (let tries = 0; tries < 60; tries++) {
      const outcomes = await round();
      expect(outcomes.every(({ status }) => status === 'rejected')).toBe(true);
      await sleep(50);
    }
    expect((await bytesHeld()) - before).toBeLessThan(5_000_000);
    await expect(letter('one more')).rejects.toThrow(
      expect.objectContaining({
        cause: expect.objectContaining({ message: expect.stringMatching(/low on/) }),
      }),
    );
    await expect(client.depth('q')).rejects.toMatchObject({ code: 'BROKER_UNAVAILABLE' });
    await expect(
      client.take('q', { messagesMax: 1, bytesMax: 1 }, () => Promise.resolve()),
    ).rejects.toMatchObject({ code: 'BROKER_UNAVAILABLE' });

    watermark('0.6');
    await expect.poll(() => client.depth('q').catch(() => 0)).toBeGreaterThanOrEqual(21);
    await letter('afterwards');
    const ids: (string | undefined)[] = [];
    await client.take('q', { messagesMax: 100, bytesMax: 10_000_000 }, (messages) => {
      ids.push(...messages.map(({ messageId }) => messageId));
      return Promise.resolve();
    });
    const letters = Array.from({ length: 20 }, (_, n) => `letter-${n}`);
    const firsts = ids.filter((id, place) => id !== 'first' || place === 0);
    expect(firsts).toEqual(['first', ...letters, 'afterwards']);
  });
});
