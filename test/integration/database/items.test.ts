import { text } from 'node:stream/consumers';
import { expect, test } from 'vitest';
import { intakeMax, itemVersion, ordinalsPerIntake } from '../../../contracts/ids.ts';
import type { Item } from '../../../contracts/item.ts';
import type { Queries } from '../../../nodes/database/pool.ts';
import { writeBatch } from '../../../nodes/database/write-items.ts';
import { entries, handOut, item, lead, traceparent, useDatabases } from './fresh-database.ts';

const databases = useDatabases();
const invalid = (code: string) => expect.objectContaining({ kind: 'invalid', code });

test('a batch with one key twice stores the newest version and calls the other one stale', async () => {
  const { store } = await databases.fresh();
  await lead(store);
  expect(await store.writeBatch(1, entries(item('a', 1), item('b', 1), item('a', 2, { price: 8 })))).toEqual([
    { kind: 'stale' },
    { kind: 'applied' },
    { kind: 'applied' },
  ]);
  expect((await store.item({ source: 'shop', sku: 'a' }))?.item).toEqual(item('a', 2, { price: 8 }));
});

test('an older version after a newer one is stale and changes nothing', async () => {
  const { store } = await databases.fresh();
  await lead(store);
  await store.writeBatch(1, entries(item('a', 5)));
  const bounds = await store.feedBounds();
  expect(await store.writeBatch(1, entries(item('a', 4, { price: 1 })))).toEqual([{ kind: 'stale' }]);
  const found = await store.item({ source: 'shop', sku: 'a' });
  expect(found?.item).toEqual(item('a', 5));
  expect(found?.history).toMatchObject([{ ...item('a', 5), term: 1, traceparent }]);
  expect(await store.feedBounds()).toEqual(bounds);
});

test('the same version again is unchanged; with other content it is invalid, in one batch and in two', async () => {
  const { store } = await databases.fresh();
  await lead(store);
  const first = item('a', 1, { price: 12.3456, url: 'https://shop.example/a' });
  expect(await store.writeBatch(1, entries(first, first, { ...first, price: 1 }))).toEqual([
    { kind: 'applied' },
    { kind: 'unchanged' },
    invalid('VERSION_REUSED'),
  ]);
  expect(await store.writeBatch(1, entries(first, { ...first, title: 'Other' }))).toEqual([
    { kind: 'unchanged' },
    invalid('VERSION_REUSED'),
  ]);
  expect((await store.item({ source: 'shop', sku: 'a' }))?.item).toEqual(first);
});

test('an item of a source that is not configured is invalid, and its neighbours are applied', async () => {
  const { store } = await databases.fresh();
  await lead(store);
  expect(await store.writeBatch(1, entries(item('a', 1, { source: 'nobody' }), item('b', 1)))).toEqual([
    invalid('SOURCE_UNKNOWN'),
    { kind: 'applied' },
  ]);
});

test('an item whose source was configured while it was written comes again: nothing newer stands in its place', async () => {
  const { store, connect, pool } = await databases.fresh();
  await lead(store);
  const client = await connect();
  const queries = pool();
  // Between the write and the look at what it did not apply.
  let statements = 0;
  const meanwhile: Queries = {
    ...queries,
    async query(what, statement, values) {
      if (++statements === 2)
        await client.query(
          "INSERT INTO sources (name, definition, last_intake) SELECT 'other', definition, 1 FROM sources WHERE name = 'shop'",
        );
      return await queries.query(what, statement, values);
    },
  };
  const written = entries(item('b', 2 ** 24, { source: 'other' }));
  await expect(writeBatch(meanwhile, 1, written)).rejects.toMatchObject({ code: 'BUSY' });
  expect(await store.writeBatch(1, written)).toEqual([{ kind: 'applied' }]);
});

test('an item that the database refuses is invalid alone, wherever it stands, and each neighbour is applied once', async () => {
  const { store } = await databases.fresh();
  await lead(store);
  const many = Array.from({ length: 9 }, (_, index) =>
    item(`n${index}`, 1, index === 0 || index === 6 ? { title: 'no \0 text' } : {}),
  );
  const verdicts = await store.writeBatch(1, entries(...many));
  expect(verdicts).toEqual(
    many.map((_, index) => (index === 0 || index === 6 ? invalid('ITEM_MALFORMED') : { kind: 'applied' })),
  );
  expect((await store.feedBounds()).last).toBe(7);
  await expect(store.writeBatch(0, entries(...many))).rejects.toMatchObject({ code: 'STALE_TERM' });
});

