// The page of a node in a real browser, served by the real listener over a simulated store and election.
import type { Browser, BrowserContextOptions, Page } from 'playwright-core';
import { afterAll, afterEach, beforeAll, beforeEach, expect, test } from 'vitest';
import type { ItemEvent } from '../../nodes/store.ts';
import { itemEvent } from '../integration/node/simulated-edges.ts';
import { sidewaysPx, violations } from './accessibility.ts';
import { launchChromium, noChromium } from './chromium.ts';
import { serveNode, type ServedNode } from './served-node.ts';

let browser: Browser | undefined;
let node: ServedNode;
let page: Page;
let problems: string[];

beforeAll(async () => {
  if (noChromium === undefined) browser = await launchChromium();
});
afterAll(() => browser?.close());
beforeEach(async (context) => {
  context.skip(noChromium !== undefined, noChromium);
  node = await serveNode();
  node.heardMsAgo.set('node-2', 21).set('node-3', 34);
  node.become({ kind: 'leader' }, 7);
});
afterEach(async () => {
  await page?.context().close();
  await node?.stop();
});

async function open(options: BrowserContextOptions = {}, path = '/'): Promise<void> {
  if (!browser) throw new Error('no browser was started');
  const context = await browser.newContext({ locale: 'en-GB', timezoneId: 'UTC', ...options });
  page = await context.newPage();
  problems = [];
  page.on('console', (message) => {
    if (message.type() === 'error') problems.push(message.text());
  });
  page.on('pageerror', (error) => problems.push(error.message));
  await page.goto(node.url + path);
  await connection('live');
}
const connection = (state: string) => page.waitForSelector(`[data-connection="${state}"]`);
const change = (id: number) => page.locator(`[data-id="${id}"]`);
const standings = () =>
  page.$$eval('.member', (cards) =>
    cards.map((card) => [card.querySelector('h3')?.textContent, card.getAttribute('data-standing')]),
  );
function commit(...changed: Partial<ItemEvent>[]): void {
  for (const fields of changed)
    node.feed.push({ ...itemEvent(node.feed.length + 1), at: new Date().toISOString(), ...fields });
}

test('the leader, the followers and their last contact are named, and a change of leader shows by itself', async () => {
  await open();
  expect(await standings()).toEqual([
    ['node-1', 'leader'],
    ['node-2', 'follower'],
    ['node-3', 'follower'],
  ]);
  expect(await page.locator('.member').nth(1).innerText()).toMatch(/Follower\s+heard 21 ms ago/);
  expect(await page.title()).toBe('node-1 · Baton');
  node.become({ kind: 'follower', leader: 'node-3' }, 8);
  await page.waitForSelector('.member.leader >> text=node-3', { timeout: 10_000 });
  expect(await page.locator('.lead').innerText()).toContain('node-3 leads in term 8.');
  // A follower hears its leader alone: what it cannot know is not drawn as a failure.
  expect(await standings()).toEqual([
    ['node-1', 'follower'],
    ['node-2', 'unheard'],
    ['node-3', 'leader'],
  ]);
});

test('a member that falls silent is drawn as silent, and one whose process ended as down', async () => {
  await open();
  node.heardMsAgo.set('node-2', 5_000);
  node.show({ type: 'service.changed', service: 'node-3', state: 'restarting', detail: null }, 'emulator');
  await expect.poll(standings).toEqual([
    ['node-1', 'leader'],
    ['node-2', 'silent'],
    ['node-3', 'down'],
  ]);
  expect(await page.locator('.member').nth(2).innerText()).toContain('Down (restarting)');
});

