// Shops beyond what one page, one run or one stored state holds: all of them is crawled, or it is said that it is not.
import { expect, it } from 'vitest';
import { linkPage, productPage, simulateShop, sitemap } from './simulated-shop.ts';

const skusOf = (items: readonly { sku: string }[]) => new Set(items.map(({ sku }) => sku));
const paths = (count: number) => Array.from({ length: count }, (_, index) => `/p/${index}`);
const productOf = (path: string) => productPage(`SKU-${path.slice(3)}`);

it('large shop: 20,000 items on 1,000 pages are all published, once, and none vanishes', async () => {
  const { world, run } = simulateShop((path) => {
    if (path === '/robots.txt') return undefined;
    const number = path === '/' ? 0 : Number(path.slice(3));
    const skus = Array.from({ length: 20 }, (_, index) => `SKU-${number * 20 + index}`);
    const next = number < 999 ? `<link rel="next" href="/l/${number + 1}">` : '';
    return productPage(...skus) + next;
  });
  expect(await run()).toMatchObject({ kind: 'finished', reason: undefined });
  expect([world.items.length, skusOf(world.items).size, world.file.length]).toEqual([20_000, 20_000, 20_000]);
  expect(new Set(world.items.map(({ version }) => version)).size).toBe(20_000);
  expect(await run()).toMatchObject({
    kind: 'finished',
    reason: undefined,
    counts: { itemsPublished: 0, itemsSeen: 20_000, notModified: 1_000 },
  });
  expect(world.file).toHaveLength(20_000);
}, 120_000);

it('large shop: a sitemap of 6,000 pages is read whole, so that another order of it makes nothing vanish', async () => {
  const listed = paths(6_000);
  const { world, run } = simulateShop((path) => {
    if (path === '/robots.txt') return undefined;
    return path === '/' ? sitemap(listed) : productOf(path);
  });
  expect(await run()).toMatchObject({ kind: 'finished', reason: undefined });
  const before = skusOf(world.file);
  expect(before.size).toBe(6_000);
  listed.unshift(...listed.splice(3_000));
  expect(await run()).toMatchObject({ kind: 'finished', reason: undefined });
  expect(skusOf(world.file)).toEqual(before);
}, 120_000);

it('large shop: a page with more links than are read makes the crawl incomplete, unmodified and paused too', async () => {
  const listed = paths(5_010);
  let front = linkPage(listed);
  const { world, run } = simulateShop((path) => {
    if (path === '/robots.txt') return undefined;
    return path === '/' ? front : productOf(path);
  });
  const reason = 'more than 5000 links on one page; the rest is not read';
  expect(await run()).toMatchObject({ kind: 'finished', reason });
  expect(world.updates.at(-1)).toMatchObject({ status: 'finished', reason });
  expect(world.file).toHaveLength(5_000);
  front = linkPage(listed.toReversed());
  expect(await run()).toMatchObject({ kind: 'finished', reason });
  expect(world.file).toHaveLength(5_010); // Ten that were seen before, and are listed still.
  // The cut page is as it was, and its crawl goes on in another run.
  const asked = world.requests.length;
  world.depth = 6_000;
  expect(await run()).toMatchObject({ kind: 'paused' });
  world.depth = 0;
  expect(await run()).toMatchObject({ kind: 'finished', reason });
  expect(world.requests.length).toBeGreaterThan(asked);
  expect(world.file).toHaveLength(5_010);
}, 120_000);

it('large shop: the limit of pages, met before a pause, makes nothing vanish after it', async () => {
  const { world, run } = simulateShop((path) => {
    if (path === '/robots.txt') return undefined;
    if (path === '/p/4') world.depth = paused ? 6_000 : 0;
    return path === '/' ? linkPage(paths(20)) : productOf(path);
  });
  let paused = false;
  await run();
  expect(world.file).toHaveLength(20);
  world.source = { ...world.source, pagesMax: 10 };
  paused = true;
  expect(await run()).toMatchObject({ kind: 'paused' });
  world.depth = 0;
  expect(await run()).toMatchObject({ kind: 'finished', reason: 'the limit of 10 pages' });
  expect(world.file).toHaveLength(20);
});