test('an item of an intake that nobody handed out is invalid alone, and freezes nothing', async () => {
  const { store, connect } = await databases.fresh();
  await lead(store);
  await handOut({ connect }, 2);
  const at = (intake: number, ordinal = 0) => item('a', itemVersion({ intake, ordinal }));
  const beyond = at(3);
  const last = at(2, ordinalsPerIntake - 1);
  expect(await store.writeBatch(1, entries(beyond, at(500_000_000), item('b', 1), at(1)))).toEqual([
    {
      kind: 'invalid',
      code: 'ITEM_MALFORMED',
      reason: 'version: it is of intake 3, which was not handed out; the last one of shop is 2',
    },
    expect.objectContaining({ reason: expect.stringContaining('of intake 500000000,') as string }),
    { kind: 'applied' },
    { kind: 'applied' },
  ]);
  expect(await store.writeBatch(1, entries(last))).toEqual([{ kind: 'applied' }]);
  await handOut({ connect }, 3);
  expect(await store.writeBatch(1, entries(beyond))).toEqual([{ kind: 'applied' }]);
});

test('prices, the largest version and odd text come back exactly as they were', async () => {
  const { store, connect } = await databases.fresh();
  await lead(store);
  await handOut({ connect }, intakeMax);
  const odd = item('ß "quoted", {array}\\', Number.MAX_SAFE_INTEGER, {
    title: '日本語 🛒, "a"',
    price: 999_999_999.9999,
    stock: 1_000_000_000,
    imageUrl: 'https://shop.example/i?a=1,2',
  });
  const free = item('free', 1, { price: 0, currency: null, inStock: false });
  const none = item('none', 1, { price: null });
  await store.writeBatch(1, entries(odd, free, none));
  for (const one of [odd, free, none])
    expect((await store.item({ source: one.source, sku: one.sku }))?.item).toEqual(one);
});

test('each change is an event of its kind, with the price before it and the trace it came with', async () => {
  const { store } = await databases.fresh();
  await lead(store);
  const steps: [Partial<Item>, string | undefined][] = [
    [{}, 'new'],
    [{ price: 8 }, 'price'],
    [{ price: 8, inStock: false }, 'stock'],
    [{ price: 8, inStock: false, title: 'Renamed' }, 'content'],
    [{ price: 8, inStock: false, title: 'Renamed', vanished: true }, 'vanished'],
    [{ price: 8, inStock: false, title: 'Renamed' }, 'returned'],
    // A new version that says the same is no news.
    [{ price: 8, inStock: false, title: 'Renamed' }, undefined],
  ];
  for (const [index, [content]] of steps.entries())
    expect(await store.writeBatch(1, entries(item('a', index + 1, content)))).toEqual([{ kind: 'applied' }]);
  const events = await store.feed({ after: 0, limit: 100 });
  expect(events.map(({ change }) => change)).toEqual(steps.flatMap(([, change]) => change ?? []));
  expect(events[1]).toMatchObject({
    type: 'item.changed',
    id: 2,
    source: 'shop',
    sku: 'a',
    itemVersion: 2,
    price: 8,
    previousPrice: 10,
    currency: 'EUR',
    inStock: true,
    term: 1,
    traceparent,
  });
});

test('a price in another currency is no drop of the old one', async () => {
  const { store } = await databases.fresh();
  await lead(store);
  await store.writeBatch(1, entries(item('a', 1, { price: 10, currency: 'EUR' })));
  await store.writeBatch(1, entries(item('a', 2, { price: 9, currency: 'USD' })));
  expect((await store.feed({ after: 1, limit: 1 }))[0]).toMatchObject({
    change: 'price',
    previousPrice: null,
  });
});