test('a committed row is on the screen by itself: it is pushed, and the page asks for no change', async () => {
  await open();
  await page.evaluate(`
    globalThis.seen = {};
    new MutationObserver(() => {
      for (const { dataset } of document.querySelectorAll('.change')) seen[dataset.id] ??= Date.now();
    }).observe(document.body, { childList: true, subtree: true });
  `);
  const asked: string[] = [];
  page.on('request', (request) => asked.push(request.url()));
  const delays: number[] = [];
  for (let round = 0; round < 9; round++) {
    // Not in step with the server's own looks.
    await page.waitForTimeout(17 * round);
    commit({});
    const committedAt = Date.now();
    const id = node.feed.length;
    await change(id).waitFor({ timeout: 10_000 });
    delays.push((await page.evaluate<number>(`seen[${id}]`)) - committedAt);
  }
  // It asks for the others' standing and for the queues now and then; what they answer names no item.
  const looks = ['/cluster', '/queues', '/files', '/crawls', '/mails'];
  expect(asked.map((url) => new URL(url).pathname).filter((path) => !looks.includes(path))).toEqual([]);
  // For docs/performance.md: how soon says as much about the machine as about the page.
  process.stdout.write(
    `on the screen after ${delays.sort((left, right) => left - right)[4]} ms (median of 9)\n`,
  );
});

test('a price change shows the old price struck through beside the new one, and says which way it went', async () => {
  commit({ price: 8, previousPrice: 10, currency: 'GBP' }, { price: 12, previousPrice: 10, currency: null });
  await open();
  await change(2).waitFor();
  expect(await change(1).locator('del').innerText()).toBe('£10.00');
  expect((await change(1).locator('.price').innerText()).replaceAll(/\s+/g, ' ')).toBe(
    'fell from £10.00 ▼ to £8.00',
  );
  expect((await change(2).locator('.price').innerText()).replaceAll(/\s+/g, ' ')).toBe(
    'rose from 10.00 ▲ to 12.00',
  );
});

test('a page opened late shows the last 100 changes, and keeps 100 rows after 2,000 more', async () => {
  commit(...Array.from({ length: 150 }, () => ({})));
  await open();
  await change(51).waitFor();
  expect(await change(50).count()).toBe(0);
  commit(...Array.from({ length: 2_000 }, () => ({})));
  await change(2_150).waitFor();
  expect(await page.locator('.change').count()).toBe(100);
  expect(await change(2_051).count()).toBe(1);
});

test('the filter finds by text and kind, and a paused stream stands still until it goes on', async () => {
  commit({ title: 'Teapot' }, { title: 'Pan', change: 'new' }, { title: 'Teapot lid', change: 'stock' });
  await open();
  await change(3).waitFor();
  await page.getByLabel('Filter').fill('teapot');
  expect(await page.locator('.change .title').allInnerTexts()).toEqual(['Teapot lid', 'Teapot']);
  await page.getByRole('combobox', { name: 'Change' }).selectOption('stock');
  expect(await page.locator('.change .title').allInnerTexts()).toEqual(['Teapot lid']);
  await page.getByRole('button', { name: 'Pause' }).click();
  commit({ title: 'Teapot cosy', change: 'stock' });
  await page.getByRole('button', { name: 'Go on (1 new)' }).click();
  expect(await page.locator('.change .title').allInnerTexts()).toEqual(['Teapot cosy', 'Teapot lid']);
});

test('a refused write, a fault and a dead letter stand in the event log, once each after a reconnect', async () => {
  node.show({ type: 'fence.refused', node: 'node-2', term: 6, databaseTerm: 7, what: 'batch' }, 'node-2');
  node.show({ type: 'fault.injected', target: 'node-2', action: 'pause', detail: null }, 'emulator');
  await open();
  node.cutStreams();
  node.show(
    {
      type: 'message.dead-lettered',
      queue: 'items',
      messageId: 'm',
      code: 'ITEM_MALFORMED',
      reason: 'price: NaN',
    },
    'deliver',
  );
  await page.locator('.log li', { hasText: 'ITEM_MALFORMED' }).waitFor();
  const refusals = page.locator('.log li.bad p');
  expect(await refusals.allInnerTexts()).toEqual([
    'Dead letter items: ITEM_MALFORMED, price: NaN deliver',
    'Fault pause node-2 emulator',
    'Fence the database refused node-2 in term 6 (batch): it has seen term 7',
  ]);
});

