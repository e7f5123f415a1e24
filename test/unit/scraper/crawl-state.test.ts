// What a crawl remembers: packed and back without a loss, and at its limit without a growth.
import { expect, it } from 'vitest';
import type { CrawlState } from '../../../contracts/node-api.ts';
import { shopSourceSchema } from '../../../contracts/source.ts';
import { CrawlProgress } from '../../../functions/scraper/crawl-progress.ts';
import { packState, unpackState } from '../../../functions/scraper/pack-state.ts';

const page = (...skus: string[]) => ({ etag: null, lastModified: null, skus, links: [], next: null });
const content = (sku: string, price = 1) => ({
  sku,
  title: `The ${sku}`,
  url: `https://shop.example/p/${sku}`,
  imageUrl: null,
  price,
  currency: 'EUR',
  inStock: true,
  stock: null,
});
const source = shopSourceSchema.parse({
  kind: 'shop',
  name: 'shop',
  startUrls: ['https://shop.example/'],
  everySeconds: 60,
});
const lease = (state: CrawlState | null, resumed = false) => ({
  crawlId: crypto.randomUUID(),
  source,
  intake: 1,
  state,
  resumed,
});

it('state: it comes back as it was packed, whatever texts a shop has', async () => {
  const odd = ['__proto__', 'constructor', 'a\u0000b\ud800c', 'line\u2028and\u2029line', 'x\r\ny', 'é€😀'];
  const contents = Object.create(null) as CrawlState['contents'];
  for (const sku of odd) contents[sku] = { version: 7, content: content(sku) };
  const pages = Object.create(null) as CrawlState['pages'];
  pages['https://shop.example/1'] = { ...page(...odd.slice(1)), etag: '"é"', cut: 'more than 5' };
  pages['__proto__'] = { ...page('gone'), links: ['https://shop.example/2'], next: 'https://shop.example/3' };
  const state: CrawlState = {
    frontier: [
      { url: 'https://shop.example/4', depth: 1, waits: 2, deaths: 1 },
      { url: 'https://shop.example/3', depth: 0 },
    ],
    visited: ['https://shop.example/1', 'https://shop.example/without-a-page'],
    nextPage: 3,
    nextOrdinal: 17,
    pages,
    contents,
    extraction: 'e',
    incomplete: 'cut',
  };
  const { sent } = await packState(state);
  const unpacked = await unpackState(JSON.parse(JSON.stringify(sent)) as typeof sent);
  expect(unpacked).toEqual(state);
  expect(Object.keys(unpacked.contents).sort()).toEqual(odd.toSorted());
});

it('state: a page with its item takes below 100 bytes of what is stored', async () => {
  const state: CrawlState = {
    frontier: [],
    visited: [],
    nextPage: 0,
    nextOrdinal: 0,
    pages: {},
    contents: {},
  };
  for (let index = 0; index < 20_000; index++) {
    const sku = `SKU-${index}`;
    const { url } = content(sku);
    state.pages[url] = page(sku);
    state.contents[sku] = { version: 2 ** 24 + index, content: content(sku, (index * 7_919) % 10_000) };
    state.frontier.push({ url, depth: 1 });
    state.visited.push(url);
  }
  expect((await packState(state)).sent.zstd.length).toBeLessThan(100 * 20_000);
});

it.each([
  ['stored', { packed: 101, plain: 0 }],
  ['plain', { packed: 0, plain: 1_001 }],
])(
  'state: at the limit of %s bytes nothing new is learnt, what is known goes on, and it is said',
  (_of, size) => {
    const progress = new CrawlProgress(lease(null), { packed: 100, plain: 1_000 });
    const start = progress.next();
    if (!start) throw new Error('there is no start page');
    const known = 'https://shop.example/known';
    const unknown = 'https://shop.example/unknown';
    progress.published(['A', 'C'].map((sku, version) => ({ content: content(sku), version })));
    progress.keepAs(known, page('A'));
    progress.enqueue({ next: null, links: [unknown, known] }, 1, start.url);
    progress.measured({ packed: 100, plain: 1_000 });
    expect(progress.incomplete).toBeUndefined();
    progress.measured(size);
    const reason = 'the limit of 100 bytes of packed and 1000 of plain state';
    expect(progress.incomplete).toBe(reason);
    expect(progress.paused().frontier).toEqual([
      { url: start.url, depth: 0 },
      { url: known, depth: 1 },
    ]);
    progress.enqueue({ next: unknown, links: [] }, 1, start.url);
    progress.done(start);
    expect(progress.next()?.url).toBe(known);
    expect(progress.changed([content('C', 2), content('B')])).toEqual([content('C', 2)]);
    progress.keepAs(unknown, page('A'));
    expect(Object.keys(progress.paused().pages)).toEqual([known]);
    // It is known in the next run, too, and forgotten in the next crawl.
    expect(new CrawlProgress(lease(progress.paused(), true)).incomplete).toBe(reason);
    expect(new CrawlProgress(lease(progress.finished())).incomplete).toBeUndefined();
  },
);

it('state: more ordinals are reserved than are handed out until it has to be stored again', () => {
  const progress = new CrawlProgress(lease(null));
  const reserved = progress.running();
  let [messages, last] = [0, 0];
  const items = Array.from({ length: 200 }, (_, index) => content(`S${index}`));
  while (!progress.mustStore) {
    const message = progress.number(messages % 2 === 0 ? items : items.slice(0, 1));
    messages++;
    last = message.items.at(-1)?.version ?? 0;
    expect(message.page).toBeLessThan(reserved.nextPage);
  }
  expect(last).toBeLessThan(2 ** 24 + reserved.nextOrdinal);
  expect(messages).toBeGreaterThan(60);
  progress.running();
  expect(progress.mustStore).toBe(false);
});

it('state: a page that was read in another way is read anew, and is known until then', () => {
  const url = 'https://shop.example/';
  const first = new CrawlProgress(lease(null));
  first.published([{ content: content('A'), version: 1 }]);
  first.keepAs(url, { ...page('A'), etag: '"1"', lastModified: 'Wed, 21 Oct 2015 07:28:00 GMT' });
  first.done({ url, depth: 0 });
  const stored = first.finished();
  const same = new CrawlProgress(lease(structuredClone(stored)));
  expect(same.validators(url)).toMatchObject({ etag: '"1"' });
  const other = new CrawlProgress(
    lease({ ...structuredClone(stored), extraction: 'that of a release before' }),
  );
  expect(other.validators(url)).toMatchObject({ etag: null, lastModified: null });
  other.keep({ url, depth: 0 });
  expect(other.snapshot()).toContain('"sku":"A"');
});
