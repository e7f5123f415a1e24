// What a file that says all there is leaves out has vanished: snapshots of partners, and the files of crawls.
import { expect, test } from 'vitest';
import { itemVersion, lastVersionOf } from '../../../contracts/ids.ts';
import type { Item } from '../../../contracts/item.ts';
import { fileQueries } from '../../../nodes/database/files.ts';
import type { Store } from '../../../nodes/store.ts';
import { Failure } from '../../../runtime/failure.ts';
import { entries, item, lead, partner, useDatabases } from './fresh-database.ts';
import { crawl, crawled, intakeOf, leadWithPartner, open, row, upload } from './uploads.ts';

const databases = useDatabases();
const second = '2026-01-02T00:00:00.000Z';

test('more rows than one statement takes are all applied, and what a snapshot of them leaves out has vanished', async () => {
  const { store } = await databases.fresh();
  await leadWithPartner(store, { snapshot: true });
  await store.putSource(1, partner('acme', { snapshot: true, vanishShareMax: 1 }));
  const count = 11_000;
  const rows = Array.from({ length: count }, (_, index) => row(`s${index}`, index + 1));
  expect(await upload(store, await open(store), rows)).toMatchObject({
    rows: count,
    applied: count,
    vanished: 0,
  });
  expect((await store.counts()).items).toBe(count);
  expect((await store.feedBounds()).last).toBe(count);
  const answer = await upload(store, await open(store, { modifiedAt: second }), [row('s7', 1)]);
  expect(answer).toMatchObject({ rows: 1, unchanged: 1, vanished: count - 1 });
  expect((await store.feedBounds()).last).toBe(count + count - 1);
});

test('a snapshot marks what it leaves out as vanished, and a later one that has it again brings it back', async () => {
  const { store } = await databases.fresh();
  await leadWithPartner(store, { snapshot: true });
  await store.putSource(1, partner('other'));
  await store.writeBatch(1, entries(item('x', 1, { source: 'other' })));
  await upload(store, await open(store), [row('a', 1), row('b', 2)]);
  const without = await upload(store, await open(store, { modifiedAt: second }), [row('a', 1)]);
  expect(without).toMatchObject({ vanished: 1 });
  expect((await store.item({ source: 'acme', sku: 'b' }))?.item).toMatchObject({ vanished: true, price: 10 });
  expect((await store.item({ source: 'other', sku: 'x' }))?.item.vanished).toBe(false);
  await upload(store, await open(store, { size: 9 }), [row('a', 1), row('b', 2)]);
  const changes = (await store.feed({ after: 0, limit: 100 })).filter(({ sku }) => sku === 'b');
  expect(changes.map(({ change }) => change)).toEqual(['new', 'vanished', 'returned']);
});

test('an older snapshot that is applied after a newer one brings back nothing that the newer one says is gone', async () => {
  const { store } = await databases.fresh();
  await leadWithPartner(store, { snapshot: true });
  await upload(store, await open(store, { name: 'acme_1.csv' }), [row('a', 1), row('gone', 2)]);
  await upload(store, await open(store, { name: 'acme_2.csv' }), [row('a', 1)]);
  const older = await open(store, { name: 'acme_3.csv' });
  await upload(store, await open(store, { name: 'acme_4.csv' }), [row('a', 1, { price: 4 })]);
  const bounds = await store.feedBounds();
  const rows = [row('a', 1), row('gone', 2), row('never-stored', 3)];
  const answer = await upload(store, older, rows);
  expect(answer).toMatchObject({ kind: 'applied', rows: 3, applied: 0, stale: 3, vanished: 0 });
  expect(answer.problems.join()).toMatch(/newer/);
  expect(
    (await store.items({ limit: 10 })).map(({ sku, price, vanished }) => [sku, price, vanished]),
  ).toEqual([
    ['a', 4, false],
    ['gone', 10, true],
  ]);
  expect(await store.feedBounds()).toEqual(bounds);
  // And with an item that no snapshot named since.
  const newest = await open(store, { name: 'acme_5.csv' });
  expect(await upload(store, newest, rows)).toMatchObject({ applied: 3, stale: 0 });
});