test('a source that brought nothing for too long is marked, above those that did', async () => {
  const shop = {
    kind: 'shop' as const,
    lastGoodAt: new Date().toISOString(),
    intervalS: 3_600,
    incomplete: null,
    empty: null,
  };
  node.lists.sourceAges.push(
    { ...shop, source: 'late-shop', ageS: 14_400 },
    { ...shop, source: 'shop', ageS: 90 },
    { ...shop, source: 'acme', kind: 'partner', ageS: 700_000, intervalS: null, lastGoodAt: null },
  );
  await open();
  await page.waitForSelector('.sources li');
  expect(await page.locator('.sources li').allInnerTexts()).toEqual([
    expect.stringMatching(/^late-shop overdue\s+last good crawl 4 h ago, one expected every 60 min$/),
    expect.stringMatching(/^shop shop\s+last good crawl 90 s ago, one expected every 60 min$/),
    expect.stringMatching(/^acme partner\s+no good file for 8 days$/),
  ]);
  expect(await page.locator('.sources .bad').allInnerTexts()).toEqual(['overdue']);
  expect(await violations(page)).toEqual([]);
});

test('queues, files, crawls and mails show, and a changed file shows at once', async () => {
  node.depths.set('items', 1_204).set('items.dead', 2);
  const at = new Date().toISOString();
  node.lists.crawls.push({
    at,
    source: 'shop',
    intake: 4,
    status: 'running',
    pages: 12,
    failedPages: 2,
    itemsSeen: 48,
    itemsPublished: 3,
    reason: null,
    problem: 'https://shop.example/p/7: HTTP 403',
  });
  node.lists.mails.push({ at, mailId: 'm', kind: 'price-drop', state: 'sent', attempt: 1, detail: null });
  await open();
  expect((await page.locator('.queues tbody tr').first().innerText()).split(/\s+/)).toEqual([
    'items',
    '1,204',
    '0',
    '2',
  ]);
  expect(await page.locator('.crawls li').innerText()).toContain(
    '12 pages, 48 items, 3 published, 2 pages failed, https://shop.example/p/7: HTTP 403',
  );
  expect(await page.locator('.mails li').innerText()).toContain('price-drop sent');
  const file = {
    fileId: 'f',
    name: 'partner.csv',
    state: 'rejected',
    rows: null,
    reason: 'row 2: 4 columns',
  } as const;
  node.lists.files.push({ at, movedTo: null, ...file });
  node.show({ type: 'file.changed', ...file });
  await page.locator('.files li', { hasText: 'row 2: 4 columns' }).waitFor({ timeout: 10_000 });
});

test('when the node dies the page says so and names the others; when it is back nothing is missed or doubled', async () => {
  commit({}, {});
  await open();
  await change(2).waitFor();
  await node.stop();
  await connection('reconnecting');
  await page.waitForSelector('.banner');
  expect(await page.locator('.banner').innerText()).toContain('node-1 does not answer');
  expect(
    await page.locator('.banner a').evaluateAll((links) => links.map((link) => link.getAttribute('href'))),
  ).toEqual(['http://127.0.0.1:2', 'http://127.0.0.1:3']);
  expect(await page.locator('.lead').innerText()).toMatch(/^Last known:/);
  expect(await violations(page)).toEqual([]);
  commit({}, {});
  await node.start();
  await connection('live');
  await change(4).waitFor();
  expect(
    await page.locator('.change').evaluateAll((rows) => rows.map((row) => row.getAttribute('data-id'))),
  ).toEqual(['4', '3', '2', '1']);
  expect(await page.locator('.banner').count()).toBe(0);
});

test('a node that answers nothing any more is not called live, though its stream stays open', async () => {
  await open();
  await page.route('**/cluster', (route) => route.abort());
  await connection('reconnecting');
  await page.waitForSelector('.banner');
  await page.unroute('**/cluster');
  await connection('live');
  expect(await page.locator('.banner').count()).toBe(0);
});

test('another database behind the node empties the stream instead of mixing two feeds', async () => {
  commit({ title: 'of the old feed' }, {}, {});
  await open();
  await change(3).waitFor();
  node.orders.feedId = '00000000-0000-4000-8000-000000000000';
  node.feed.splice(0, Infinity);
  commit({ title: 'of the new feed' });
  node.cutStreams();
  await page.locator('.change', { hasText: 'of the new feed' }).waitFor();
  expect(await page.locator('.change').count()).toBe(1);
});

