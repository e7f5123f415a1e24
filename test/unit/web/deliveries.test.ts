// What the leader notes beside its writes is bounded, and belongs to the term that wrote it.
import { expect, test } from 'vitest';
import { Deliveries, type NotedDelivery } from '../../../nodes/tracing/deliveries.ts';

const message = (messageId: string) => ({
  messageId,
  traceparent: `00-${'a'.repeat(32)}-${'b'.repeat(16)}-01`,
  url: 'https://shop.example/',
  fetchedAt: '2026-01-01T00:00:00.000Z',
  publishedAt: null,
  attempt: 1,
  receivedAt: '2026-01-01T00:00:01.000Z',
});
const postedAt = '2026-01-01T00:00:02.000Z';

async function storedBy(deliveries: Deliveries, term: number): Promise<NotedDelivery[]> {
  const stored: NotedDelivery[] = [];
  await deliveries.store(term, 'node-1', {
    keepDeliveries: (_term, _node, some) => {
      stored.push(...some);
      return Promise.resolve();
    },
  });
  return stored;
}

test('deliveries of one term are stored once, in it, and never as those of a later one', async () => {
  const deliveries = new Deliveries();
  deliveries.note([message('a')], { term: 1, postedAt });
  expect(await storedBy(deliveries, 1)).toEqual([{ ...message('a'), postedAt }]);
  expect(await storedBy(deliveries, 1)).toEqual([]);
  deliveries.note([message('b')], { term: 1, postedAt });
  expect(await storedBy(deliveries, 2)).toEqual([]);
  deliveries.note([message('c')], { term: 2, postedAt });
  deliveries.note([message('d')], { term: 3, postedAt });
  expect((await storedBy(deliveries, 3)).map(({ messageId }) => messageId)).toEqual(['d']);
});

test('what is more than the buffer holds is not noted', async () => {
  const deliveries = new Deliveries();
  const batch = Array.from({ length: 1_000 }, (_, index) => message(`m-${index}`));
  for (let count = 0; count < 30; count++) deliveries.note(batch, { term: 1, postedAt });
  expect(await storedBy(deliveries, 1)).toHaveLength(20_000);
});