test('a snapshot that is settled while an older one is being applied makes that one late', async () => {
  const { store, connect, pool } = await databases.fresh();
  await leadWithPartner(store, { snapshot: true });
  const older = await open(store, { name: 'acme_1.csv' });
  const newer = await open(store, { name: 'acme_2.csv' });
  const client = await connect();
  const queries = pool();
  const meanwhile = fileQueries({
    ...queries,
    async query(what, statement, values) {
      if (what === 'applying staged rows')
        await client.query('UPDATE sources SET snapshot_version = $1', [lastVersionOf(intakeOf(newer))]);
      return await queries.query(what, statement, values);
    },
  });
  expect(await upload({ ...store, ...meanwhile }, older, [row('gone', 1)])).toMatchObject({
    applied: 0,
    stale: 1,
  });
  expect(await store.items({ limit: 10 })).toEqual([]);
});

test('a snapshot with a bad row says of nothing that it is gone: an older one still tells what it alone names', async () => {
  const { store } = await databases.fresh();
  await leadWithPartner(store, { snapshot: true });
  const older = await open(store, { name: 'acme_1.csv' });
  await upload(store, await open(store, { name: 'acme_2.csv' }), [row('a', 1)], 1);
  expect(await upload(store, older, [row('a', 1, { price: 99 }), row('b', 2)])).toMatchObject({
    applied: 1,
    stale: 1,
    vanished: 0,
  });
});

/** Of the items s0 to s49, the first so many. */
const fewOf50 = (count: number, place = (index: number) => index + 1) =>
  Array.from({ length: count }, (_, index) => row(`s${index}`, place(index)));
const goneOf = async (store: Store) =>
  (await store.items({ limit: 100 })).filter(({ vanished }) => vanished).length;

test('a snapshot without most of the items is applied and lets none vanish, in words for /health too, until the share is raised', async () => {
  const { store } = await databases.fresh();
  await leadWithPartner(store, { snapshot: true });
  await upload(store, await open(store, { name: 'acme_1.csv' }), fewOf50(50));
  const changed = [row('s0', 1, { price: 3 }), ...fewOf50(24, (index) => index + 2).slice(1)];
  const answer = await upload(store, await open(store, { name: 'acme_2.csv' }), changed);
  const incomplete =
    'it does not name 26 of 50 items, and 50 % may vanish at once: none did. If they are gone, set vanishShareMax of acme to 1, and they vanish by the next file; if not, the next file that names them sets it right';
  expect(answer).toMatchObject({ kind: 'applied', applied: 1, vanished: 0, incomplete });
  expect(await goneOf(store)).toBe(0);
  expect((await store.recentFiles(1))[0]).toMatchObject({
    applied: 1,
    unchanged: 23,
    vanished: 0,
    incomplete,
  });
  expect(await store.sourceAges({ limit: 5, intervalSMin: 60 })).toMatchObject([
    { source: 'acme', incomplete },
  ]);
  await store.putSource(1, partner('acme', { snapshot: true, vanishShareMax: 1 }));
  expect(await upload(store, await open(store, { name: 'acme_3.csv' }), changed)).toMatchObject({
    vanished: 26,
    incomplete: null,
  });
  expect(await store.sourceAges({ limit: 5, intervalSMin: 60 })).toMatchObject([{ incomplete: null }]);
});

test('the half may vanish, and of a few items all but one', async () => {
  const { store } = await databases.fresh();
  await leadWithPartner(store, { snapshot: true });
  await upload(store, await open(store, { name: 'acme_1.csv' }), fewOf50(38));
  const half = await upload(store, await open(store, { name: 'acme_2.csv' }), fewOf50(19));
  expect(half).toMatchObject({ vanished: 19, incomplete: null });
  const one = await upload(store, await open(store, { name: 'acme_3.csv' }), fewOf50(1));
  expect(one).toMatchObject({ vanished: 18, incomplete: null });
});

