// What a site asks to be left alone for is kept, by the run that heard it and by those after it.
import { createServer } from 'node:http';
import type { AddressInfo } from 'node:net';
import { afterEach, expect, it, vi } from 'vitest';
import type { Deposit } from '../../../functions/scraper/deposit.ts';
import { createPageFetcher, type Fetched } from '../../../functions/scraper/fetch-page.ts';
import { createPoliteSite } from '../../../functions/scraper/polite-site.ts';
import { pause } from '../../../runtime/waiting.ts';
import { lead, shop, useDatabases } from '../database/fresh-database.ts';
import { linkPage, productPage, shopOrigin, simulateShop } from './simulated-shop.ts';

const databases = useDatabases();
afterEach(() => void vi.useRealTimers());
const robots = (delayS: number): Fetched => ({
  kind: 'page',
  url: `${shopOrigin}/robots.txt`,
  body: `User-agent: *\nCrawl-delay: ${delayS}\n`,
  note: undefined,
  validators: { etag: null, lastModified: null },
});
const sentAway = (seconds: number) =>
  ({ kind: 'wait', afterMs: seconds * 1_000, reason: 'HTTP 429' }) as const;

it.each(['/', '/robots.txt'])(
  'wait: after a 429 for an hour at %s no run asks again before that, however often it is called',
  async (busy) => {
    const { store, connect } = await databases.fresh();
    await lead(store);
    await store.putSource(1, shop('shop', { pagesMax: 100 }));
    let isBusy = true;
    const { world, run } = simulateShop(
      (path) => {
        if (path === busy && isBusy) return sentAway(3_600);
        return path === '/robots.txt' ? undefined : productPage('A');
      },
      {},
      store,
    );
    expect(await run()).toMatchObject({ kind: 'paused', reason: 'HTTP 429, come back in 3600 s' });
    const asked = world.requests.length;
    expect((await store.recentCrawls(1))[0]).toMatchObject({ reason: 'HTTP 429, come back in 3600 s' });
    for (let minute = 0; minute < 5; minute++) expect(await run()).toEqual({ kind: 'idle' });
    // By name neither.
    expect(await store.takeCrawl(1, { owner: 'other', leaseMs: 60_000, source: 'shop' })).toBeUndefined();
    const client = await connect();
    const later = (minutes: number) =>
      client.query("UPDATE crawls SET not_before = not_before - $1 * interval '1 minute'", [minutes]);
    await later(59);
    expect(await run()).toEqual({ kind: 'idle' });
    expect(world.requests).toHaveLength(asked);
    await later(1);
    isBusy = false;
    expect(await run()).toMatchObject({ kind: 'finished', intake: 1, counts: { itemsPublished: 1 } });
  },
);

it('wait: a page that sends us away each time is given up, and the others are read', async () => {
  const { world, run } = simulateShop((path) => {
    if (path === '/robots.txt') return undefined;
    if (path === '/p/1') return sentAway(3_600);
    return path === '/' ? linkPage(['/p/1', '/p/2']) : productPage('B');
  });
  const outcomes: string[] = [];
  for (let hour = 0; hour < 6 && outcomes.at(-1) !== 'finished'; hour++) outcomes.push((await run()).kind);
  // Once more than it was waited for, since the site wants to be left alone after the last time, too.
  expect(outcomes).toEqual(['paused', 'paused', 'paused', 'paused', 'finished']);
  expect(world.file.map(({ sku }) => sku)).toEqual(['B']);
});

it('wait: a site that answers 429 and names no time is left alone for minutes, not asked for page after page', async () => {
  vi.useFakeTimers({
    toFake: ['setTimeout', 'clearTimeout', 'setInterval', 'clearInterval', 'Date', 'performance'],
  });
  const pages = Array.from({ length: 100 }, (_, index) => `/p/${index}`);
  const { world, run } = simulateShop((path) => {
    if (path === '/robots.txt') return undefined;
    return path === '/' ? linkPage(pages) : sentAway(5);
  });
  expect(await inFakeTime(run(300_000))).toMatchObject({
    kind: 'paused',
    reason: 'HTTP 429, come back in 5 s, said 3 times',
    waitMs: 300_000,
  });
  expect(world.updates.at(-1)).toMatchObject({ status: 'paused', waitMs: 300_000 });
  expect(world.requests.filter(({ path }) => path.startsWith('/p/'))).toHaveLength(3);
});

