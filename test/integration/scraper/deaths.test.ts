// A worker that ends without a word: what it deposited is deposited again as it was, and the page that ended it is given up.
import { expect, it } from 'vitest';
import { CrawlProgress } from '../../../functions/scraper/crawl-progress.ts';
import { packState } from '../../../functions/scraper/pack-state.ts';
import { Failure } from '../../../runtime/failure.ts';
import { entries, lead, shop, traceparent, useDatabases } from '../database/fresh-database.ts';
import { linkPage, productPage, simulateShop } from './simulated-shop.ts';

const databases = useDatabases();

/** Stands for the end of the process: nothing of the run comes any more. */
class Death extends Error {
  constructor() {
    super('death');
  }
}

it('deaths: a page that ends its worker is given up after three, and the others are read', async () => {
  const { world, run } = simulateShop((path) => {
    if (path === '/p/2') throw new Death();
    if (path === '/robots.txt') return undefined;
    return path === '/' ? linkPage(['/p/1', '/p/2', '/p/3']) : productPage(path);
  });
  const ends: string[] = [];
  const end = () =>
    run().then(
      ({ kind }) => kind,
      (error: unknown) => (error as Error).message,
    );
  while (ends.at(-1) !== 'finished' && ends.length < 10) ends.push(await end());
  // At the first one nobody knew yet where it was.
  expect(ends).toEqual(['death', 'death', 'death', 'death', 'finished']);
  expect(world.updates.at(-1)).toMatchObject({ status: 'finished', counts: { failedPages: 1 } });
  expect(world.intake).toBe(1);
  expect(world.file.map(({ sku }) => sku)).toEqual(['/p/1', '/p/3']);
  // The next crawl asks for it again.
  await expect(run()).rejects.toThrow(Death);
});

it('deaths: between the deposit and its note the same file is deposited again, whatever the shop shows meanwhile', async () => {
  let missed = false;
  const { world, run } = simulateShop((path) => {
    if (path === '/robots.txt') return undefined;
    if (path === '/') return linkPage(['/p/1', '/p/2']);
    if (path === '/p/2') return productPage('C');
    return missed ? productPage('A') : productPage('A', 'B');
  });
  const skus = () => world.file.map(({ sku }) => sku);
  await run();
  expect(skus()).toEqual(['A', 'B', 'C']);
  missed = true;
  world.atUpdate = ({ status }) => {
    if (status === 'finished') throw new Death();
  };
  await expect(run()).rejects.toThrow(Death);
  expect(skus()).toEqual(['A', 'C']);
  missed = false;
  world.atUpdate = () => undefined;
  const requests = world.requests.length;
  expect(await run()).toMatchObject({ kind: 'finished', intake: 2 });
  expect(skus()).toEqual(['A', 'C']);
  expect(world.requests).toHaveLength(requests);
  expect(await run()).toMatchObject({ kind: 'finished', intake: 3, counts: { itemsPublished: 1 } });
  expect(skus()).toEqual(['A', 'B', 'C']);
});

const asInShop = { A: 12.5, B: 12.5 };
// Nobody has read the page of NEW since: what was stored of it stays, and a message that is late says nothing any more.
it.each([
  { order: 'before', between: { ...asInShop, A: 9, NEW: 12.5 }, end: { ...asInShop, NEW: 12.5 } },
  { order: 'after', between: asInShop, end: asInShop },
])(
  'deaths: a price that is taken back after one stands as it is in the shop, the messages coming $order the crawl file',
  async ({ order, between, end }) => {
    const { store, connect } = await databases.fresh();
    await lead(store);
    await store.putSource(1, shop('shop', { pagesMax: 100 }));
    let price = '12.50';
    let dies = false;
    const { world, run } = simulateShop(
      (path) => {
        if (path === '/') return linkPage(['/p/1', '/p/2', '/p/3']);
        if (path === '/p/1') return productPage('A').replace('12.50', price);
        if (path === '/p/2')
          return dies ? productPage('NEW') : { kind: 'failed', reason: 'HTTP 500', unreachable: false };
        if (path === '/p/3' && dies) throw new Death();
        return path === '/robots.txt' ? undefined : productPage('B');
      },
      {},
      store,
    );
    const deliver = async () => {
      await store.writeBatch(1, entries(...world.items.splice(0)));
    };
    const applyFile = async (intake: number) => {
      const opened = await store.openFile(1, {
        name: `shop_crawl-${intake}.ndjson`,
        size: intake,
        modifiedAt: '2026-01-01T00:00:00.000Z',
        traceparent,
      });
      const upload = crypto.randomUUID();
      await store.stageRows(
        upload,
        world.file.map((item, index) => ({ row: index + 1, item })),
      );
      const rows = world.file.length;
      const { fileId } = opened;
      return await store.applyUpload(1, {
        fileId,
        upload,
        sha256: 'f'.repeat(64),
        rows,
        invalid: 0,
        problems: [],
      });
    };
    const standing = async () =>
      Object.fromEntries(
        (await store.items({ limit: 9 })).map((item) => [item.sku, item.vanished ? null : item.price]),
      );

    await run();
    await deliver();
    await applyFile(1);
    const client = await connect();
    const due = 'UPDATE sources SET next_crawl_at = clock_timestamp()';
    await client.query(due);
    price = '9.00';
    dies = true;
    await expect(run()).rejects.toThrow(Death);
    if (order === 'before') await deliver();
    expect(await standing()).toEqual(between);
    await client.query('UPDATE crawls SET lease_until = NULL');
    price = '12.50';
    dies = false;
    expect(await run()).toMatchObject({ kind: 'finished', intake: 2, counts: { itemsPublished: 0 } });
    await applyFile(2);
    await deliver();
    expect(await standing()).toEqual(end);
  },
);

it('deaths: a worker whose lease was lost deposits nothing', async () => {
  const { world, run } = simulateShop((path) => (path === '/robots.txt' ? undefined : productPage('A')));
  let updates = 0;
  world.atUpdate = () => {
    if (++updates > 1) throw new Failure('LEASE_LOST', 'another has it');
  };
  expect(await run()).toMatchObject({ kind: 'lost' });
  expect(world.file).toEqual([]);
});

it('deaths: with its ordinals used up by them a crawl ends and says that it is not whole', async () => {
  const { world, run } = simulateShop((path) => (path === '/robots.txt' ? undefined : productPage('A')));
  const progress = new CrawlProgress({
    crawlId: crypto.randomUUID(),
    source: world.source,
    intake: 1,
    state: null,
    resumed: false,
  });
  // What each death leaves behind: more ordinals reserved, none used.
  const { sent } = await packState({ ...progress.running(), nextOrdinal: 2 ** 24 - 1 });
  Object.assign(world, { state: sent, status: 'running', intake: 1 });
  expect(await run()).toMatchObject({
    kind: 'finished',
    intake: 1,
    reason: expect.stringContaining('versions'),
  });
  expect(world.requests).toEqual([]);
  expect(await run()).toMatchObject({ kind: 'finished', intake: 2, counts: { itemsPublished: 1 } });
});