test('a crawl that saw 5 of 50 items lets none vanish, and says so of its source', async () => {
  const { store } = await databases.fresh();
  await lead(store);
  const first = await crawl(store);
  const items = Array.from({ length: 50 }, (_, index) => crawled(`s${index}`, first, index));
  await store.writeBatch(1, entries(...items));
  const file = async (of: number, count: number) => {
    const opened = await open(store, { name: `shop_crawl-${of}.ndjson` });
    return await upload(
      store,
      opened,
      items.slice(0, count).map((item, index) => ({ place: index + 1, item })),
    );
  };
  expect(await file(first, 50)).toMatchObject({ vanished: 0, incomplete: null });
  expect(await file(await crawl(store), 5)).toMatchObject({
    vanished: 0,
    incomplete: expect.stringMatching(/^it does not name 45 of 50 items.* by the next crawl;/) as unknown,
  });
  expect(await goneOf(store)).toBe(0);
  expect(await store.sourceAges({ limit: 5, intervalSMin: 60 })).toMatchObject([
    { source: 'shop', incomplete: expect.stringMatching(/45 of 50/) as unknown },
  ]);
  expect(await file(await crawl(store), 30)).toMatchObject({ vanished: 20, incomplete: null });
});

test('a file that is tried again after a statement of it broke off counts what all tries did, wherever it broke', async () => {
  for (const breaks of ['writing the ledger', 'marking what vanished', 'looking at the items of a source']) {
    const { store, pool } = await databases.fresh();
    await leadWithPartner(store, { snapshot: true });
    await upload(store, await open(store, { name: 'acme_1.csv' }), fewOf50(50));
    const opened = await open(store, { name: 'acme_2.csv' });
    const rows = fewOf50(40).map((each, index) => ({
      ...each,
      item: { ...each.item, price: index < 10 ? 5 : each.item.price },
    }));
    const queries = pool();
    let broke = false;
    const dying = fileQueries({
      ...queries,
      async query(what, statement, values) {
        if (what === breaks && !broke) {
          broke = true;
          if (what === 'marking what vanished') await queries.query(what, statement, values); // The answer alone is lost.
          throw new Failure('DATABASE_TIMEOUT', what);
        }
        return await queries.query(what, statement, values);
      },
    });
    await expect(upload({ ...store, ...dying }, opened, rows)).rejects.toThrow(breaks);
    expect(await upload(store, opened, rows), breaks).toMatchObject({
      rows: 40,
      applied: 10,
      unchanged: 30,
      stale: 0,
      vanished: 10,
      incomplete: null,
    });
  }
});

test('a file of a partner without snapshots lets nothing vanish', async () => {
  const { store } = await databases.fresh();
  await leadWithPartner(store);
  await upload(store, await open(store), [row('a', 1), row('b', 2)]);
  expect(await upload(store, await open(store, { modifiedAt: second }), [row('a', 1)])).toMatchObject({
    vanished: 0,
  });
});

test('a snapshot with a bad row lets nothing vanish and says so, and one without rows is rejected', async () => {
  const { store } = await databases.fresh();
  await leadWithPartner(store, { snapshot: true });
  await upload(store, await open(store), [row('a', 1), row('b', 2), row('c', 3)]);
  const bad = await upload(store, await open(store, { modifiedAt: second }), [row('a', 1), row('b', 2)], 1);
  expect(bad).toMatchObject({ kind: 'applied', invalid: 1, vanished: 0 });
  expect(bad.incomplete).toBe(
    '1 of 3 rows are bad, so that the others do not tell what vanished: nothing did',
  );
  const empty = await upload(store, await open(store, { size: 0 }), []);
  expect(empty).toMatchObject({ kind: 'rejected', reason: expect.stringMatching(/vanish/) });
  expect((await store.items({ limit: 10 })).filter(({ vanished }) => vanished)).toEqual([]);
});

test('a crawl file whose messages were all delivered has 0 differences, and what the crawl did not see vanishes', async () => {
  const { store } = await databases.fresh();
  await lead(store);
  const earlier = await crawl(store);
  await store.writeBatch(
    1,
    entries(crawled('a', earlier, 0), crawled('b', earlier, 1), crawled('c', earlier, 2)),
  );
  const intake = await crawl(store);
  const changed = crawled('b', intake, 0, { price: 8 });
  await store.writeBatch(1, entries(changed));
  // `a` is unmodified, so the file repeats its old version; `c` was not seen.
  const opened = await open(store, { name: `shop_crawl-${intake}.ndjson` });
  expect(intakeOf(opened)).toBe(intake);
  const answer = await upload(store, opened, [
    { place: 1, item: crawled('a', earlier, 0) },
    { place: 2, item: changed },
  ]);
  expect(answer).toMatchObject({
    kind: 'applied',
    rows: 2,
    applied: 0,
    unchanged: 2,
    vanished: 1,
    differences: 0,
  });
  expect((await store.item({ source: 'shop', sku: 'c' }))?.item.vanished).toBe(true);
  expect((await store.item({ source: 'shop', sku: 'a' }))?.item.vanished).toBe(false);
});

