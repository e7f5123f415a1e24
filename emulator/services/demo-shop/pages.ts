// The demo shop's pages as HTML: JSON-LD in some categories, microdata in others, bare markup in the rest.
// Pure: the same state gives the same bytes, so that an ETag is their hash.
import { categories, currency, type Category, type Product, type ShopState } from './catalogue.ts';

const productsPerPage = 5;
export interface Page {
  readonly status: 200 | 404 | 500;
  readonly type: string;
  readonly body: string;
}

/** `undefined` for what is no page of this shop. */
export function renderPage(path: string, search: URLSearchParams, state: ShopState, origin: string): Page {
  const [, kind, name] = path.split('/');
  if (path === '/') return html(home(state));
  if (path === '/robots.txt')
    return {
      status: 200,
      type: 'text/plain; charset=utf-8',
      body: `User-agent: *\nDisallow: /checkout\nDisallow: /control\n\nSitemap: ${origin}/sitemap.xml\n`,
    };
  if (path === '/sitemap.xml') return sitemap(state, origin);
  if (path === '/checkout') return html(layout('Checkout', '<p>There is nothing to pay here.</p>'));
  if (kind === 'c') {
    const category = categories.find(({ slug }) => slug === name);
    const page = Number(search.get('page') ?? 1);
    return category && Number.isInteger(page) && page >= 1 ? listing(category, page, state) : notFound();
  }
  if (kind === 'p') return product(name ?? '', state);
  if (kind === 'image') return image(name ?? '', state);
  return notFound();
}

function listing(category: Category, page: number, state: ShopState): Page {
  const all = listed(category, state);
  const products = all.slice((page - 1) * productsPerPage, page * productsPerPage);
  const pages = Math.max(1, Math.ceil(all.length / productsPerPage));
  if (page > pages) return notFound();
  const link = (to: number, text: string, rel: string) =>
    `<a class="${rel}" rel="${rel}" href="/c/${category.slug}?page=${to}">${text}</a>`;
  const pagination = `<nav class="pagination">${page > 1 ? link(page - 1, 'Previous', 'prev') : ''}
    <span>Page ${page} of ${pages}</span> ${page < pages ? link(page + 1, 'Next', 'next') : ''}</nav>`;
  const extra =
    category.markup === 'json-ld'
      ? jsonLd({
          '@context': 'https://schema.org',
          '@type': 'ItemList',
          itemListElement: [
            ...products.map(({ sku }, index) => ({
              '@type': 'ListItem',
              position: index + 1,
              url: `/p/${sku}`,
            })),
            // The pages that are wrong on purpose hang on the first listing of each such category.
            ...(page === 1
              ? [{ '@type': 'ListItem', url: category.slug === 'lamps' ? '/p/broken' : '/p/broken-json-ld' }]
              : []),
          ],
        })
      : '';
  const cards = products.map((entry) => card(entry, category)).join('\n');
  return html(
    layout(category.name, `<h1>${category.name}</h1><div class="grid">${cards}</div>${pagination}`, extra),
  );
}

function card(entry: Product, category: Category): string {
  const title = escape(entry.name);
  const picture = `<img src="/image/${entry.sku}" alt="" width="160" height="120">`;
  if (category.markup === 'json-ld')
    return `<article class="card"><a href="/p/${entry.sku}">${picture}<h2>${title}</h2></a><p class="money">${money(entry)}</p></article>`;
  if (category.markup === 'microdata')
    return `<article class="card" itemscope itemtype="https://schema.org/Product">
  <meta itemprop="sku" content="${entry.sku}"><a itemprop="url" href="/p/${entry.sku}"><img itemprop="image" src="/image/${entry.sku}" alt="" width="160" height="120">
  <h2 itemprop="name">${title}</h2></a>
  <p class="money" itemprop="offers" itemscope itemtype="https://schema.org/Offer">
    <meta itemprop="priceCurrency" content="${currency}"><span itemprop="price" content="${(entry.price / 100).toFixed(2)}">${money(entry)}</span>
    <link itemprop="availability" href="https://schema.org/${entry.stock > 0 ? 'InStock' : 'OutOfStock'}"></p></article>`;
  return `<article class="card product" data-sku="${entry.sku}"><a class="title" href="/p/${entry.sku}" title="${title}">${picture}<h2>${title}</h2></a>
  <p class="money price">${money(entry)}</p><p class="stock">${stockText(entry)}</p></article>`;
}

function product(sku: string, state: ShopState): Page {
  if (sku === 'broken')
    return {
      status: 500,
      type: 'text/html; charset=utf-8',
      body: layout('Broken', '<h1>This page is broken on purpose</h1>'),
    };
  if (sku === 'broken-json-ld') return brokenJsonLd();
  const entry = state.products.get(sku);
  if (!entry || !entry.listed) return notFound();
  const category = categories.find(({ slug }) => slug === entry.category) as Category;
  const extra =
    category.markup === 'json-ld'
      ? jsonLd({
          '@context': 'https://schema.org',
          '@type': 'Product',
          sku: entry.sku,
          name: entry.name,
          url: `/p/${entry.sku}`,
          image: [`/image/${entry.sku}`],
          offers: {
            '@type': 'Offer',
            price: (entry.price / 100).toFixed(2),
            priceCurrency: currency,
            availability: `https://schema.org/${entry.stock > 0 ? 'InStock' : 'OutOfStock'}`,
            inventoryLevel: { '@type': 'QuantitativeValue', value: entry.stock },
          },
        })
      : '';
  return html(
    layout(
      entry.name,
      `<div class="product-page"><img src="/image/${entry.sku}" alt="" width="320" height="240"><div>
  <h1>${escape(entry.name)}</h1><p class="money">${money(entry)}</p><p class="stock">${stockText(entry)}</p>
  <p><a href="/c/${category.slug}">All ${category.name.toLowerCase()}</a></p></div></div>`,
      extra,
    ),
  );
}