test.each(['light', 'dark'] as const)('axe finds no violation in the %s scheme', async (colorScheme) => {
  fill();
  await open({ colorScheme, reducedMotion: 'reduce' });
  await page.locator('.log li.bad').first().waitFor();
  await change(8).waitFor();
  expect(await violations(page)).toEqual([]);
  expect(problems).toEqual([]);
});

test('at 320 px nothing scrolls sideways, whatever the titles and names', async () => {
  fill();
  const endless = 'W'.repeat(200);
  commit({ title: endless, sku: endless, price: 1e9, previousPrice: 9e8 });
  node.lists.files.push({
    movedTo: null,
    at: new Date().toISOString(),
    fileId: 'e',
    name: endless,
    state: 'opened',
    rows: null,
    reason: endless,
  });
  node.show({ type: 'problem', code: 'ENDLESS', detail: endless });
  await open({ viewport: { width: 320, height: 640 }, reducedMotion: 'reduce' });
  await page.locator('.change', { hasText: endless }).waitFor();
  await page.locator('.files li', { hasText: endless }).waitFor();
  await page.locator('.log li', { hasText: 'ENDLESS' }).waitFor();
  expect(await sidewaysPx(page)).toBe(0);
  expect(await violations(page)).toEqual([]);
});

const nameOfFocused = `(() => {
  const at = document.activeElement;
  if (!at || at === document.body) return '';
  return at.getAttribute('aria-label') ?? at.closest('label')?.querySelector('span')?.textContent ?? at.textContent;
})()`;
test('the keyboard reaches everything, and the skip link leads past the header', async () => {
  fill();
  await open();
  await page.locator('.log li').first().waitFor();
  await change(8).waitFor();
  const reached: string[] = [];
  for (;;) {
    await page.keyboard.press('Tab');
    const name = await page.evaluate<string>(nameOfFocused);
    if (name === '' || reached.length > 50) break;
    reached.push(name);
  }
  expect(reached).toEqual([
    'Skip to the content',
    'node-2',
    'node-3',
    'Filter',
    'Change',
    'Pause',
    'Changes of items, newest first',
    'Events, newest first',
  ]);
  await page.reload();
  await page.keyboard.press('Tab');
  await page.keyboard.press('Enter');
  expect(await page.evaluate('document.activeElement.id')).toBe('main');
});

test('a change of leader is told to a screen reader, and the stream of items is not', async () => {
  await open();
  const status = page.getByRole('status');
  await status.filter({ hasText: 'node-1 leads in term 7.' }).waitFor();
  commit({ title: 'Teapot' });
  await change(1).waitFor();
  node.become({ kind: 'follower', leader: 'node-2' }, 8);
  await status.filter({ hasText: 'node-2 leads in term 8.' }).waitFor();
  expect(await page.locator('[role=status], [aria-live]').count()).toBe(1);
});

test('everything comes from the node itself, and the policy of the page refuses nothing', async () => {
  const hosts = new Set<string>();
  await open();
  page.on('request', (request) => hosts.add(new URL(request.url()).host));
  await page.reload();
  await connection('live');
  expect([...hosts]).toEqual([new URL(node.url).host]);
  expect(problems).toEqual([]);
});

function fill(): void {
  const kinds = ['new', 'price', 'stock', 'content', 'vanished', 'returned', 'price', 'stock'] as const;
  commit(
    ...kinds.map((kind, index) => ({ change: kind, previousPrice: 5 + index, inStock: index % 2 === 0 })),
  );
  const at = new Date().toISOString();
  node.depths.set('mail.dead', 3);
  node.lists.files.push({
    movedTo: null,
    at,
    fileId: 'f',
    name: 'partner.csv',
    state: 'rejected',
    rows: null,
    reason: 'no header',
  });
  node.lists.mails.push({
    at,
    mailId: 'm',
    kind: 'price-drop',
    state: 'failed',
    attempt: 2,
    detail: '550 no such mailbox',
  });
  node.show({ type: 'fence.claimed', node: 'node-1', term: 7, tookMs: 12 });
  node.show({ type: 'fence.refused', node: 'node-2', term: 6, databaseTerm: 7, what: 'batch' }, 'node-2');
  node.heardMsAgo.set('node-3', 9_000);
}
