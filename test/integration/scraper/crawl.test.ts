// Whole crawls of the real demo shop over HTTP. The leader and the broker stand in this process: they keep what
// the contracts say they keep, and refuse what breaks a contract's schema.
import { createHash } from 'node:crypto';
import { afterEach, expect, it } from 'vitest';
import { itemPageSchema, type ItemPage } from '../../../contracts/item-page.ts';
import { itemSchema, type Item } from '../../../contracts/item.ts';
import {
  crawlUpdateSchema,
  routes,
  type CrawlUpdate,
  type PackedCrawlState,
} from '../../../contracts/node-api.ts';
import { fileCommandSchema } from '../../../contracts/file-command.ts';
import { shopSourceSchema, type ShopSource } from '../../../contracts/source.ts';
import { parseEventLine, createLogger } from '../../../runtime/logger.ts';
import { Failure } from '../../../runtime/failure.ts';
import { crawlNext, type CrawlPorts } from '../../../functions/scraper/crawl.ts';
import { createPageFetcher, fetchLimitsDefault } from '../../../functions/scraper/fetch-page.ts';
import { startDemoShop, type DemoShop } from '../../../emulator/services/demo-shop/demo-shop.ts';
import { demoSources } from '../../../emulator/services/demo-shop/sources.ts';

const closers: (() => Promise<void>)[] = [];
afterEach(async () => {
  for (const close of closers.splice(0).toReversed()) await close();
});

async function setUp(
  change: Partial<ShopSource> = {},
  { headersMs, ...shopOptions }: { crawlDelaySeconds?: number; headersMs?: number } = {},
) {
  const shop: DemoShop = await startDemoShop({
    host: '127.0.0.1',
    port: 0,
    seed: 7,
    driftEveryMs: 0,
    ...shopOptions,
  });
  const source = shopSourceSchema.parse({ ...demoSources(shop.address)[0], requestEveryMs: 0, ...change });
  const fetcher = createPageFetcher({
    privateHosts: [`127.0.0.1:${shop.port}`],
    limits: { ...fetchLimitsDefault, ...(headersMs === undefined ? {} : { headersMs }) },
  });
  closers.push(
    () => shop.close(),
    () => fetcher.close(),
  );

  const world = {
    source,
    state: null as PackedCrawlState | null,
    status: 'finished' as CrawlUpdate['status'],
    intake: 0,
    updates: [] as CrawlUpdate[],
    pages: [] as ItemPage[],
    messageIds: [] as string[],
    commands: [] as unknown[],
    file: undefined as { name: string; items: Item[] } | undefined,
    depth: 0,
    /** Called before a message is taken; may throw. */
    onPublish: () => undefined as void,
    onSave: () => undefined as void,
    reported: [] as string[],
    logs: [] as string[],
  };
  const ports: CrawlPorts = {
    fetcher,
    logger: createLogger({ process: 'test', write: (line) => void world.logs.push(line) }),
    deposit: ({ name, bytes }) => {
      const lines = bytes.toString('utf8').split('\n').filter(Boolean);
      world.file = { name, items: lines.map((line) => itemSchema.parse(JSON.parse(line))) };
      return Promise.resolve();
    },
    broker: {
      depth: () => Promise.resolve(world.depth),
      publish: async (message) => {
        await Promise.resolve(world.onPublish());
        if (message.type === 'file-command') {
          world.commands.push(fileCommandSchema.parse(JSON.parse(String(message.body))));
          return;
        }
        expect(message.exchange).toBe('baton');
        expect(message.routingKey).toBe('items.demo-shop');
        world.pages.push(itemPageSchema.parse(JSON.parse(String(message.body))));
        world.messageIds.push(message.messageId);
      },
    },
    leader: {
      call: async (what) => {
        await Promise.resolve();
        if (what.path === routes.crawls) {
          const resumed = world.status !== 'finished';
          if (!resumed) world.intake++;
          world.status = 'running';
          const json = {
            crawlId: crypto.randomUUID(),
            source: world.source,
            intake: world.intake,
            state: structuredClone(world.state),
            resumed,
          };
          return { status: 200, term: 1, json };
        }
        if (what.path === routes.events) {
          for (const event of (what.json as { events: { type: string }[] }).events)
            world.reported.push(event.type);
          return { status: 204, term: 1, json: undefined };
        }
        world.onSave();
        const update = crawlUpdateSchema.parse(structuredClone(what.json));
        world.updates.push(update);
        if (update.state) world.state = update.state;
        world.status = update.status;
        return { status: 204, term: 1, json: undefined };
      },
    },
  };
  const run = (budgetMs = 30_000) =>
    crawlNext(ports, { owner: 'scraper/test', deadline: performance.now() + budgetMs });
  const delivered = () => latest(world.pages);
  return { shop, world, run, ports, delivered };
}

