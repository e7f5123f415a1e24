// What is read from a page: structured data first, selectors where there is none, and what odd pages do.
import { describe, expect, it } from 'vitest';
import { extractItems } from '../../../functions/scraper/extract-items.ts';
import type { ShopSource } from '../../../contracts/source.ts';
import { cpuMsOf } from '../../support/cpu-time.ts';

const url = 'https://shop.example/c/lamps?page=1';
function read(html: string, source: Partial<Pick<ShopSource, 'currency' | 'selectors'>> = {}) {
  return extractItems({ html, url, source: { currency: null, ...source } });
}

describe('JSON-LD', () => {
  it('JSON-LD: a product in a @graph is read with offer, image and stock', () => {
    const page = read(`<script type="application/ld+json">{"@context":"https://schema.org","@graph":[
      {"@type":"BreadcrumbList","itemListElement":[{"@type":"ListItem","item":"https://shop.example/"}]},
      {"@type":["Product","Thing"],"sku":"L-1","name":" Arc \\n lamp ","image":[{"url":"/a.png"}],"url":"/p/1",
       "offers":[{"price":"1299.000","priceCurrency":"EUR","availability":"http://schema.org/InStock","inventoryLevel":{"value":7}}]}]}</script>`);
    expect(page).toEqual({
      items: [
        {
          sku: 'L-1',
          title: 'Arc lamp',
          url: 'https://shop.example/p/1',
          imageUrl: 'https://shop.example/a.png',
          price: 1299,
          currency: 'EUR',
          inStock: true,
          stock: 7,
        },
      ],
      problems: [],
      next: null,
      links: [],
      cut: null,
      unanswered: [],
    });
  });

  it('JSON-LD: a broken script is skipped with a note and the whole one beside it is read', () => {
    const page = read(
      `<script type="application/ld+json">{"@type":"Product",}</script>
       <script type="application/ld+json">{"@type":"Product","sku":"L-2","name":"Beacon","offers":{"price":5,"priceCurrency":"GBP"}}</script>`,
    );
    expect(page.items.map(({ sku, price }) => [sku, price])).toEqual([['L-2', 5]]);
    expect(page.problems).toEqual([expect.stringMatching(/^JSON-LD script 1 is broken and skipped: /)]);
  });

  it('JSON-LD: an ItemList of URLs is a listing whose links are followed', () => {
    const page = read(
      `<link rel="next" href="?page=2"><script type="application/ld+json">{"@type":"ItemList","itemListElement":[
        {"@type":"ListItem","url":"/p/1#top"},{"@type":"ListItem","item":"https://shop.example/p/2"},{"@type":"ListItem","url":"javascript:alert(1)"}]}</script>`,
    );
    expect(page.items).toEqual([]);
    expect(page.links).toEqual(['https://shop.example/p/1', 'https://shop.example/p/2']);
    expect(page.next).toBe('https://shop.example/c/lamps?page=2');
  });

  it.each(['"call us"', '"-3"', '"NaN"', '-3'])(
    'JSON-LD: a price of %s is a named problem, not an item',
    (price) => {
      const page = read(
        `<script type="application/ld+json">{"@type":"Product","sku":"L-3","name":"Dusk","offers":{"price":${price}}}</script>`,
      );
      expect(page.items).toEqual([]);
      expect(page.problems[0]).toMatch(/^item 1: Dusk: price ".*" is not an amount$/);
    },
  );
});

