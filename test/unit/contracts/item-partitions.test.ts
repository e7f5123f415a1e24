// How items are split into queues: the hash that two releases have to agree on, the names, and what leads where.
import { describe, expect, test } from 'vitest';
import { itemPartitionOf, itemPartitionsSchema, refusedChange } from '../../../contracts/item-partitions.ts';
import {
  exchanges,
  queues,
  queuesOf,
  rabbitmqEventSources,
  rabbitmqEventSourcesOf,
  routingKeys,
} from '../../../contracts/topology.ts';
import type { ItemContent } from '../../../contracts/item.ts';
import { topicMatches } from '../../../emulator/services/dev-broker/routing.ts';
import { splitItems } from '../../../functions/scraper/publish-pages.ts';

describe('the hash', () => {
  // Computed by another program, in another language, from the two published algorithms.
  test.each([
    [
      { source: 'demo-shop', sku: 'BOO-001' },
      { 1: 0, 2: 1, 4: 1, 7: 5, 64: 45 },
    ],
    [
      { source: 'demo-shop', sku: 'BOO-002' },
      { 1: 0, 2: 1, 4: 3, 7: 3, 64: 7 },
    ],
    [
      { source: 'acme', sku: 'a/1' },
      { 1: 0, 2: 0, 4: 0, 7: 6, 64: 24 },
    ],
    [
      { source: 'acme', sku: 'größe 42 👟' },
      { 1: 0, 2: 1, 4: 3, 7: 6, 64: 15 },
    ],
    [
      { source: 'a', sku: '0' },
      { 1: 0, 2: 1, 4: 3, 7: 3, 64: 35 },
    ],
  ])('puts %o always there', (key, places) => {
    for (const [partitions, place] of Object.entries(places))
      expect(itemPartitionOf(key, Number(partitions))).toBe(place);
  });

  const skus: Record<string, (index: number) => string> = {
    numbers: (index) => String(index),
    'numbers of one length': (index) => String(index).padStart(8, '0'),
    'every second number': (index) => `ART-${2 * index}`,
    'a long common beginning': (index) => `${'x'.repeat(100)}${index.toString(36)}`,
  };
  test.each(Object.keys(skus))(
    'spreads %s: of 20,000 keys no partition is five standard deviations off its share',
    (kind) => {
      const keys = 20_000;
      for (const partitions of [2, 4, 7, 64]) {
        const counts = Array.from({ length: partitions }, () => 0);
        for (let index = 0; index < keys; index++) {
          const place = itemPartitionOf({ source: 'shop', sku: skus[kind]?.(index) ?? '' }, partitions);
          counts[place] = (counts[place] ?? 0) + 1;
        }
        const share = 1 / partitions;
        const deviation = Math.sqrt(keys * share * (1 - share));
        for (const count of counts) expect(Math.abs(count - keys * share)).toBeLessThan(5 * deviation);
      }
    },
  );
});

describe('the number', () => {
  test.each([1, 64, '4'])('%o is one', (value) => {
    expect(itemPartitionsSchema.parse(value)).toBe(Number(value));
  });
  test.each([0, -1, 3.5, 65, 'many', '', '1e9'])('%o is none, and what is one is said', (value) => {
    expect(itemPartitionsSchema.safeParse(value).error?.issues[0]?.message).toBe(
      'a whole number from 1 to 64',
    );
  });
  test('it changes only while no item queue holds a message; the same number is always taken', () => {
    const found = [
      { name: 'items', messages: 0 },
      { name: 'items-1', messages: 12 },
    ];
    expect(refusedChange(found, 2)).toBeUndefined();
    expect(refusedChange([], 4)).toBeUndefined();
    expect(refusedChange([{ name: 'items', messages: 0 }], 4)).toBeUndefined();
    for (const partitions of [1, 4])
      expect(refusedChange(found, partitions)).toMatch(
        /the item queues are 2 and cannot become [14] while messages wait in items-1 \(12\): go on with 2/,
      );
  });
});

describe('the topology', () => {
  test('with one partition everything is as it is without', () => {
    expect(queuesOf(1)).toEqual(Object.values(queues));
    expect(rabbitmqEventSourcesOf(1)).toEqual(rabbitmqEventSources);
    expect(routingKeys.items('shop')).toBe('items.shop');
  });

  test('a key leads into the queue of its partition alone, and so do its ways back and its end', () => {
    const all = queuesOf(3);
    const reached = (exchange: string, key: string) =>
      all
        .filter(({ bindings }) =>
          bindings.some((one) => one.exchange === exchange && topicMatches(one.routingKey, key)),
        )
        .map(({ name }) => name);
    for (const [partition, name] of ['items', 'items-1', 'items-2'].entries()) {
      expect(reached(exchanges.main.name, routingKeys.items('shop', partition))).toEqual([name]);
      expect(reached(exchanges.retry.name, `${name}.retry`)).toEqual([`${name}.retry`]);
      const retry = all.find((queue) => queue.name === `${name}.retry`);
      const back = String(retry?.arguments['x-dead-letter-routing-key']);
      expect(reached(exchanges.main.name, back)).toEqual([name]);
      expect(reached(exchanges.dead.name, `${name}.dead`)).toEqual(['items.dead']);
      const work = all.find((queue) => queue.name === name);
      expect(work?.arguments['x-dead-letter-routing-key']).toBe(`${name}.dead`);
    }
  });
});

test('a page: each message holds items of one partition, in their order, and none is missing', () => {
  const content = (sku: string): ItemContent => ({
    sku,
    title: sku,
    url: null,
    imageUrl: null,
    price: 1,
    currency: 'EUR',
    inStock: true,
    stock: null,
  });
  const items = Array.from({ length: 500 }, (_, index) => content(`sku-${index}`));
  const parts = [...splitItems(items, { source: 'shop', partitions: 4 })];
  for (const { partition, items: part } of parts) {
    for (const { sku } of part) expect(itemPartitionOf({ source: 'shop', sku }, 4)).toBe(partition);
    const places = part.map((own) => items.indexOf(own));
    expect(places).toEqual(places.toSorted((one, other) => one - other));
  }
  expect(new Set(parts.flatMap((part) => part.items)).size).toBe(items.length);
  expect([...splitItems(items, { source: 'shop', partitions: 1 })].map((part) => part.items.length)).toEqual([
    200, 200, 100,
  ]);
});