/** What a database would hold after these messages: the newest version by sku; a version never has two contents. */
function latest(pages: readonly ItemPage[]): Map<string, Item> {
  const byVersion = new Map<number, string>();
  const items = new Map<string, Item>();
  for (const item of pages.flatMap((page) => page.items.map((entry) => itemSchema.parse(entry)))) {
    const written = JSON.stringify(item);
    expect(byVersion.get(item.version) ?? written, `version ${item.version} is used twice`).toBe(written);
    byVersion.set(item.version, written);
    const known = items.get(item.sku);
    if (!known || known.version < item.version) items.set(item.sku, item);
  }
  return items;
}

it('crawl: every product of the shop arrives once with its price and stock, and the crawl file says the same', async () => {
  const { shop, world, run, delivered } = await setUp();
  expect(await run()).toMatchObject({
    kind: 'finished',
    counts: { itemsSeen: 61, itemsPublished: 61, failedPages: 1 },
  });
  const items = delivered();
  for (const product of shop.state().products.values()) {
    const item = items.get(product.sku);
    expect(item).toMatchObject({
      sku: product.sku,
      title: product.name,
      price: product.price / 100,
      currency: 'GBP',
      inStock: product.stock > 0,
      url: `${shop.address}/p/${product.sku}`,
      // Its microdata states availability alone.
      stock: /^(?:CUP|CLO)/.test(product.sku) ? null : product.stock,
    });
  }
  expect(items.get('CHA-WOBBLY')).toMatchObject({ price: 12.5, currency: 'GBP' });
  expect(world.file?.name).toBe('demo-shop_crawl-1.ndjson');
  expect(new Map(world.file?.items.map((item) => [item.sku, item]))).toEqual(items);
  expect(world.commands).toMatchObject([{ kind: 'deposited', name: 'demo-shop_crawl-1.ndjson' }]);
  // Message ids from the contract's words, not from the code that makes them.
  expect(world.messageIds).toEqual(
    world.pages.map(({ page }) => createHash('sha256').update(`demo-shop\n1\n${page}`).digest('hex')),
  );
  expect(shop.requests().some(({ path }) => path.startsWith('/checkout'))).toBe(false);
  expect(world.logs.map(parseEventLine).find((event) => event?.type === 'page.failed')).toMatchObject({
    url: `${shop.address}/p/broken`,
    reason: 'HTTP 500',
  });
  expect(world.reported).toEqual(['page.failed', 'crawl.changed']);
  expect(world.logs.map(parseEventLine).at(-1)).toMatchObject({ type: 'crawl.changed', status: 'finished' });
  expect(world.logs.some((line) => line.includes('JSON-LD script 1 is broken and skipped'))).toBe(true);
});