describe('microdata, OpenGraph, selectors, sitemap', () => {
  it('microdata: what belongs to a nested item is not the product’s', () => {
    const page =
      read(`<base href="https://cdn.example/x/"><div itemscope itemtype="http://schema.org/Product">
      <div itemprop="review" itemscope itemtype="http://schema.org/Review"><b itemprop="name">Great!</b></div>
      <b itemprop="name">Cup</b><meta itemprop="sku" content="C-1"><img itemprop="image" src="c.png">
      <p itemprop="offers" itemscope itemtype="http://schema.org/Offer"><span itemprop="price">£4.50</span>
      <link itemprop="availability" href="https://schema.org/SoldOut"></p></div>`);
    expect(page.items).toMatchObject([
      {
        sku: 'C-1',
        title: 'Cup',
        price: 4.5,
        currency: 'GBP',
        inStock: false,
        imageUrl: 'https://cdn.example/x/c.png',
      },
    ]);
  });

  it('OpenGraph: a product page without other data is read', () => {
    const page = read(
      `<meta property="og:type" content="product"><meta property="og:title" content="Wobbly"><meta property="product:price:amount" content="12.50"><meta property="product:price:currency" content="GBP"><meta property="product:availability" content="out of stock">`,
    );
    expect(page.items).toMatchObject([
      { sku: '/c/lamps?page=1', title: 'Wobbly', price: 12.5, currency: 'GBP', inStock: false },
    ]);
  });

  it('selectors: @attribute reads attributes, of the item itself too; the source’s dollar wins over US$', () => {
    const page = read(
      `<li class="p" data-id="7"><a href="/p/7" title="Whole title">Whole…</a><i>$12</i></li><nav><a class="more" href="/c/2">more</a></nav>`,
      {
        currency: 'CAD',
        selectors: {
          item: 'li.p',
          sku: '@data-id',
          title: 'a@title',
          price: 'i',
          url: 'a@href',
          next: 'a.more',
        },
      },
    );
    expect(page.items).toMatchObject([
      { sku: '7', title: 'Whole title', price: 12, currency: 'CAD', url: 'https://shop.example/p/7' },
    ]);
    expect(page.next).toBe('https://shop.example/c/2');
  });

  it('selectors: teasers without a price selector are links to product pages, not items', () => {
    const page = read(`<li class="p"><a href="/p/7">Seven</a></li>`, {
      selectors: { item: 'li.p', title: 'a', url: 'a@href' },
    });
    expect(page).toMatchObject({ items: [], links: ['https://shop.example/p/7'] });
  });

  it('selectors: a wrong selector is said and nothing is thrown', () => {
    const page = read('<li></li>', { selectors: { item: 'li:::x[', title: 'a' } });
    expect(page.problems).toEqual([expect.stringMatching(/^a selector of the source is wrong: /)]);
  });

  it('sitemap: its pages and those of an index are links', () => {
    const page = read(
      '<?xml version="1.0"?><urlset xmlns="x"><url><loc>https://shop.example/p/1?a=1&amp;b=2</loc></url><url><loc> /p/2 </loc></url></urlset>',
    );
    expect(page.links).toEqual(['https://shop.example/p/1?a=1&b=2', 'https://shop.example/p/2']);
  });

  it('sitemap: what XML lets stand before its root leaves it one', () => {
    const before = '\uFEFF <?xml version="1.0"?>\n<!-- made by <urlset> -- tools --> <!---->\n';
    expect(read(`${before}<urlset><url><loc>/p/1</loc></url></urlset>`).links).toEqual([
      'https://shop.example/p/1',
    ]);
    expect(read(`${before}<html><!-- <urlset> --><loc>/p/1</loc></html>`).links).toEqual([]);
  });

  it('sitemap: 50,000 pages are read, and one more is said to be left out', () => {
    const sitemap = (pages: number) =>
      read(
        `<urlset>${Array.from({ length: pages }, (_, index) => `<url><loc>/p/${index}</loc></url>`).join('')}</urlset>`,
      );
    expect(sitemap(50_000)).toMatchObject({ problems: [], cut: null });
    const cut = 'more than 50000 links on one page; the rest is not read';
    expect(sitemap(50_001)).toMatchObject({ problems: [cut], cut });
    expect(sitemap(50_001).links).toHaveLength(50_000);
  });

  it('sitemap: what is no place of a page is none, and CDATA is read', () => {
    const page = read(
      '<urlset><url><loc><![CDATA[/p/1?a&b]]></loc><image:image><image:loc>/a.png</image:loc></image:image></url></urlset>',
    );
    expect(page.links).toEqual(['https://shop.example/p/1?a&b']);
  });

  it('page: links beyond 5,000, or beyond 5 MB of them, are said to be left out', () => {
    const list = (urls: readonly string[]) =>
      read(
        `<script type="application/ld+json">${JSON.stringify({ '@type': 'ItemList', itemListElement: urls.map((one) => ({ '@type': 'ListItem', url: one })) })}</script>`,
      );
    const short = Array.from({ length: 5_001 }, (_, index) => `/p/${index}`);
    expect(list(short.slice(1)).cut).toBeNull();
    expect(list(short)).toMatchObject({ cut: 'more than 5000 links on one page; the rest is not read' });
    const long = Array.from({ length: 60 }, (_, index) => `/${'x'.repeat(100_000)}/${index}`);
    expect(list(long)).toMatchObject({ cut: 'more than 52 links on one page; the rest is not read' });
  });

  it('page: the same key twice on one page counts once, the first time', () => {
    const product = (price: number) => ({ '@type': 'Product', sku: 'S', name: 'Same', offers: { price } });
    const page = read(
      `<script type="application/ld+json">${JSON.stringify([product(1), product(2)])}</script>`,
    );
    expect(page.items.map(({ price }) => price)).toEqual([1]);
  });

  it('page: text that is no page at all yields nothing and throws nothing', () => {
    for (const html of ['', 'plain words', '<<<>>>&&&', '\u0000\u0001', '<p>'.repeat(1_000)])
      expect(read(html)).toEqual({
        items: [],
        problems: [],
        next: null,
        links: [],
        cut: null,
        unanswered: [],
      });
  });

  it.each([
    ['40 comments', '<!---->'.repeat(40)],
    ['comments that never end', '<!-- '.repeat(1_000_000)],
    ['spaces', ' '.repeat(1_000_000)],
    ['an XML declaration and comments', `<?xml version="1.0"?>${'<!-- - -- > -->\n'.repeat(200_000)}`],
  ])('page: %s before its root are read at once', (_what, before) => {
    const tookMs = cpuMsOf(() => expect(read(`${before}<html><p>x</p></html>`).items).toEqual([]));
    expect(tookMs).toBeLessThan(2_000);
  });

  it('page: one nested a million levels deep is refused with the reason', () => {
    expect(() => read('<div>'.repeat(1_000_000))).toThrow('elements are nested deeper than 1000 levels');
  });

  it('page: of 5 MB of one flat list 5,000 items are read, and it says so', () => {
    const page = read('<li class="p" data-id="1"><b>x</b><i>1</i></li>'.repeat(100_000), {
      selectors: { item: 'li.p', sku: '@data-id', title: 'b', price: 'i' },
    });
    expect(page.items).toHaveLength(1);
    expect(page.problems).toEqual(['more than 5000 items on one page; the rest is not read']);
    expect(page.cut).toBe(page.problems[0]);
  }, 30_000);
});
