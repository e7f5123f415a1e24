// What becomes of a source that is deleted, and of what is on its way for it.
import { expect, test } from 'vitest';
import { itemVersion } from '../../../contracts/ids.ts';
import type { Store } from '../../../nodes/store.ts';
import { entries, item, lead, partner, shop, traceparent, useDatabases } from './fresh-database.ts';

const databases = useDatabases();
const v = (intake: number, ordinal: number) => itemVersion({ intake, ordinal });

test('deleted source: its items vanish with an event each, and go in steps; those of others stay', async () => {
  const { store, connect } = await databases.fresh();
  await lead(store);
  for (const name of ['shop', 'other']) await store.putSource(1, shop(name));
  const skus = ['a', 'b', 'c', 'd', 'e'];
  await store.writeBatch(
    1,
    entries(...skus.map((sku, index) => ({ ...item(sku, v(1, index)), source: 'shop' }))),
  );
  await store.writeBatch(1, entries({ ...item('a', v(1, 0)), source: 'other' }));
  const { last } = await store.feedBounds();

  expect(await store.deleteSource(1, 'nowhere')).toBe(false);
  expect(await store.deleteSource(1, 'shop')).toBe(true);
  expect(await store.deleteSource(1, 'shop')).toBe(false);
  expect((await store.sources()).map(({ name }) => name)).toEqual(['other']);
  let steps = 0;
  while (await store.emptyDeletedSource(1, 2)) steps++;
  expect(steps).toBe(3);
  expect((await store.items({ limit: 10 })).map(({ source, sku }) => [source, sku])).toEqual([
    ['other', 'a'],
  ]);
  expect(await store.counts()).toMatchObject({ items: 1 });
  const events = await store.feed({ after: last, limit: 10 });
  expect(events.map(({ change, sku }) => [change, sku])).toEqual(skus.map((sku) => ['vanished', sku]));
  // Empty is what is so a minute after the deletion: until then a write that began before it may come.
  expect(await emptied(connect)).toEqual([]);
  await (await connect()).query("UPDATE sources SET deleted_at = deleted_at - interval '61 s'");
  expect(await store.emptyDeletedSource(1, 2)).toBe(false);
  expect(await emptied(connect)).toEqual(['shop']);
});

test('deleted source: what is on its way for it changes nothing, and is no dead letter', async () => {
  const { store } = await databases.fresh();
  await lead(store);
  await store.putSource(1, shop('shop'));
  await store.putSource(1, partner('acme'));
  const crawl = await store.takeCrawl(1, { owner: 'one', leaseMs: 60_000, source: 'shop' });
  await store.deleteSource(1, 'shop');
  await store.deleteSource(1, 'acme');
  expect(await store.writeBatch(1, entries({ ...item('a', v(1, 0)), source: 'shop' }))).toEqual([
    { kind: 'stale' },
  ]);
  const update = { owner: 'one', leaseMs: 60_000, status: 'running' as const };
  const counts = { pages: 1, notModified: 0, failedPages: 0, itemsSeen: 1, itemsPublished: 1 };
  await expect(
    store.updateCrawl(1, crawl?.crawlId ?? '', { ...update, state: { zstd: '' }, counts }),
  ).rejects.toMatchObject({ code: 'LEASE_LOST' });
  expect((await store.recentCrawls(1))[0]).toMatchObject({
    status: 'failed',
    reason: 'its source was deleted',
  });
  expect(await store.takeCrawl(1, { owner: 'two', leaseMs: 60_000, source: 'shop' })).toBeUndefined();
  expect(
    await store.openFile(1, {
      name: 'acme_1.csv',
      size: 10,
      modifiedAt: '2026-01-01T00:00:00.000Z',
      traceparent,
    }),
  ).toMatchObject({ kind: 'rejected', reason: 'no source acme is configured' });
  expect(await store.items({ limit: 10 })).toEqual([]);
});

test('deleted source: put again it crawls anew, with versions above those of old', async () => {
  const { store } = await databases.fresh();
  await lead(store);
  await store.putSource(1, shop('shop'));
  const first = await crawled(store);
  await store.writeBatch(1, entries({ ...item('a', v(first.intake, 0)), source: 'shop' }));
  await store.deleteSource(1, 'shop');
  while (await store.emptyDeletedSource(1, 10));
  await store.putSource(1, shop('shop'));
  const again = await crawled(store);
  expect(again).toMatchObject({ state: null, resumed: false });
  expect(again.intake).toBeGreaterThan(first.intake);
  // A message of the first life comes late.
  const late = { ...item('b', v(first.intake, 1)), source: 'shop' };
  const now = { ...item('a', v(again.intake, 0)), source: 'shop' };
  expect(await store.writeBatch(1, entries(late, now))).toEqual([{ kind: 'stale' }, { kind: 'applied' }]);
  expect(await store.emptyDeletedSource(1, 10)).toBe(false);
  expect((await store.items({ limit: 10 })).map(({ sku }) => sku)).toEqual(['a']);
});

test('deleted source: put again while its items go, it keeps those that are left', async () => {
  const { store } = await databases.fresh();
  await lead(store);
  await store.putSource(1, shop('shop'));
  await store.writeBatch(
    1,
    entries(...['a', 'b', 'c'].map((sku, index) => ({ ...item(sku, v(1, index)), source: 'shop' }))),
  );
  await store.deleteSource(1, 'shop');
  await store.emptyDeletedSource(1, 1);
  await store.putSource(1, shop('shop'));
  expect(await store.emptyDeletedSource(1, 1)).toBe(false);
  expect((await store.items({ limit: 10 })).map(({ sku, vanished }) => [sku, vanished])).toEqual([
    ['b', false],
    ['c', false],
  ]);
});

async function crawled(store: Store) {
  const lease = await store.takeCrawl(1, { owner: 'one', leaseMs: 60_000, source: 'shop' });
  if (!lease) throw new Error('no crawl is due');
  return lease;
}
async function emptied(connect: Awaited<ReturnType<typeof databases.fresh>>['connect']): Promise<string[]> {
  const { rows } = await (
    await connect()
  ).query<{ name: string }>('SELECT name FROM sources WHERE emptied_at IS NOT NULL');
  return rows.map(({ name }) => name);
}