it('crawl: a second one publishes what changed alone, keeps old versions, and what vanished leaves the file', async () => {
  const { shop, world, run } = await setUp();
  await run();
  const before = new Map(world.file?.items.map((item) => [item.sku, item]));
  world.pages.length = 0;
  shop.setPrice('LAM-003', 123);
  shop.setPrice('CUP-002', 456);
  shop.setPrice('BOO-001', 789);
  shop.setListed('PLA-010', false);
  const outcome = await run();
  expect(outcome).toMatchObject({ counts: { itemsPublished: 3, itemsSeen: 60 } });
  expect(outcome.kind === 'idle' ? 0 : outcome.counts.notModified).toBeGreaterThan(20);
  expect(Object.fromEntries([...latest(world.pages)].map(([sku, { price }]) => [sku, price]))).toEqual({
    'BOO-001': 7.89,
    'CUP-002': 4.56,
    'LAM-003': 1.23,
  });
  const after = new Map(world.file?.items.map((item) => [item.sku, item]));
  expect(after.has('PLA-010')).toBe(false);
  expect(after.get('PLA-001')).toEqual(before.get('PLA-001'));
  expect(after.get('LAM-003')?.version).toBeGreaterThanOrEqual(2 * 2 ** 24);
  // It comes back as news.
  world.pages.length = 0;
  shop.setListed('PLA-010', true);
  await run();
  expect([...latest(world.pages).keys()]).toEqual(['PLA-010']);
});

it('crawl: above the queue’s depth the frontier is stored and the next run goes on from there', async () => {
  const { shop, world, run, delivered } = await setUp();
  let taken = 0;
  world.onPublish = () => {
    if (++taken === 5) world.depth = 5_001;
  };
  expect(await run()).toMatchObject({
    kind: 'paused',
    reason: expect.stringContaining('5001 messages wait') as string,
  });
  expect(world.updates.at(-1)).toMatchObject({ status: 'paused' });
  expect(world.pages).toHaveLength(5);
  world.depth = 0;
  expect(await run()).toMatchObject({ kind: 'finished', intake: 1 });
  expect(delivered().size).toBe(61);
  const listings = shop.requests().filter(({ path }) => path === '/c/lamps');
  expect(listings).toHaveLength(1);
});

it('crawl: a worker that dies between two saves is followed by one that uses none of its versions again', async () => {
  const { shop, world, run, ports, delivered } = await setUp();
  let taken = 0;
  world.onPublish = () => {
    if (++taken > 6) throw new Error('killed');
  };
  // Nothing reaches the leader any more: as after kill -9, the first save is all there is.
  world.onSave = () => {
    if (taken > 0) throw new Failure('NO_LEADER', 'cut off');
  };
  expect(await crawlNext(ports, { owner: 'a', deadline: performance.now() + 10_500 })).toMatchObject({
    kind: 'lost',
  });
  expect(world.pages).toHaveLength(6);
  world.onPublish = () => undefined;
  world.onSave = () => undefined;
  // The shop has moved on, so the same pages now carry other contents.
  for (const sku of shop.state().products.keys()) shop.setPrice(sku, 4_242);
  expect(await run()).toMatchObject({ kind: 'finished', intake: 1 });
  const items = delivered();
  expect(
    [...items.values()].filter(({ sku }) => sku !== 'CHA-WOBBLY').every(({ price }) => price === 42.42),
  ).toBe(true);
  expect(new Set(world.messageIds).size).toBe(world.messageIds.length);
});

it('crawl: pages that fail, hang, are huge, endless or no HTML are counted, and their items do not vanish', async () => {
  const { shop, world, run } = await setUp({}, { headersMs: 2_000 });
  await run();
  shop.fault('/c/cups?page=2', 'hang');
  shop.fault('/c/clocks', 'huge');
  shop.fault('/c/books', 'not-html');
  shop.fault('/c/plants', 'endless');
  shop.fault('/p/LAM-001', 'error');
  const outcome = await run();
  expect(outcome).toMatchObject({ kind: 'finished', counts: { itemsPublished: 0, itemsSeen: 61 } });
  expect(world.file?.items).toHaveLength(61);
  const reasons = world.logs
    .map(parseEventLine)
    .flatMap((event) => (event?.type === 'page.failed' ? [event.reason] : []));
  for (const reason of [
    /no whole answer|timeout/i,
    /20971520 bytes announced/,
    /not HTML: application\/pdf/,
    /larger than/,
    /HTTP 500/,
  ])
    expect(reasons).toContainEqual(expect.stringMatching(reason));
});

