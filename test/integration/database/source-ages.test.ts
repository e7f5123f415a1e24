// How old sources are, by the database's clock, and who of them is overdue.
import { expect, test } from 'vitest';
import type { CrawlUpdate } from '../../../contracts/node-api.ts';
import { judgeSources } from '../../../nodes/health/source-watch.ts';
import type { Store } from '../../../nodes/store.ts';
import { holder, partner, shop, traceparent, useDatabases, type FreshDatabase } from './fresh-database.ts';

const databases = useDatabases();
const hour = 3_600;

test('a new source counts from when it was entered, and is overdue after three of its intervals', async () => {
  const { store, connect } = await leading();
  await store.putSource(1, shop('shop', { everySeconds: hour }));
  expect(await judged(store)).toEqual([
    { source: 'shop', lastGoodAt: null, ageS: 0, intervalS: hour, isOverdue: false },
  ]);
  await since(connect, 'shop', 3 * hour - 10);
  expect(await judged(store)).toMatchObject([{ isOverdue: false }]);
  await since(connect, 'shop', 3 * hour + 60);
  expect(await judged(store)).toMatchObject([{ ageS: 3 * hour + 60, isOverdue: true }]);
});

test.each([
  ['pauses', 'paused', {}],
  ['finishes though the shop refused every page', 'finished', { pages: 0, failedPages: 3 }],
  ['finishes and saw no item', 'finished', { itemsSeen: 0 }],
] as const)('a crawl that %s is no good one', async (_how, status, counts) => {
  const { store, connect } = await leading();
  await store.putSource(1, shop('shop', { everySeconds: hour }));
  await since(connect, 'shop', 10 * hour);
  await crawl(store, status, counts);
  expect(await judged(store)).toMatchObject([{ lastGoodAt: null, ageS: 10 * hour, isOverdue: true }]);
});

test.each([
  ['that read pages', { pages: 2 }],
  ['whose pages are as they were', { pages: 0, notModified: 2, itemsPublished: 0 }],
])('a finished crawl %s makes a shop young again; its deposited file does not', async (_how, counts) => {
  const { store, connect } = await leading();
  await store.putSource(1, shop('shop', { everySeconds: hour }));
  await crawl(store, 'finished', counts);
  await since(connect, 'shop', 10 * hour);
  expect(await judged(store)).toMatchObject([{ lastGoodAt: expect.any(String), ageS: 0, isOverdue: false }]);
  const client = await connect();
  await client.query("UPDATE crawls SET changed_at = clock_timestamp() - interval '5 hours'");
  await open(store, 'shop_crawl-1.ndjson');
  await client.query("UPDATE files SET state = 'applied'"); // Its rows are of no interest here.
  expect(await judged(store)).toMatchObject([{ ageS: 5 * hour, isOverdue: true }]);
});

test('a shop whose last finished crawl did not read all of it says why, until one does', async () => {
  const { store } = await leading();
  await store.putSource(1, shop('shop', { everySeconds: hour }));
  await store.putSource(1, partner('acme'));
  const incomplete = async () =>
    Object.fromEntries((await judgeSources(store)).standings.map((one) => [one.source, one.incomplete]));
  await crawl(store, 'finished', {}, 'the limit of 5 pages');
  expect(await incomplete()).toEqual({ shop: 'the limit of 5 pages', acme: null });
  // It is good all the same: it brought something. What pauses says nothing of the whole.
  expect((await judged(store))[0]).toMatchObject({ isOverdue: false });
  await crawl(store, 'paused', {}, 'the time of this run is over');
  expect(await incomplete()).toMatchObject({ shop: 'the limit of 5 pages' });
  await crawl(store, 'finished', {});
  expect(await incomplete()).toMatchObject({ shop: null });
});

test('a shop whose last finished crawl brought nothing says what went wrong, until one brings something', async () => {
  const { store } = await leading();
  await store.putSource(1, shop('shop', { everySeconds: hour }));
  const empty = async () => (await judgeSources(store)).standings[0]?.empty;
  expect(await empty()).toBeNull();
  const nothing = { pages: 0, failedPages: 1, itemsSeen: 0 };
  await crawl(store, 'paused', nothing, 'the queue is deep', 'https://shop.example/: HTTP 403');
  await crawl(store, 'finished', { pages: 0, itemsSeen: 0 });
  expect(await empty()).toBe('https://shop.example/: HTTP 403');
  expect((await store.recentCrawls(1))[0]).toMatchObject({
    failedPages: 1,
    reason: null,
    problem: 'https://shop.example/: HTTP 403',
  });
  await crawl(store, 'finished', { itemsSeen: 0 });
  expect(await empty()).toBe('no page shows an item');
  await crawl(store, 'finished', {}, undefined, 'https://shop.example/p/7: HTTP 500');
  expect(await empty()).toBeNull();
});

