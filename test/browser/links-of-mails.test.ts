// What the links of a mail lead to on the page: the watch it was sent for and the item it speaks of.
import type { Browser, BrowserContextOptions, Page } from 'playwright-core';
import { afterAll, afterEach, beforeAll, beforeEach, expect, test } from 'vitest';
import type { Item } from '../../contracts/item.ts';
import { itemEvent } from '../integration/node/simulated-edges.ts';
import { sidewaysPx, violations } from './accessibility.ts';
import { launchChromium, noChromium } from './chromium.ts';
import { serveNode, type ServedNode } from './served-node.ts';

const id = '3f0e8a52-9a68-4f0c-8d5e-0c8b4a1d2e11';
const key = { source: 'shop', sku: 'a/b c' };
const item: Item = {
  ...key,
  version: 2,
  title: 'Teapot',
  url: 'https://shop.example/teapot',
  imageUrl: null,
  price: 8,
  currency: 'GBP',
  inStock: true,
  stock: null,
  vanished: false,
};
let browser: Browser | undefined;
let node: ServedNode;
let page: Page;

beforeAll(async () => {
  if (noChromium === undefined) browser = await launchChromium();
});
afterAll(() => browser?.close());
beforeEach(async (context) => {
  context.skip(noChromium !== undefined, noChromium);
  node = await serveNode();
  node.become({ kind: 'leader' }, 7);
  node.watches.set(id, { id, about: 'prices', ...key });
  offer({});
});
afterEach(async () => {
  await page?.context().close();
  await node?.stop();
});

function offer(change: Partial<Item>): void {
  const now = { ...item, ...change };
  node.items.set(`${key.source}/${key.sku}`, {
    item: now,
    history: [now, { ...item, version: 1, price: 10 }],
  });
}
async function open(path: string, options: BrowserContextOptions = {}): Promise<void> {
  if (!browser) throw new Error('no browser was started');
  const context = await browser.newContext({ locale: 'en-GB', timezoneId: 'UTC', ...options });
  page = await context.newPage();
  await page.goto(node.url + path);
  await page.waitForSelector('[data-connection="live"]');
}
const shown = () => page.getByRole('region', { name: /^(?:Your watch|Item)$/ });
const text = async () => (await shown().innerText()).replaceAll(/\s+/g, ' ');

test('the link of a watch shows what it is about, with its item and its price', async () => {
  await open(`/#watch-${id}`);
  await shown().getByText('Teapot', { exact: true }).waitFor();
  expect(await text()).toBe(
    'YOUR WATCH Close A mail is sent when the price of Teapot falls. Teapot £8.00 was £10.00 In stock at shop, article a/b c End this watch',
  );
});

test('the link of an item shows it, marks its changes in the stream, and follows its price', async () => {
  await open('/#item-shop/a%2Fb%20c');
  await shown().getByText('£8.00').waitFor();
  offer({ version: 3, price: 7.5 });
  node.feed.push({ ...itemEvent(1), ...key, price: 7.5 }, itemEvent(2));
  await shown().getByText('£7.50').waitFor();
  expect(await page.locator('.change.here').count()).toBe(1);
  await shown().getByRole('link', { name: 'Close' }).click();
  await expect.poll(() => page.locator('.place, .change.here').count()).toBe(0);
});

test('a watch is ended by whoever has the link of its mail, without a session', async () => {
  await open(`/#watch-${id}`);
  await shown().getByRole('button').click();
  await shown().getByText('This watch has ended').waitFor();
  expect(node.watches.size).toBe(0);
});

test.each([
  [{ about: 'prices', source: 'shop', sku: null }, 'any price of shop falls'],
  [{ about: 'prices', source: null, sku: null }, 'any price falls'],
  [{ about: 'files', source: 'acme', sku: null }, 'a file of acme is rejected'],
  [{ about: 'leader', source: null, sku: null }, 'another node leads'],
] as const)('a watch of %j says so', async (watch, occasion) => {
  node.watches.set(id, { id, ...watch });
  await open(`/#watch-${id}`);
  await shown().getByRole('button').waitFor();
  expect(await text()).toContain(`A mail is sent when ${occasion}.`);
});

test('a watch that was ended and a link that is none of ours break nothing', async () => {
  node.watches.clear();
  await open(`/#watch-${id}`);
  await shown().getByText('There is no such watch any more.').waitFor();
  await page.evaluate('location.hash = "#item-shop/%E0%A4%A"');
  await expect.poll(() => page.locator('.place').count()).toBe(0);
});

test.each([
  ['light', 1_100],
  ['dark', 320],
] as const)(
  'axe finds no violation in the %s scheme at %i px, and nothing scrolls sideways',
  async (colorScheme, width) => {
    offer({ title: 'W'.repeat(200) });
    await open(`/#watch-${id}`, { colorScheme, viewport: { width, height: 800 }, reducedMotion: 'reduce' });
    node.become({ kind: 'follower', leader: null }, 8);
    await shown().getByRole('button').click();
    await shown().getByText('It could not be ended now. Try again.').waitFor();
    expect([await violations(page), await sidewaysPx(page)]).toEqual([[], 0]);
  },
);
