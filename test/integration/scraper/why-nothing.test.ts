// What a crawl says of the pages that brought nothing, and what it makes of a shop that looks different from one day to the next.
import { expect, it } from 'vitest';
import type { Fetched } from '../../../functions/scraper/fetch-page.ts';
import { linkPage, productPage, shopOrigin, simulateShop } from './simulated-shop.ts';

const start = `${shopOrigin}/`;
const robots = (body: string): Fetched => ({
  kind: 'page',
  url: `${shopOrigin}/robots.txt`,
  body,
  note: undefined,
  validators: { etag: null, lastModified: null },
});

it.each([
  ['refuses us', { kind: 'failed', reason: 'HTTP 403', unreachable: false } as const, 'HTTP 403'],
  ['is gone', undefined, 'HTTP 404'],
  ['shows nothing', '<p>Verify that you are human', 'it shows no item, and no link that is followed'],
])('why nothing: a shop that %s is told with the page', async (_, answer, why) => {
  const { world, run } = simulateShop((path) => (path === '/robots.txt' ? undefined : answer));
  expect(await run()).toMatchObject({ kind: 'finished', reason: undefined });
  expect(world.updates.at(-1)).toMatchObject({ status: 'finished', problem: `${start}: ${why}` });
});

it('why nothing: a shop whose robots.txt forbids it says so', async () => {
  const { world, run } = simulateShop(() => robots('User-agent: *\nDisallow: /'));
  await run();
  expect(world.updates.at(-1)?.problem).toBe(`${start}: robots.txt forbids it to BatonBot`);
});

it('why nothing: of a shop that brings items the first failed page is told, not those that lead nowhere', async () => {
  let isBroken = false;
  const { world, run } = simulateShop((path) => {
    if (path === '/') return linkPage(['/about', '/p/1', '/p/2']);
    if (path === '/p/2' && isBroken) return { kind: 'failed', reason: 'HTTP 500', unreachable: false };
    return path === '/about' ? '<p>About us' : path === '/robots.txt' ? undefined : productPage(path);
  });
  await run();
  expect(world.updates.at(-1)?.problem).toBeUndefined();
  isBroken = true;
  await run();
  expect(world.updates.at(-1)).toMatchObject({
    problem: `${shopOrigin}/p/2: HTTP 500`,
    counts: { failedPages: 1, itemsSeen: 2 },
  });
});

const selectors = { item: 'li', sku: '@data-sku', title: 'b', price: '.price', url: 'a@href' };
const listing = (skus: readonly string[], { price = 'price', sku = 'sku' } = {}): string =>
  `<ul>${skus.map((name) => `<li data-${sku}="${name}"><b>The ${name}</b><a href="/p/${name}"></a><i class="${price}">9.50 €</i>`).join('')}</ul>`;

it.each([
  ['price', { price: 'preis' }, '.price'],
  ['sku', { sku: 'nummer' }, '@data-sku'],
])(
  'selectors: a page whose items all lost their %s is not believed, and what is known stays',
  async (name, change, selector) => {
    let page = listing(['A', 'B', 'C']);
    const { world, run } = simulateShop((path) => (path === '/' ? page : undefined), { selectors });
    expect(await run()).toMatchObject({ counts: { pages: 1, itemsPublished: 3 } });
    page = listing(['A', 'B', 'C'], change);
    for (let crawl = 2; crawl <= 3; crawl++) {
      expect(await run()).toMatchObject({
        counts: { pages: 0, failedPages: 1, itemsSeen: 3, itemsPublished: 0 },
      });
      expect(world.updates.at(-1)?.problem).toBe(
        `${start}: no item answers the selector of its ${name}, "${selector}"`,
      );
      expect(world.file.map(({ sku, price }) => [sku, price])).toEqual([
        ['A', 9.5],
        ['B', 9.5],
        ['C', 9.5],
      ]);
    }
    // With selectors that follow the shop it is read as it is now.
    page = listing(['A', 'B'], { price: 'preis' });
    world.source = { ...world.source, selectors: { ...selectors, price: '.preis' } };
    expect(await run()).toMatchObject({ counts: { pages: 1, failedPages: 0, itemsSeen: 2 } });
    expect(world.updates.at(-1)?.problem).toBeUndefined();
  },
);

it('selectors: one that never found anything is told, and the items are taken as they are', async () => {
  const page = listing(['A', 'B'], { price: 'preis' });
  const { world, run } = simulateShop((path) => (path === '/' ? `${page}<p>${world.intake}` : undefined), {
    selectors,
  });
  for (let crawl = 1; crawl <= 2; crawl++) {
    expect(await run()).toMatchObject({ counts: { pages: 1, failedPages: 0, itemsSeen: 2 } });
    expect(world.updates.at(-1)?.problem).toBe(
      `${start}: no item answers the selector of its price, ".price"`,
    );
    expect(world.file.map(({ price }) => price)).toEqual([null, null]);
  }
});

it('selectors: a lone item may lose its price', async () => {
  let page = listing(['A']);
  const { world, run } = simulateShop((path) => (path === '/' ? page : undefined), { selectors });
  await run();
  page = listing(['A'], { price: 'on-request' });
  expect(await run()).toMatchObject({ counts: { failedPages: 0, itemsPublished: 1 } });
  expect(world.file[0]).toMatchObject({ sku: 'A', price: null });
});
