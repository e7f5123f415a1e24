// `items` in two queues, by the development broker and, where it is installed, RabbitMQ: the scraper's publisher, the event
// sources' mappings, what waits for another try, what is sent again, and another number of partitions.
import { afterAll, afterEach, beforeAll, describe, expect, test, vi } from 'vitest';
import { itemVersion } from '../../../contracts/ids.ts';
import { itemPartitionOf } from '../../../contracts/item-partitions.ts';
import type { ItemPage } from '../../../contracts/item-page.ts';
import { itemSchema, type Item } from '../../../contracts/item.ts';
import { rabbitmqEventSchema, type RabbitmqMessage } from '../../../contracts/rabbitmq-event.ts';
import { queuesOf, rabbitmqEventSourcesOf } from '../../../contracts/topology.ts';
import { startRabbitmqMapping } from '../../../emulator/event-sources/rabbitmq.ts';
import { declareTopology } from '../../../emulator/services/declare-topology.ts';
import { deadLetter, publishRetry } from '../../../functions/dead-letter.ts';
import { readLetter } from '../../../nodes/dead-letters/read-letter.ts';
import { sendAgain } from '../../../nodes/dead-letters/send-again.ts';
import { createLogger } from '../../../runtime/logger.ts';
import { connectBroker, type BrokerClient } from '../../../runtime/rabbitmq.ts';
import {
  rabbitmqInstalled,
  startTestBroker,
  type BrokerKind,
  type TestBroker,
} from '../../support/broker.ts';
import { publishPage } from '../../support/publish-page.ts';
import { item } from '../database/fresh-database.ts';

const kinds: BrokerKind[] = rabbitmqInstalled ? ['development', 'rabbitmq'] : ['development'];
const logger = createLogger({ process: 'test', write: () => undefined });

/** What the function was given. */
interface Seen {
  readonly queue: string;
  readonly message: RabbitmqMessage;
  readonly item: Item;
}

