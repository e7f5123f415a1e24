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
      `<script type="application/ld+json">{"@type":"Product","name":"A 19" screen"}</script>
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

describe('JSON-LD as shops write it', () => {
  const product = '{"@type":"Product","sku":"S","name":"Salt","offers":{"price":5,"priceCurrency":"EUR"}}';
  const inScript = (text: string) => `<script type="application/ld+json">${text}</script>`;
  it.each([
    ['line breaks and tabs in a string', product.replace('Salt', 'Sal\n\tt'), 'Sal t'],
    ['a URL in a string', product.replace('Salt', 'http://salt.example/ /* fine */, }'), undefined],
    ['an HTML comment around it', `<!--\n${product}\n-->`, 'Salt'],
    ['CDATA marks in line comments', `\n//<![CDATA[\n${product}\n//]]>\n`, 'Salt'],
    ['CDATA marks in block comments', `/* <![CDATA[ */ ${product} /* ]]> */`, 'Salt'],
    ['a CDATA mark before it on its line', `//<![CDATA[ ${product} //]]>`, 'Salt'],
    ['a semicolon behind it', `${product};`, 'Salt'],
    ['a comma behind it', `${product},\n`, 'Salt'],
    ['commas that nothing follows', product.replaceAll('}', ' , }'), 'Salt'],
    ['comments', `/* a "product */ // and more\n${product}`, 'Salt'],
    [
      'character references',
      product.replace('Salt', 'Salt &amp; &quot;Pepper&#34; &lt;3'),
      'Salt & "Pepper" <3',
    ],
  ])('JSON-LD: with %s it is read', (_what, text, title = 'http://salt.example/ /* fine */, }') => {
    expect(read(inScript(text))).toMatchObject({ items: [{ sku: 'S', title, price: 5 }], problems: [] });
  });

  it('JSON-LD: a reference in a URL is one with its semicolon only', () => {
    const link = (url: string) => inScript(`{"@type":"ListItem","url":"${url}"}`);
    expect(read(link('/p?a=1&amp;b=2')).links).toEqual(['https://shop.example/p?a=1&b=2']);
    expect(read(link('/p?a=1&copy=2')).links).toEqual(['https://shop.example/p?a=1&copy=2']);
  });

  it('JSON-LD: while a product’s script is broken, no other data names it by another key', () => {
    const broken = inScript('{"@type":"Product","sku":"M","name":"A 19" screen"}');
    const openGraph = (more: string) =>
      `<meta property="og:title" content="A screen"><meta property="product:price:amount" content="5">${more}`;
    expect(read(broken + openGraph(''))).toMatchObject({
      items: [],
      problems: [expect.stringMatching(/^JSON-LD script 1 is broken/)],
    });
    const keyed = openGraph('<meta property="product:retailer_item_id" content="M">');
    expect(read(broken + keyed).items).toMatchObject([{ sku: 'M', price: 5 }]);
    expect(read(inScript('{"@type":"BreadcrumbList",]') + openGraph('')).items).toHaveLength(1);
  });

  it('JSON-LD: variants without a name have that of their group', () => {
    const group = {
      '@type': 'ProductGroup',
      name: 'Shirt',
      image: '/shirt.png',
      hasVariant: [
        { '@type': 'Product', sku: 'S-1', offers: { price: 5 } },
        { '@type': 'Product', sku: 'S-2', name: 'Shirt, red', image: '/red.png', offers: { price: 6 } },
      ],
    };
    expect(read(inScript(JSON.stringify(group))).items).toMatchObject([
      { sku: 'S-1', title: 'Shirt', price: 5, imageUrl: 'https://shop.example/shirt.png' },
      { sku: 'S-2', title: 'Shirt, red', price: 6, imageUrl: 'https://shop.example/red.png' },
    ]);
    const { hasVariant: _, ...alone } = { ...group, sku: 'S', offers: { price: 7 } };
    expect(read(inScript(JSON.stringify(alone))).items).toMatchObject([{ sku: 'S', price: 7 }]);
  });
});

