import { setTimeout as sleep } from 'node:timers/promises';
import { expect, test } from 'vitest';
import { batchBytesMax, packedStateLengthMax, type CrawlUpdate } from '../../../contracts/node-api.ts';
import type { Store } from '../../../nodes/store.ts';
import { lead, partner, shop, useDatabases, waitForBlocked } from './fresh-database.ts';

const databases = useDatabases();
const counts = { pages: 2, notModified: 1, failedPages: 0, itemsSeen: 20, itemsPublished: 5 };

test('a due crawl is handed to one of two workers that ask at once, with the first intake and no state', async () => {
  const { store } = await databases.fresh();
  await lead(store);
  const answers = await Promise.all([take(store, 'one'), take(store, 'two')]);
  const taken = answers.filter((answer) => answer !== undefined);
  expect(taken).toHaveLength(1);
  expect(taken[0]).toMatchObject({ intake: 1, state: null, resumed: false, source: { name: 'shop' } });
  expect(await take(store, 'three')).toBeUndefined();
});

test('a crawl whose worker died is taken up with its intake and its last state once the lease has ended', async () => {
  const { store, connect } = await databases.fresh();
  await lead(store);
  const first = await take(store, 'one');
  await store.updateCrawl(1, first?.crawlId ?? '', update('one', 'running', 'page 7'));
  expect(await take(store, 'two')).toBeUndefined();
  await (await connect()).query("UPDATE crawls SET lease_until = clock_timestamp() - interval '1 ms'");
  expect(await take(store, 'two')).toMatchObject({
    crawlId: first?.crawlId,
    intake: 1,
    resumed: true,
    state: { zstd: 'page 7' },
  });
  await expect(store.updateCrawl(1, first?.crawlId ?? '', update('one', 'running'))).rejects.toMatchObject({
    code: 'LEASE_LOST',
  });
  expect((await store.recentCrawls(1))[0]).toMatchObject({ status: 'running' });
});

// Taken away: the line that looks at the lease again once the crawl's row is locked.
const secondLook = 'IF open_crawl.lease_until >= clock_timestamp() THEN RETURN; END IF;';
test.each([
  ['is not taken by another that had found it abandoned', '', false],
  ['would be taken twice without the second look', secondLook, true],
] as const)('a crawl that goes on while it is being taken %s', async (_outcome, removed, isTaken) => {
  const { store, connect } = await databases.another();
  await lead(store);
  const crawl = await take(store, 'one');
  const [client, watcher] = [await connect(), await connect()];
  const { rows } = await client.query<{ definition: string }>(
    "SELECT pg_get_functiondef('take_crawl'::regproc) AS definition",
  );
  expect(rows[0]?.definition).toContain(secondLook);
  await client.query(rows[0]?.definition.replace(removed, '') ?? '');
  await client.query("UPDATE crawls SET lease_until = clock_timestamp() - interval '1 ms'");
  await client.query('BEGIN');
  await client.query("UPDATE crawls SET lease_until = clock_timestamp() + interval '1 minute'");
  const other = take(store, 'two');
  await waitForBlocked(watcher, 1); // It has seen the old lease, and waits for the row.
  await client.query('COMMIT');
  expect((await other)?.crawlId).toBe(isTaken ? crawl?.crawlId : undefined);
});

test('a lease ends by the clock of the database, without anybody giving it back', async () => {
  const { store } = await databases.fresh();
  await lead(store);
  await take(store, 'one', { leaseMs: 3_000 });
  expect(await take(store, 'two')).toBeUndefined();
  await sleep(3_050);
  // Nothing was stored by the first worker, so nothing of this crawl was published: it begins anew.
  expect(await take(store, 'two')).toMatchObject({ intake: 1, state: null, resumed: false });
});

test('a worker whose lease ended goes on as long as nobody else took the crawl', async () => {
  const { store, connect } = await databases.fresh();
  await lead(store);
  const crawl = await take(store, 'one');
  await (await connect()).query("UPDATE crawls SET lease_until = clock_timestamp() - interval '1 ms'");
  await store.updateCrawl(1, crawl?.crawlId ?? '', update('one', 'running', 'page 3'));
  expect(await take(store, 'two')).toBeUndefined();
});