it('wait: with a Crawl-delay of 60 s a crawl keeps its lease from page to page, and its pace', async () => {
  vi.useFakeTimers({
    toFake: ['setTimeout', 'clearTimeout', 'setInterval', 'clearInterval', 'Date', 'performance'],
  });
  const { world, run } = simulateShop((path) => {
    if (path === '/robots.txt') return robots(60);
    return path === '/' ? linkPage(['/p/1', '/p/2', '/p/3']) : productPage(`SKU-${path}`);
  });
  const outcome = await inFakeTime(run(300_000));
  expect(outcome).toMatchObject({ kind: 'finished', counts: { itemsSeen: 3 } });
  const pages = world.requests.filter(({ path }) => path !== '/robots.txt');
  expect(pages.slice(1).every(({ at }, index) => at - (pages[index]?.at ?? 0) >= 60_000)).toBe(true);
  const renewals = world.updates.map(({ at }) => at);
  const gaps = renewals.slice(1).map((at, index) => at - (renewals[index] ?? 0));
  expect(Math.max(...gaps)).toBeLessThan(30_000);
});

it('wait: a run that ends between two pages says how long the site’s delay goes on', async () => {
  vi.useFakeTimers({
    toFake: ['setTimeout', 'clearTimeout', 'setInterval', 'clearInterval', 'Date', 'performance'],
  });
  const { world, run } = simulateShop((path) => {
    if (path === '/robots.txt') return robots(60);
    return path === '/' ? linkPage(['/p/1', '/p/2', '/p/3']) : productPage(`SKU-${path}`);
  });
  const outcome = await inFakeTime(run(100_000));
  expect(outcome.kind).toBe('paused');
  const { waitMs = 0 } = world.updates.at(-1) ?? {};
  expect(waitMs).toBeGreaterThan(50_000);
  expect(waitMs).toBeLessThanOrEqual(60_000);
});

it('wait: a request that outlasts the run is cut off by its end, and counts neither as a failed page nor as a silent host', async () => {
  const server = createServer(() => undefined);
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve));
  const host = `127.0.0.1:${(server.address() as AddressInfo).port}`;
  const fetcher = createPageFetcher({ privateHosts: [host] });
  const startedAt = performance.now();
  const site = createPoliteSite({ fetcher, requestEveryMs: 0, deadline: startedAt + 500 });
  expect(await site.visit({ url: `http://${host}/`, validators: undefined })).toMatchObject({
    kind: 'postponed',
    reason: expect.stringContaining('the time of this run is over'),
  });
  expect(performance.now() - startedAt).toBeLessThan(3_000);
  await fetcher.close();
  server.closeAllConnections();
  server.close();
});

it.each(['broker', 'FTP server'])(
  'wait: with a %s that hangs at the end of the run, the crawl is paused and given back in time',
  async (hangs) => {
    vi.useFakeTimers({
      toFake: ['setTimeout', 'clearTimeout', 'setInterval', 'clearInterval', 'Date', 'performance'],
    });
    const { world, run, ports } = simulateShop((path) => {
      if (path === '/robots.txt') return robots(1);
      return path === '/' ? linkPage(['/p/1', '/p/2', '/p/3']) : productPage(`SKU-${path}`);
    });
    const hang = async (ms: number): Promise<void> => {
      await pause(ms);
      throw new Error('no answer');
    };
    Object.assign(
      ports,
      hangs === 'broker'
        ? {
            broker: {
              ...ports.broker,
              publish: (_message: unknown, { timeoutMs = 10_000 } = {}) => hang(timeoutMs),
            },
          }
        : { deposit: ({ deadline }: Deposit) => hang(deadline - performance.now()) },
    );
    const end = performance.now() + 22_000;
    expect(await inFakeTime(run(22_000))).toMatchObject({
      kind: 'paused',
      reason: expect.stringContaining('no answer'),
    });
    expect(world.updates.at(-1)).toMatchObject({ status: 'paused' });
    expect(world.updates.at(-1)?.at).toBeLessThan(end - 1_000);
  },
);

/** As it was before any test wound the clock on. */
const realTimeout = setTimeout;

/** Lets what really takes time (the compression of the state, on a busy machine) end between two steps of the clock. */
async function inFakeTime<T>(running: Promise<T>): Promise<T> {
  const end = running.then(() => 'ended');
  const step = async () => {
    await vi.advanceTimersByTimeAsync(250);
    await new Promise((resolve) => realTimeout(resolve, 3));
    return await Promise.race([end, Promise.resolve('goes on')]);
  };
  while ((await step()) !== 'ended');
  return await running;
}