describe('offers', () => {
  const [yes, no] = ['https://schema.org/InStock', 'https://schema.org/OutOfStock'];
  const offer = (price: number | string, availability = yes, more: object = {}) => ({
    '@type': 'Offer',
    price,
    availability,
    priceCurrency: 'EUR',
    ...more,
  });
  const specification = (price: number, more: object = {}) => ({
    '@type': 'UnitPriceSpecification',
    price,
    priceCurrency: 'EUR',
    ...more,
  });
  it.each<[string, unknown, number | null, boolean]>([
    ['sizes, the first sold out', [offer(9, no), offer(12), offer(11)], 11, true],
    ['sizes, all sold out', [offer(9, no), offer(12, no)], 9, false],
    [
      'used ones',
      [offer(12), offer(5, yes, { itemCondition: 'https://schema.org/UsedCondition' })],
      12,
      true,
    ],
    ['a price for ten', [offer(12), offer(9, yes, { eligibleQuantity: { minValue: 10 } })], 12, true],
    ['two currencies', [offer(12), offer(9, yes, { priceCurrency: 'GBP' })], 12, true],
    ['one without a price', [offer('', yes), offer(12)], 12, true],
    ['an aggregate alone', { '@type': 'AggregateOffer', lowPrice: '9.90', priceCurrency: 'EUR' }, 9.9, true],
    [
      'an aggregate of offers',
      { '@type': 'AggregateOffer', lowPrice: 8, offers: [offer(9, no), offer(10)] },
      10,
      true,
    ],
    ['an aggregate sold out', { '@type': 'AggregateOffer', offers: [offer(9, no), offer(10, no)] }, 9, false],
    [
      'an aggregate that says it for all',
      { '@type': 'AggregateOffer', priceCurrency: 'EUR', availability: no, offers: [{ price: 7 }] },
      7,
      false,
    ],
    [
      'a list price before the price',
      {
        priceSpecification: [
          specification(99, { priceType: 'https://schema.org/ListPrice' }),
          specification(79),
        ],
      },
      79,
      true,
    ],
    [
      'a struck price before the price',
      { priceSpecification: [specification(99, { priceType: 'StrikethroughPrice' }), specification(79)] },
      79,
      true,
    ],
    [
      'a price per litre before the price',
      {
        priceSpecification: [
          specification(4, { referenceQuantity: { value: 1, unitCode: 'LTR' } }),
          specification(3),
        ],
      },
      3,
      true,
    ],
    [
      'a price for members',
      { priceSpecification: [specification(70, { validForMemberTier: {} }), specification(79)] },
      79,
      true,
    ],
    [
      'a list price alone',
      { priceSpecification: specification(99, { priceType: 'https://schema.org/ListPrice' }) },
      99,
      true,
    ],
  ])('offers: of %s the one that counts is taken', (_what, offers, price, inStock) => {
    const page = read(
      `<script type="application/ld+json">${JSON.stringify({ '@type': 'Product', sku: 'S', name: 'Same', offers })}</script>`,
    );
    expect(page.items).toMatchObject([{ price, currency: 'EUR', inStock }]);
  });

  it('offers: microdata has several too', () => {
    const item = (price: number, availability: string) =>
      `<p itemprop="offers" itemscope itemtype="https://schema.org/Offer"><meta itemprop="price" content="${price}"><link itemprop="availability" href="${availability}"></p>`;
    const product = (offers: string) =>
      `<div itemscope itemtype="https://schema.org/Product"><b itemprop="name">Cup</b><meta itemprop="sku" content="C">${offers}</div>`;
    expect(read(product(item(9, no) + item(12, yes) + item(11, yes))).items).toMatchObject([
      { price: 11, inStock: true },
    ]);
    const aggregate = `<div itemprop="offers" itemscope itemtype="https://schema.org/AggregateOffer"><meta itemprop="priceCurrency" content="EUR"><meta itemprop="lowPrice" content="9">`;
    expect(read(product(`${aggregate}${item(9, no)}${item(10, no)}</div>`)).items).toMatchObject([
      { price: 9, currency: 'EUR', inStock: false },
    ]);
    expect(read(product(`${aggregate}</div>`)).items).toMatchObject([{ price: 9, currency: 'EUR' }]);
  });

  it.each([
    ['€', 'EUR'],
    ['eur', 'EUR'],
    [' usd ', 'USD'],
    ['Euro', 'EUR'],
    ['kr', 'SEK'],
    ['points', 'SEK'],
    ['pts', 'SEK'],
  ])('offers: a currency written as "%s" is %s', (written, currency) => {
    const page = read(
      `<script type="application/ld+json">${JSON.stringify({ '@type': 'Product', sku: 'S', name: 'Same', offers: offer(5, yes, { priceCurrency: written }) })}</script>`,
      { currency: 'SEK' },
    );
    expect(page.items).toMatchObject([{ price: 5, currency }]);
  });
});