test('two batches that overlap in opposite orders both end, and the newest versions stand', async () => {
  const { store } = await databases.fresh();
  await lead(store);
  const keys = Array.from({ length: 200 }, (_, index) => `k${index}`);
  for (let round = 1; round <= 10; round++)
    await Promise.all([
      store.writeBatch(1, entries(...keys.map((sku) => item(sku, round * 2)))),
      store.writeBatch(1, entries(...keys.toReversed().map((sku) => item(sku, round * 2 + 1)))),
    ]);
  const items = await store.items({ limit: 500 });
  expect(new Set(items.map(({ version }) => version))).toEqual(new Set([21]));
});

test('pages of items are in key order, complete, and filtered as asked', async () => {
  const { store } = await databases.fresh();
  await lead(store);
  const all = ['a', 'B', 'c%', 'd_', 'é'].map((sku, index) =>
    item(sku, 1, { title: `Lamp ${sku}`, inStock: index % 2 === 0 }),
  );
  await store.writeBatch(1, entries(...all));
  const paged: Item[] = [];
  for (let after: Item | undefined; ;) {
    const page = await store.items({ limit: 2, after });
    if (page.length === 0) break;
    paged.push(...page);
    after = page.at(-1);
  }
  expect(paged.map(({ sku }) => sku).sort()).toEqual(all.map(({ sku }) => sku).sort());
  const skus = async (query: object) => (await store.items({ limit: 10, ...query })).map(({ sku }) => sku);
  expect(await skus({ q: 'lamp c%' })).toEqual(['c%']);
  expect(await skus({ q: '%' })).toEqual(['c%']);
  expect(await skus({ q: '_' })).toEqual(['d_']);
  expect(await skus({ inStock: false })).toHaveLength(2);
  expect(await skus({ source: 'other' })).toEqual([]);
});

test('an export holds every item that has not vanished, once, in both formats', async () => {
  const { store } = await databases.fresh();
  await lead(store);
  const count = 2_500;
  const title = 'Lamp, "large"\u2028';
  for (let start = 0; start < count; start += 1_000)
    await store.writeBatch(
      1,
      entries(
        ...Array.from({ length: Math.min(1_000, count - start) }, (_, index) =>
          item(`s${start + index}`, 1, { title }),
        ),
      ),
    );
  await store.writeBatch(1, entries(item('gone', 1, { vanished: true })));
  const lines = (await text(await store.exportItems('ndjson'))).trimEnd().split('\n');
  expect(new Set(lines.map((line) => (JSON.parse(line) as Item).sku)).size).toBe(count);
  expect(lines).toHaveLength(count);
  const [header, ...rows] = (await text(await store.exportItems('csv'))).trimEnd().split(/\r?\n/);
  expect(header?.split(',')).toEqual(expect.arrayContaining(['source', 'sku', 'version', 'title', 'price']));
  expect(rows).toHaveLength(count);
  expect(rows[0]).toContain('"Lamp, ""large""\u2028"');
});

test('counts are exact once nothing is being written', async () => {
  const { store } = await databases.fresh();
  await lead(store);
  await Promise.all(
    [1, 2, 3].map((version) => store.writeBatch(1, entries(item('a', version), item(`b${version}`, 1)))),
  );
  const history = (await store.item({ source: 'shop', sku: 'a' }))?.history ?? [];
  expect(await store.counts()).toEqual({
    items: 4,
    itemVersions: 3 + history.length,
    files: 0,
    mailsSent: 0,
  });
});

test('a rehearsal leaves a connection open and writes nothing, whatever term the fence is in', async () => {
  const { store, connect } = await databases.fresh();
  const watcher = await connect();
  const connections = async (): Promise<number> => {
    const { rows } = await watcher.query<{ open: number }>(
      `SELECT count(*)::int AS open FROM pg_stat_activity
       WHERE datname = current_database() AND application_name = 'node-1' AND state = 'idle'`,
    );
    return rows[0]?.open ?? 0;
  };
  for (const ahead of [() => Promise.resolve(), () => lead(store)]) {
    await ahead();
    const [bounds, fence] = [await store.feedBounds(), await store.fence()];
    await store.rehearse();
    expect(await connections()).toBeGreaterThan(0);
    expect(await store.items({ limit: 10 })).toEqual([]);
    expect(await store.feedBounds()).toEqual(bounds);
    expect(await store.fence()).toEqual(fence);
  }
});