test('an applied file makes a partner young again; a rejected one does not, nor one of another source', async () => {
  const { store, connect } = await leading();
  for (const name of ['acme', 'acme-two'])
    await store.putSource(1, partner(name, { fileEverySeconds: hour }));
  for (const name of ['acme', 'acme-two']) await since(connect, name, 10 * hour);
  const rejected = await open(store, 'acme_1.csv');
  await store.rejectFile(1, { fileId: rejected.fileId, reason: 'it is empty', problems: [] });
  await open(store, 'acme_2.csv'); // Seen, and never applied.
  await apply(store, 'acme-two_1.csv');
  expect(await judged(store)).toMatchObject([
    { source: 'acme', ageS: 10 * hour, isOverdue: true },
    { source: 'acme-two', ageS: 0, isOverdue: false },
  ]);
  // Put back, it is moved again, and is no new file.
  await (await connect()).query("UPDATE files SET opened_at = clock_timestamp() - interval '5 hours'");
  const { fileId } = await open(store, 'acme-two_1.csv');
  await store.fileOutcome(1, fileId, { movedTo: 'done/acme-two_1.csv', reason: null });
  expect(await judged(store)).toMatchObject([{ source: 'acme' }, { source: 'acme-two', ageS: 5 * hour }]);
});

test('a partner of whom nobody said how often a file comes has an age and is never overdue', async () => {
  const { store, connect } = await leading();
  await store.putSource(1, partner('acme'));
  await since(connect, 'acme', 1_000 * hour);
  expect(await judged(store)).toEqual([
    { source: 'acme', lastGoodAt: null, ageS: 1_000 * hour, intervalS: null, isOverdue: false },
  ]);
});

test('what is switched off is not judged, and counts anew when it is switched on or given another interval', async () => {
  const { store, connect } = await leading();
  await store.putSource(1, shop('shop', { enabled: false }));
  await since(connect, 'shop', 100 * hour);
  expect(await judged(store)).toEqual([]);
  await store.putSource(1, shop('shop'));
  expect(await judged(store)).toMatchObject([{ ageS: 0 }]);
  await since(connect, 'shop', 100 * hour);
  // Stored again as it was, as every start of the demo does, it is no younger.
  await store.putSource(1, shop('shop', { pagesMax: 11 }));
  expect(await judged(store)).toMatchObject([{ ageS: 100 * hour }]);
  await store.putSource(1, shop('shop', { everySeconds: 60 }));
  expect(await judged(store)).toMatchObject([{ ageS: 0 }]);
});

test('an interval holds what the pages take at the pace that is set, and is never shorter than the schedule', async () => {
  const { store } = await leading();
  await store.putSource(1, shop('quick', { everySeconds: 5 }));
  await store.putSource(1, shop('slow', { everySeconds: 60, pagesMax: 1_000, requestEveryMs: 2_500 }));
  expect(await judged(store)).toMatchObject([
    { source: 'quick', intervalS: 60 },
    { source: 'slow', intervalS: 2_560 },
  ]);
});

test('of more sources than are judged the most overdue are, and it is said that there are others', async () => {
  const { store, connect } = await leading();
  await store.putSource(1, shop('zoo'));
  const client = await connect();
  await client.query(
    `INSERT INTO sources (name, definition) SELECT 'shop-' || number, definition FROM sources, generate_series(1, 500) AS number`,
  );
  await since(connect, 'zoo', 100 * hour);
  const { standings, isCutOff } = await judgeSources(store);
  expect([standings.length, standings[0]?.source, isCutOff]).toEqual([500, 'zoo', true]);
  await client.query("DELETE FROM sources WHERE name = 'shop-1'");
  expect(await judgeSources(store)).toMatchObject({ isCutOff: false });
});

async function leading(): Promise<FreshDatabase> {
  const database = await databases.fresh();
  await database.store.claim({ term: 1, holder });
  return database;
}
/** Ages to five seconds below: the clock of the database goes on while the test does. */
async function judged(store: Store) {
  const { standings } = await judgeSources(store);
  return standings.map(({ source, lastGoodAt, ageS, intervalS, isOverdue }) => ({
    source,
    lastGoodAt,
    ageS: Math.floor(ageS / 5) * 5,
    intervalS,
    isOverdue,
  }));
}
async function since(connect: FreshDatabase['connect'], name: string, seconds: number): Promise<void> {
  await (
    await connect()
  ).query("UPDATE sources SET active_since = clock_timestamp() - $2 * interval '1 s' WHERE name = $1", [
    name,
    seconds,
  ]);
}
function open(store: Store, name: string) {
  return store.openFile(1, { name, size: 10, modifiedAt: '2026-01-01T00:00:00.000Z', traceparent });
}
async function apply(store: Store, name: string): Promise<void> {
  const { fileId, kind } = await open(store, name);
  if (kind !== 'upload') throw new Error(`${name} is ${kind}`);
  const answer = { upload: crypto.randomUUID(), sha256: 'a'.repeat(64), rows: 0, invalid: 0, problems: [] };
  expect(await store.applyUpload(1, { fileId, ...answer })).toMatchObject({ kind: 'applied' });
}
async function crawl(
  store: Store,
  status: CrawlUpdate['status'],
  counted: Partial<CrawlUpdate['counts']>,
  reason?: string,
  problem?: string,
): Promise<void> {
  const counts = { pages: 2, notModified: 0, failedPages: 0, itemsSeen: 20, itemsPublished: 5, ...counted };
  const lease = await store.takeCrawl(1, { owner: 'one', leaseMs: 60_000, source: 'shop' });
  await store.updateCrawl(1, lease?.crawlId ?? '', {
    owner: 'one',
    leaseMs: 60_000,
    status,
    state: { zstd: '' },
    counts,
    ...(reason === undefined ? {} : { reason }),
    ...(problem === undefined ? {} : { problem }),
  });
}