describe('prices in markup', () => {
  it.each([
    ['cents in <sup>', '$19<sup>99</sup>', 19.99, 'USD'],
    ['cents in <sup>, the sign behind', '19<sup>99</sup> €', 19.99, 'EUR'],
    ['the sign in <sup>', '19<sup>99 €</sup>', 19.99, 'EUR'],
    ['the sign before the cents', '19<sup>€99</sup>', 19.99, 'EUR'],
    ['a comma before the cents', '19,<sup>99</sup> €', 19.99, 'EUR'],
    ['thousands and cents', '1.299<sup>00</sup> €', 1299, 'EUR'],
    ['euros and cents in elements', '<b class="e">19</b><b class="c">99</b> €', 19.99, 'EUR'],
    ['the separator in an element', '$<b>1,299<i>.</i></b><b>99</b>', 1299.99, 'USD'],
    ['digits in elements', '<i>1</i><i>2</i><i>9</i> €', 129, 'EUR'],
    ['the sign in another element', '1.299', 1299, 'EUR'],
    [
      'the price twice',
      '<b>$19.99</b><b aria-hidden="true"><i>$</i><i>19<u>.</u></i><i>99</i></b>',
      19.99,
      'USD',
    ],
    ['a price struck out', '<s>99,00 €</s> 79,00 €', 79, 'EUR'],
    [
      'a price deleted and one inserted',
      '<del>99,00 €</del> <span>Ursprünglicher Preis war: 99,00 €</span> <ins>79,00 €</ins> <span>Jetzt: 79,00 €</span>',
      79,
      'EUR',
    ],
    ['nothing but a price struck out', '<del>99,00 €</del>', 99, 'EUR'],
    ['a script in it', '<script>var a = 5</script>79,00 €', 79, 'EUR'],
  ])('price: %s', (_what, markup, price, currency) => {
    const selected = read(`<li><h3>x</h3><p class="price">${markup}</p></li>`, {
      currency: 'EUR',
      selectors: { item: 'li', title: 'h3', price: '.price' },
    });
    const microdata = read(
      `<li itemscope itemtype="https://schema.org/Product"><h3 itemprop="name">x</h3><p itemprop="price">${markup}</p></li>`,
      { currency: 'EUR' },
    );
    for (const page of [selected, microdata]) expect(page.items).toMatchObject([{ price, currency }]);
  });

  it('price: an attribute is data, and one on request is no price', () => {
    const page = read(
      '<li><h3>a</h3><p data-price="1.299">1.299 €</p></li><li><h3>b</h3><p data-price="auf Anfrage"></p></li>',
      { currency: 'EUR', selectors: { item: 'li', title: 'h3', price: 'p@data-price' } },
    );
    expect(page.items).toMatchObject([
      { sku: 'a', price: 1.299, currency: 'EUR' },
      { sku: 'b', price: null, currency: null },
    ]);
    expect(page.problems).toEqual([]);
  });
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

  it('OpenGraph: of two prices the one of the sale is to be paid', () => {
    const page = read(
      `<meta property="og:title" content="Wobbly"><meta property="product:price:amount" content="12.50"><meta property="product:sale_price:amount" content="9.50">`,
      { currency: 'EUR' },
    );
    expect(page.items).toMatchObject([{ title: 'Wobbly', price: 9.5, currency: 'EUR' }]);
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
    const before =
      '\uFEFF <?xml version="1.0"?><?xml-stylesheet type="text/xsl" href="//shop.example/main-sitemap.xsl"?>\n<!-- made by <urlset> -- tools --> <!---->\n';
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