test('a paused crawl is taken up at once with its frontier, and its counts add up', async () => {
  const { store } = await databases.fresh();
  await lead(store);
  const first = await take(store, 'one');
  const paused = update('one', 'paused', 'its frontier');
  await store.updateCrawl(1, first?.crawlId ?? '', paused);
  // Said again after a lost answer.
  await store.updateCrawl(1, first?.crawlId ?? '', paused);
  expect(await take(store, 'two')).toMatchObject({
    intake: 1,
    resumed: true,
    state: { zstd: 'its frontier' },
  });
  await store.updateCrawl(1, first?.crawlId ?? '', update('two', 'finished'));
  expect((await store.recentCrawls(1))[0]).toMatchObject({
    source: 'shop',
    intake: 1,
    status: 'finished',
    pages: 4,
    itemsSeen: 40,
    itemsPublished: 10,
  });
});

test('a lease is renewed without the state, which stays as it was, as do the counts', async () => {
  const { store, connect } = await databases.fresh();
  await lead(store);
  const crawl = await take(store, 'one');
  const crawlId = crawl?.crawlId ?? '';
  const renewal: CrawlUpdate = { owner: 'one', leaseMs: 60_000, status: 'running', counts };
  await store.updateCrawl(1, crawlId, renewal);
  const client = await connect();
  const end = () => client.query("UPDATE crawls SET lease_until = clock_timestamp() - interval '1 ms'");
  await end();
  // Nothing was stored yet, so it begins anew.
  expect(await take(store, 'one')).toMatchObject({ state: null, resumed: false });
  await store.updateCrawl(1, crawlId, update('one', 'running', 'page 7'));
  await end();
  await store.updateCrawl(1, crawlId, { ...renewal, counts: { ...counts, pages: 99 } });
  expect(await take(store, 'two')).toBeUndefined();
  expect((await store.recentCrawls(1))[0]).toMatchObject({ pages: 2 });
  await end();
  expect(await take(store, 'two')).toMatchObject({ resumed: true, state: { zstd: 'page 7' } });
  await expect(store.updateCrawl(1, crawlId, renewal)).rejects.toMatchObject({ code: 'LEASE_LOST' });
});

test('a crawl whose site asked for it is taken by nobody before, by name neither, and waits a day at most', async () => {
  const { store, connect } = await databases.fresh();
  await lead(store);
  const client = await connect();
  const first = await take(store, 'one');
  const reason = 'HTTP 429, come back in 1000000000 s';
  const waiting = { ...update('one', 'paused'), reason, waitMs: 1_000_000_000_000 };
  await store.updateCrawl(1, first?.crawlId ?? '', waiting);
  expect((await store.recentCrawls(1))[0]).toMatchObject({ status: 'paused', reason });
  const passes = (time: string) =>
    client.query('UPDATE crawls SET not_before = not_before - $1::interval', [time]);
  await passes('23:59');
  expect(await take(store, 'two')).toBeUndefined();
  expect(await take(store, 'two', { source: 'shop' })).toBeUndefined();
  await passes('00:01');
  expect(await take(store, 'two')).toMatchObject({ crawlId: first?.crawlId, resumed: true });
  expect((await store.recentCrawls(1))[0]).toMatchObject({ status: 'running', reason: null });
  // A pause of another kind waits for nothing.
  await store.updateCrawl(1, first?.crawlId ?? '', update('two', 'paused'));
  expect(await take(store, 'three')).toMatchObject({ resumed: true });
});

test('a finished crawl is due again after everySeconds, with the next intake and what it remembered', async () => {
  const { store } = await databases.fresh();
  await lead(store);
  await store.putSource(1, shop('shop', { everySeconds: 5 }));
  const first = await take(store, 'one');
  const finished = update('one', 'finished', 'its contents');
  await store.updateCrawl(1, first?.crawlId ?? '', finished);
  await store.updateCrawl(1, first?.crawlId ?? '', finished);
  expect(await take(store, 'two')).toBeUndefined();
  // Asked for by name it is crawled whether due or not.
  expect(await take(store, 'two', { source: 'shop' })).toMatchObject({
    intake: 2,
    resumed: false,
    state: { zstd: 'its contents' },
  });
});

