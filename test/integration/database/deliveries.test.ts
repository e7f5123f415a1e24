// What the leader notes of deliveries, as it stands in the database.
import { expect, test } from 'vitest';
import type { NotedDelivery } from '../../../nodes/tracing/deliveries.ts';
import { lead, traceparent, useDatabases } from './fresh-database.ts';

const databases = useDatabases();
const time = '2026-11-24T09:30:00.000Z';
const noted = (messageId: string, changes: Partial<NotedDelivery> = {}): NotedDelivery => ({
  traceparent,
  messageId,
  url: 'https://shop.example/',
  fetchedAt: time,
  publishedAt: null,
  attempt: 1,
  receivedAt: time,
  postedAt: time,
  ...changes,
});

test.for([
  ['an id that no column takes', noted('a\0b')],
  ['an address that no column takes', noted('odd', { url: 'https://shop.example/\0\ud800' })],
  ['a year that no calendar has', noted('odd', { fetchedAt: '0000-01-01T00:00:00Z' })],
  ['more tries than a column counts', noted('odd', { attempt: Number.MAX_SAFE_INTEGER })],
] as const)('deliveries: a message with %s costs no other its note', async ([, odd]) => {
  const { store } = await databases.fresh();
  await lead(store);
  await store.keepDeliveries(1, 'node-1', [noted('good'), odd]);
  expect((await store.traceMessage('good')).deliveries).toHaveLength(1);
  expect((await store.traceMessage(odd.messageId.replace('\0', '\ufffd'))).deliveries).toHaveLength(1);
});