test('what a newer crawl has seen does not vanish by an older crawl file', async () => {
  const { store } = await databases.fresh();
  await lead(store);
  const older = await crawl(store);
  const newer = await crawl(store);
  await store.writeBatch(1, entries(crawled('a', older, 0), crawled('b', newer, 0)));
  const opened = await open(store, { name: `shop_crawl-${older}.ndjson` });
  expect(await upload(store, opened, [{ place: 1, item: crawled('a', older, 0) }])).toMatchObject({
    vanished: 0,
  });
  expect((await store.item({ source: 'shop', sku: 'b' }))?.item.vanished).toBe(false);
});

test('a crawl file brings back what it names and an earlier one let vanish, though its version is of old', async () => {
  const { store } = await databases.fresh();
  await lead(store);
  const first = await crawl(store);
  const [a, b] = [crawled('a', first, 0), crawled('b', first, 1, { stock: 7 })];
  await store.writeBatch(1, entries(a, b));
  const file = async (intake: number, size: number, items: readonly Item[]) => {
    const opened = await open(store, { name: `shop_crawl-${intake}.ndjson`, size });
    const rows = items.map((item, index) => ({ place: index + 1, item }));
    return await upload(store, opened, rows);
  };
  const next = await crawl(store);
  expect(await file(next, 1, [a])).toMatchObject({ vanished: 1, differences: 0 });
  // Of the same crawl, deposited anew by another worker: neither is newer than the other.
  expect(await file(next, 2, [a, b])).toMatchObject({ vanished: 0, differences: 0, stale: 1 });
  const last = await crawl(store);
  expect(await file(last, 2, [a, b])).toMatchObject({
    applied: 1,
    unchanged: 1,
    stale: 0,
    vanished: 0,
    differences: 1,
  });
  const version = itemVersion({ intake: last, ordinal: 2 ** 24 - 1 });
  expect((await store.item({ source: 'shop', sku: 'b' }))?.item).toEqual({ ...b, version });
  const changes = (await store.feed({ after: 0, limit: 100 })).filter(({ sku }) => sku === 'b');
  expect(changes.map(({ change }) => change)).toEqual(['new', 'vanished', 'returned']);
  // Again it says nothing new, and an older file takes nothing back.
  expect(await file(last, 3, [a, b])).toMatchObject({ applied: 0, differences: 0 });
  expect(await file(next, 3, [a])).toMatchObject({ vanished: 0, differences: 0 });
  expect((await store.item({ source: 'shop', sku: 'b' }))?.item).toMatchObject({ version });
});

test('a crawl file waits for messages that are under way, and stores and counts what never came', async () => {
  const { store, connect } = await databases.fresh();
  await lead(store);
  const intake = await crawl(store);
  const opened = await open(store, { name: `shop_crawl-${intake}.ndjson` });
  const rows = [0, 1].map((ordinal) => ({
    place: ordinal + 1,
    item: crawled(`s${ordinal}`, intake, ordinal),
  }));
  await store.writeBatch(1, entries(crawled('s0', intake, 0)));
  await expect(upload(store, opened, rows)).rejects.toMatchObject({
    code: 'FILE_EARLY',
  });
  await (await connect()).query("UPDATE files SET opened_at = clock_timestamp() - interval '10 minutes'");
  expect(await upload(store, opened, rows)).toMatchObject({
    kind: 'applied',
    applied: 1,
    unchanged: 1,
    differences: 1,
  });
});