test('partners and disabled shops are never crawled, not even by name', async () => {
  const { store } = await databases.fresh();
  await store.claim({ term: 1, holder: 'node-1/boot-1' });
  await store.putSource(1, partner('acme'));
  await store.putSource(1, shop('shut', { enabled: false }));
  expect(await take(store, 'one')).toBeUndefined();
  expect(await take(store, 'one', { source: 'acme' })).toBeUndefined();
  expect(await take(store, 'one', { source: 'shut' })).toBeUndefined();
});

test('a crawl that pauses again and again does not starve the other sources', async () => {
  const { store } = await databases.fresh();
  await lead(store);
  await store.putSource(1, shop('zoo'));
  const order: (string | undefined)[] = [];
  for (let round = 0; round < 4; round++) {
    const crawl = await take(store, 'one');
    order.push(crawl?.source.name);
    await store.updateCrawl(1, crawl?.crawlId ?? '', update('one', 'paused'));
  }
  expect(order).toEqual(['shop', 'zoo', 'shop', 'zoo']);
});

test('a state of any text and of the largest size is given back as it was stored', async () => {
  const { store } = await databases.fresh();
  await lead(store);
  const crawl = await take(store, 'one');
  const odd = `a\u0000b\ud800c${'x'.repeat(3_000_000)}`;
  await store.updateCrawl(1, crawl?.crawlId ?? '', update('one', 'paused', odd));
  expect((await take(store, 'one'))?.state).toEqual({ zstd: odd });
  const largest = { zstd: 'x'.repeat(packedStateLengthMax) };
  await store.updateCrawl(1, crawl?.crawlId ?? '', { ...update('one', 'paused'), state: largest });
  const taken = await take(store, 'one');
  expect(taken?.state).toEqual(largest);
  // It fits into a request and into an answer, with what stands beside it.
  expect(JSON.stringify(taken).length).toBeLessThan(batchBytesMax - 500_000);
});

test('changed settings of a source reach the next crawl, and its intakes go on', async () => {
  const { store } = await databases.fresh();
  await lead(store);
  const first = await take(store, 'one');
  await store.updateCrawl(1, first?.crawlId ?? '', update('one', 'finished'));
  await store.putSource(1, shop('shop', { pagesMax: 3 }));
  expect(await take(store, 'two', { source: 'shop' })).toMatchObject({ intake: 2, source: { pagesMax: 3 } });
  expect(await store.sources()).toEqual([shop('shop', { pagesMax: 3 })]);
});

test('a lease is held by one owner, who may renew it, until it ends or is given back', async () => {
  const { store } = await databases.fresh();
  await lead(store);
  const lease = (owner: string, leaseMs: number) => store.takeLease(1, { name: 'ftp-sync', owner, leaseMs });
  const [one, two] = await Promise.allSettled([lease('one', 60_000), lease('two', 60_000)]);
  expect([one.status, two.status].sort()).toEqual(['fulfilled', 'rejected']);
  const [owner, other] = one.status === 'fulfilled' ? ['one', 'two'] : ['two', 'one'];
  await expect(lease(other, 60_000)).rejects.toMatchObject({ code: 'LEASE_HELD' });
  const { expiresAt } = await lease(owner, 120_000);
  expect(Date.parse(expiresAt) - Date.now()).toBeGreaterThan(100_000);
  // Who never had it gives nothing back, and takes nothing away.
  await lease(other, 0);
  await expect(lease(other, 60_000)).rejects.toMatchObject({ code: 'LEASE_HELD' });
  await lease(owner, 0);
  await lease(other, 60_000);
});

function take(store: Store, owner: string, request: { leaseMs?: number; source?: string } = {}) {
  return store.takeCrawl(1, { owner, leaseMs: 60_000, ...request });
}
function update(owner: string, status: CrawlUpdate['status'], zstd = ''): CrawlUpdate {
  return {
    owner,
    leaseMs: 60_000,
    status,
    counts,
    state: { zstd },
  };
}
