// A listing page to items, beside cheerio, with which most JavaScript scrapers read pages. Both take the same six fields of
// the same page; ours also judges each item by its schema and looks for structured data, a next page and links.
import { readFile } from 'node:fs/promises';
import { extractItems } from '../functions/scraper/extract-items.ts';
import { median, round, type Bench } from './bench.ts';
import { howToInstall, loadPeer } from './peers/installed.ts';

const itemsPerPage = 20;
const pagesPerTurn = 300;
const selectors = {
  item: 'article.product_pod',
  title: 'h3 a@title',
  price: '.price_color',
  stock: '.availability',
  url: 'h3 a@href',
  image: 'img@src',
  next: 'li.next a@href',
};
const url = 'https://shop.example/index.html';

interface Cheerio {
  find(selector: string): Cheerio;
  attr(name: string): string | undefined;
  text(): string;
  toArray(): unknown[];
}
interface CheerioModule {
  load(html: string): (selector: unknown) => Cheerio;
}

export const bench: Bench = async ({ rounds }) => {
  const cheerio = loadPeer('cheerio') as CheerioModule | undefined;
  // A page of one's own may be named: its articles have to look like those below.
  const file = process.env['BATON_BENCH_PAGE'];
  const html = file === undefined ? listing() : await readFile(file, 'utf8');
  const ways = { ours: () => readOurs(html), peer: cheerio && (() => readWithCheerio(cheerio, html)) };
  for (const [name, read] of Object.entries(ways))
    if (read && read() !== itemsPerPage)
      throw new Error(`${name} reads ${read()} items, not ${itemsPerPage}`);
  const ours: number[] = [];
  const peer: number[] = [];
  // The first turn compiles what is hot, and counts for nothing.
  for (let turn = 0; turn <= rounds; turn++) {
    const rates = { ours: pagesPerSecond(ways.ours), peer: ways.peer && pagesPerSecond(ways.peer) };
    if (turn === 0) continue;
    ours.push(rates.ours);
    if (rates.peer !== undefined) peer.push(rates.peer);
  }
  const ratio = peer.length > 0 ? median(ours) / median(peer) : null;
  return [
    {
      what: `a listing of ${itemsPerPage} items, ${Math.round(html.length / 1_024)} KB, beside cheerio${ratio === null ? ` (not installed: ${howToInstall})` : ''}`,
      unit: 'pages/s',
      ours: round(median(ours)),
      peer: peer.length > 0 ? round(median(peer)) : null,
      ratio: ratio === null ? null : round(ratio, 2),
      goal: '>= 1 of cheerio',
      met: ratio === null ? null : ratio >= 1,
    },
  ];
};

/** Processor time and not the clock: neither way waits for anything. */
function pagesPerSecond(read: () => number): number {
  const before = process.cpuUsage();
  for (let page = 0; page < pagesPerTurn; page++) read();
  const { user, system } = process.cpuUsage(before);
  return pagesPerTurn / ((user + system) / 1e6);
}

function readOurs(html: string): number {
  return extractItems({ html, url, source: { currency: 'GBP', selectors } }).items.length;
}

function readWithCheerio(cheerio: CheerioModule, html: string): number {
  const $ = cheerio.load(html);
  const items = $(selectors.item)
    .toArray()
    .map((element) => {
      const article = $(element);
      const link = article.find('h3 a');
      return {
        title: link.attr('title'),
        url: new URL(link.attr('href') ?? '', url).href,
        price: Number(
          article
            .find('.price_color')
            .text()
            .replaceAll(/[^\d.]/g, ''),
        ),
        inStock: article.find('.availability').text().includes('In stock'),
        imageUrl: new URL(article.find('img').attr('src') ?? '', url).href,
      };
    });
  $('li.next a').attr('href');
  return items.length;
}

/** As large as a listing of a real shop, most of it what surrounds the items. */
function listing(): string {
  const categories = Array.from(
    { length: 50 },
    (_, index) =>
      `            <li>\n                <a href="catalogue/category/${index}/index.html">\n                    Category ${index}\n                </a>\n            </li>`,
  );
  const articles = Array.from(
    { length: itemsPerPage },
    (_, index) => `        <li class="col-xs-6 col-sm-4 col-md-3 col-lg-3">
          <article class="product_pod">
            <div class="image_container">
              <a href="catalogue/item-${index}/index.html"><img src="media/${index}.jpg" alt="Item ${index}" class="thumbnail"></a>
            </div>
            <p class="star-rating Three"><i class="icon-star"></i><i class="icon-star"></i><i class="icon-star"></i></p>
            <h3><a href="catalogue/item-${index}/index.html" title="Item ${index} in a title of the usual length">Item ${index} in a ...</a></h3>
            <div class="product_price">
              <p class="price_color">£${index + 10}.77</p>
              <p class="instock availability"><i class="icon-ok"></i> In stock </p>
              <form><button type="submit" class="btn btn-primary btn-block">Add to basket</button></form>
            </div>
          </article>
        </li>`,
  );
  return `<!DOCTYPE html>
<html lang="en-us"><head><title>All products</title><link rel="stylesheet" href="styles.css"></head>
<body class="default"><div class="container-fluid page"><aside><ul class="nav nav-list">
${categories.join('\n')}
</ul></aside><section><ol class="row">
${articles.join('\n')}
</ol><ul class="pager"><li class="current">Page 1 of 50</li><li class="next"><a href="catalogue/page-2.html">next</a></li></ul></section></div></body></html>`;
}