describe.each(kinds)('partitions with %s', (kind) => {
  let server: TestBroker;
  let broker: BrokerClient;
  const ports = { broker: () => Promise.resolve(broker), logger };
  let close: (() => Promise<unknown>) | undefined;

  beforeAll(async () => {
    server = await startTestBroker(kind);
    await declareTopology(server.address); // As a system that has run without partitions.
    await declareTopology(server.address, 2);
    broker = connectBroker({ ...server.address, name: 'test' });
  });
  afterAll(async () => {
    await broker?.close();
    await server?.close();
  });
  afterEach(async () => {
    await close?.();
    close = undefined;
    const connection = await server.connect();
    const channel = await connection.createChannel();
    await channel.purgeQueue('items');
    await declareTopology(server.address, 2); // A test may have made them fewer.
    for (const { name } of queuesOf(2)) await channel.purgeQueue(name);
    await connection.close();
  });

  async function publish(sku: string, intake: number, partitions = 2): Promise<void> {
    await publishPage(broker, {
      intake,
      partition: itemPartitionOf({ source: 'shop', sku }, partitions),
      items: [item(sku, itemVersion({ intake, ordinal: 0 }))],
    });
  }
  /** The mappings of two partitions, in front of a function that only looks. */
  function consume(): Seen[] {
    const seen: Seen[] = [];
    const mappings = rabbitmqEventSourcesOf(2)
      .filter((source) => source.function === 'deliver')
      .map((mapping) =>
        startRabbitmqMapping({
          mapping: { ...mapping, functionTimeoutS: 10 },
          broker: server.address,
          logger,
          invoke: {
            invoke: (_name, json) => {
              for (const [key, messages] of Object.entries(
                rabbitmqEventSchema.parse(JSON.parse(json)).rmqMessagesByQueue,
              ))
                for (const message of messages) {
                  const page = JSON.parse(Buffer.from(message.data, 'base64').toString('utf8')) as ItemPage;
                  const queue = key.split('::')[0] ?? '';
                  seen.push({ queue, message, item: itemSchema.parse(page.items[0]) });
                }
              return Promise.resolve({ kind: 'answered', payload: null });
            },
            sendEvent: () => Promise.reject(new Error('nobody sends')),
            close: () => Promise.resolve(),
          },
        }),
      );
    close = () => Promise.all(mappings.map((mapping) => mapping.close()));
    return seen;
  }
  const skus = Array.from({ length: 40 }, (_, index) => `sku-${index}`);
  const other = skus.find((sku) => itemPartitionOf({ source: 'shop', sku }, 2) === 1) ?? '';

  test('everything published is delivered, each key by one mapping alone, and its versions in their order', async () => {
    const seen = consume();
    for (let intake = 1; intake <= 10; intake++) await Promise.all(skus.map((sku) => publish(sku, intake)));
    await vi.waitUntil(() => seen.length === skus.length * 10, { timeout: 10_000 });
    for (const sku of skus) {
      const own = seen.filter((one) => one.item.sku === sku);
      expect(own.map((one) => one.item.version)).toEqual(
        Array.from({ length: 10 }, (_, index) => itemVersion({ intake: index + 1, ordinal: 0 })),
      );
      expect(new Set(own.map(({ queue }) => queue)).size).toBe(1);
    }
    expect(new Set(seen.map(({ queue }) => queue))).toEqual(new Set(['items', 'items-1']));
  });

  test('what waits for another try comes back to its own partition', async () => {
    const seen = consume();
    await publish(other, 1);
    await vi.waitUntil(() => seen.length === 1, { timeout: 10_000 });
    await publishRetry(ports, { queue: 'items-1', message: (seen[0] as Seen).message });
    await vi.waitUntil(() => seen.length === 2, { timeout: 10_000 });
    expect(seen.map(({ queue }) => queue)).toEqual(['items-1', 'items-1']);
  });

  test('a dead letter of any partition lies in items.dead, and is sent again to the partition of its item', async () => {
    const seen = consume();
    await publish(other, 1);
    await vi.waitUntil(() => seen.length === 1, { timeout: 10_000 });
    const { message, queue } = seen[0] as Seen;
    await deadLetter(ports, {
      queue,
      message,
      routingKey: 'items.shop',
      code: 'ITEM_MALFORMED',
      reason: 'a test',
    });
    const sent: number[] = [];
    await broker.take('items.dead', { messagesMax: 10, bytesMax: 1e6 }, async (messages) => {
      const letters = messages.map((taken, id) => ({ ...readLetter('items', taken, new Date()), id }));
      await sendAgain(
        1,
        {
          deadLettersToSend: () => Promise.resolve(letters.splice(0)),
          deadLettersSent: (_term, ids) => Promise.resolve(void sent.push(...ids)),
        },
        broker,
        2,
      );
    });
    expect(sent).toEqual([0]);
    await vi.waitUntil(() => seen.length === 2, { timeout: 10_000 });
    expect(seen[1]?.queue).toBe('items-1');
  });

  test('another number is refused while messages wait, and taken when none does', async () => {
    await publish(other, 1);
    for (const partitions of [1, 4])
      await expect(declareTopology(server.address, partitions)).rejects.toThrow(
        /messages wait in items-1 \(1\): go on with 2 until they are empty/,
      );
    const seen = consume();
    await vi.waitUntil(() => seen.length === 1, { timeout: 10_000 });
    await close?.();
    await declareTopology(server.address, 4);
    expect(await broker.depth('items-3')).toBe(0);
    await declareTopology(server.address, 1);
    // Whoever still has another number is told, and keeps what it has.
    await expect(publish(other, 2)).rejects.toThrow(/no queue takes it/);
    await expect(broker.depth('items-1.retry')).rejects.toThrow(/items-1\.retry/);
    await publish(other, 2, 1);
    expect(await broker.depth('items')).toBe(1);
    // One that knows of fewer is heard: the first partition is the queue that it knows.
    await expect(declareTopology(server.address, 2)).rejects.toThrow(/wait in items \(1\)/);
  });
});