test('what a message of a crawl left otherwise than the crawl file says is set right, and news of a newer crawl stay', async () => {
  const { store } = await databases.fresh();
  await lead(store);
  const earlier = await crawl(store);
  const [a, b, c] = [crawled('a', earlier, 0), crawled('b', earlier, 1), crawled('c', earlier, 2)];
  await store.writeBatch(1, entries(a, b, c));
  const intake = await crawl(store);
  const newer = await crawl(store);
  const fresh = crawled('c', newer, 0, { price: 7 });
  await store.writeBatch(1, entries(crawled('a', intake, 0, { price: 9 }), crawled('b', intake, 1), fresh));
  const opened = await open(store, { name: `shop_crawl-${intake}.ndjson` });
  const rows = [a, b, c].map((item, index) => ({ place: index + 1, item }));
  expect(await upload(store, opened, rows)).toMatchObject({
    applied: 1,
    stale: 2,
    vanished: 0,
    differences: 1,
  });
  const version = itemVersion({ intake, ordinal: 2 ** 24 - 1 });
  const items = await store.items({ limit: 10 });
  expect(items).toMatchObject([{ ...a, version }, crawled('b', intake, 1), fresh]);
  expect((await store.feed({ after: 0, limit: 100 })).at(-1)).toMatchObject({
    sku: 'a',
    change: 'price',
    price: 10,
    previousPrice: 9,
  });
});

test('what a message of the crawl itself brought does not vanish by its file; by the next one it does', async () => {
  const { store } = await databases.fresh();
  await lead(store);
  const intake = await crawl(store);
  const a = crawled('a', intake, 0);
  await store.writeBatch(1, entries(a, crawled('b', intake, 1)));
  const file = async (of: number) =>
    upload(store, await open(store, { name: `shop_crawl-${of}.ndjson` }), [{ place: 1, item: a }]);
  expect(await file(intake)).toMatchObject({ unchanged: 1, vanished: 0 });
  expect(await file(await crawl(store))).toMatchObject({ unchanged: 1, vanished: 1 });
});

test('a message of a crawl whose file was applied comes too late, as does one of an earlier crawl', async () => {
  const { store } = await databases.fresh();
  await lead(store);
  const intake = await crawl(store);
  const a = crawled('a', intake, 0);
  await store.writeBatch(1, entries(a));
  const next = await crawl(store);
  await upload(store, await open(store, { name: `shop_crawl-${next}.ndjson` }), [{ place: 1, item: a }]);
  const late = entries(
    crawled('a', next, 5, { price: 9 }),
    crawled('b', next, 6),
    crawled('c', intake, 7),
    a,
  );
  expect((await store.writeBatch(1, late)).map(({ kind }) => kind)).toEqual([
    'stale',
    'stale',
    'stale',
    'unchanged',
  ]);
  expect((await store.items({ limit: 10 })).map(({ sku, price }) => [sku, price])).toEqual([['a', 10]]);
  const newer = crawled('b', await crawl(store), 0);
  expect(await store.writeBatch(1, entries(newer))).toEqual([{ kind: 'applied' }]);
});

test('a crawl file with versions above its own intake is rejected whole', async () => {
  const { store } = await databases.fresh();
  await lead(store);
  const intake = await crawl(store);
  const opened = await open(store, { name: `shop_crawl-${intake}.ndjson` });
  const forged = { place: 2, item: crawled('z', intake + 1, 0) };
  const answer = await upload(store, opened, [{ place: 1, item: crawled('a', intake, 0) }, forged]);
  expect(answer).toMatchObject({ kind: 'rejected', applied: 0 });
  expect(await store.items({ limit: 10 })).toEqual([]);
});

test('the differences of a crawl file stand when its settling is tried again', async () => {
  const { store, pool } = await databases.fresh();
  await lead(store);
  const earlier = await crawl(store);
  const [a, b] = [crawled('a', earlier, 0), crawled('b', earlier, 1)];
  await store.writeBatch(1, entries(a));
  const intake = await crawl(store);
  await store.writeBatch(1, entries(crawled('a', intake, 0, { price: 9 })));
  const opened = await open(store, { name: `shop_crawl-${intake}.ndjson` });
  const rows = [a, b].map((item, index) => ({ place: index + 1, item }));
  const queries = pool();
  const dying = fileQueries({
    ...queries,
    query: (what, statement, values) =>
      what === 'writing the ledger'
        ? Promise.reject(new Failure('DATABASE_TIMEOUT', what))
        : queries.query(what, statement, values),
  });
  await queries.query('a test', "UPDATE files SET opened_at = clock_timestamp() - interval '10 minutes'");
  await expect(upload({ ...store, ...dying }, opened, rows)).rejects.toThrow('writing the ledger');
  expect(await upload(store, opened, rows)).toMatchObject({ applied: 2, stale: 0, differences: 2 });
});