it('crawl: a shop that is away changes nothing, and is not asked for every page', async () => {
  const { shop, world, run } = await setUp();
  await run();
  await shop.close();
  const outcome = await run();
  expect(outcome).toMatchObject({ kind: 'finished', counts: { pages: 0, itemsPublished: 0, itemsSeen: 61 } });
  expect(world.file?.items).toHaveLength(61);
});

it('crawl: a shop that was never reached deposits no file, which would make all vanish', async () => {
  const { shop, world, run } = await setUp();
  await shop.close();
  expect(await run()).toMatchObject({ kind: 'finished', counts: { itemsSeen: 0 } });
  expect(world.file).toBeUndefined();
});

it('crawl: 429 with Retry-After is waited for and the page is read then', async () => {
  const { shop, world, run } = await setUp({ startUrls: ['http://127.0.0.1/'] });
  world.source = { ...world.source, startUrls: [`${shop.address}/c/books`] };
  shop.fault('/c/books', 'rate-limit', 1);
  expect(await run()).toMatchObject({ kind: 'finished', counts: { itemsSeen: 10, failedPages: 0 } });
  const [first, second] = shop.requests().filter(({ path }) => path === '/c/books');
  expect(first?.status).toBe(429);
  expect((second?.at ?? 0) - (first?.at ?? 0)).toBeGreaterThan(990);
});

it('crawl: a wrong charset is read as what it is', async () => {
  const { shop, world, run, delivered } = await setUp();
  world.source = { ...world.source, startUrls: [`${shop.address}/c/books`] };
  shop.fault('/c/books', 'wrong-charset');
  await run();
  expect(delivered().get('CAFE-1')).toMatchObject({ title: 'Café crème', price: 3.2, currency: 'GBP' });
});

it('crawl: robots.txt’s delay is kept between requests, and what it forbids is not asked for', async () => {
  const { shop, world, run } = await setUp({}, { crawlDelaySeconds: 0.2 });
  world.source = { ...world.source, startUrls: [`${shop.address}/c/books`, `${shop.address}/checkout`] };
  expect(await run()).toMatchObject({ counts: { pages: 2, failedPages: 1 } });
  const asked = shop.requests().filter(({ path }) => path !== '/robots.txt');
  expect(asked.map(({ path }) => path)).toEqual(['/c/books', '/c/books?page=2']);
  expect((asked[1]?.at ?? 0) - (asked[0]?.at ?? 0)).toBeGreaterThan(190);
});

it('crawl: a broker that refuses pauses it with the page kept; the same try carries the same message id', async () => {
  const { world, run, delivered } = await setUp();
  let refusals = 3;
  world.onPublish = () => {
    if (refusals-- > 0) throw new Error('queue is full');
  };
  expect(await run()).toMatchObject({
    kind: 'paused',
    reason: expect.stringContaining('queue is full') as string,
  });
  expect(await run()).toMatchObject({ kind: 'finished' });
  expect(delivered().size).toBe(61);
});

it('crawl: a lost lease ends it at once', async () => {
  const { world, run } = await setUp();
  world.onSave = () => {
    throw new Failure('LEASE_LOST', 'another worker has it');
  };
  expect(await run()).toMatchObject({ kind: 'lost', reason: 'another worker has it' });
  expect(world.pages).toHaveLength(0);
  expect(world.logs.map(parseEventLine).at(-1)).toMatchObject({ type: 'crawl.changed', status: 'lost' });
});

it('crawl: the limit of pages makes nothing vanish', async () => {
  const { world, run } = await setUp();
  await run();
  world.source = { ...world.source, pagesMax: 5 };
  expect(await run()).toMatchObject({ kind: 'finished', reason: 'the limit of 5 pages' });
  expect(world.file?.items).toHaveLength(61);
});