/** Its JSON-LD does not parse; its OpenGraph is whole. */
function brokenJsonLd(): Page {
  const head = `<script type="application/ld+json">{"@type":"Product","name":"The "wobbly" chair"}</script>
<meta property="og:type" content="product"><meta property="og:title" content="Wobbly chair">
<meta property="product:retailer_item_id" content="CHA-WOBBLY"><meta property="product:price:amount" content="12.50">
<meta property="product:price:currency" content="${currency}"><meta property="product:availability" content="in stock">`;
  return html(layout('Wobbly chair', '<h1>Wobbly chair</h1><p>Its JSON-LD is broken on purpose.</p>', head));
}

function home(state: ShopState): string {
  const tiles = categories.map(
    (category) =>
      `<article class="card"><a href="/c/${category.slug}"><h2>${category.name}</h2></a><p>${listed(category, state).length} products, ${
        { 'json-ld': 'JSON-LD', microdata: 'microdata', plain: 'markup only' }[category.markup]
      }</p></article>`,
  );
  return layout(
    'Demo shop',
    `<h1>Demo shop</h1><p>Sixty products whose prices drift, so that there is something to watch.</p><div class="grid">${tiles.join('')}</div>`,
  );
}

function sitemap(state: ShopState, origin: string): Page {
  const paths = [
    ...categories.map(({ slug }) => `/c/${slug}`),
    ...[...state.products.values()].filter((entry) => entry.listed).map(({ sku }) => `/p/${sku}`),
  ];
  const urls = paths.map((path) => `  <url><loc>${escape(origin + path)}</loc></url>`).join('\n');
  return {
    status: 200,
    type: 'application/xml; charset=utf-8',
    body: `<?xml version="1.0" encoding="UTF-8"?>\n<urlset xmlns="http://www.sitemaps.org/schemas/sitemap/0.9">\n${urls}\n</urlset>\n`,
  };
}

function image(sku: string, state: ShopState): Page {
  const entry = state.products.get(sku);
  if (!entry) return notFound();
  const body = `<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 160 120"><rect width="160" height="120" fill="hsl(${entry.hue} 45% 88%)"/><circle cx="80" cy="60" r="34" fill="hsl(${entry.hue} 50% 62%)"/><text x="80" y="70" font-family="sans-serif" font-size="30" text-anchor="middle" fill="#fff">${escape(entry.name.slice(0, 1))}</text></svg>`;
  return { status: 200, type: 'image/svg+xml', body };
}

function listed(category: Category, state: ShopState): Product[] {
  return [...state.products.values()].filter((entry) => entry.category === category.slug && entry.listed);
}
const money = (entry: Product) => `£${(entry.price / 100).toFixed(2)}`;
const stockText = (entry: Product) =>
  entry.stock > 0 ? `In stock (${entry.stock} available)` : 'Out of stock';
const escape = (text: string) =>
  text.replace(/[&<>"]/gu, (sign) => `&${{ '&': 'amp', '<': 'lt', '>': 'gt', '"': 'quot' }[sign]};`);
const jsonLd = (value: unknown) =>
  `<script type="application/ld+json">${JSON.stringify(value).replaceAll('<', '\\u003c')}</script>`;
const html = (body: string): Page => ({ status: 200, type: 'text/html; charset=utf-8', body });
const notFound = (): Page => ({
  status: 404,
  type: 'text/html; charset=utf-8',
  body: layout('Not here', '<h1>Not here</h1><p><a href="/">Back to the shop</a></p>'),
});

function layout(title: string, main: string, head = ''): string {
  return `<!doctype html>
<html lang="en"><head><meta charset="utf-8"><meta name="viewport" content="width=device-width, initial-scale=1"><title>${escape(title)}</title>
<style>:root{color-scheme:light dark;font:16px/1.5 system-ui,sans-serif}body{max-width:64rem;margin:0 auto;padding:1rem}header,.pagination{display:flex;gap:1rem;flex-wrap:wrap;align-items:center;margin-block:1rem}header a:first-child{font-weight:700}.grid{display:grid;grid-template-columns:repeat(auto-fill,minmax(10rem,1fr));gap:1rem}.card{border:1px solid #8884;border-radius:.75rem;padding:.75rem}.card h2{font-size:1rem;margin:.5rem 0}.card img{width:100%;height:auto;border-radius:.5rem}.money{font-weight:700;margin:.25rem 0}.stock{margin:0;opacity:.8}.product-page{display:flex;flex-wrap:wrap;gap:2rem}</style>
${head}</head><body><header><a href="/">Demo shop</a>${categories.map(({ slug, name }) => `<a href="/c/${slug}">${name}</a>`).join('')}</header><main>${main}</main></body></html>
`;
}
