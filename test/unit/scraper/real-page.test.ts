// A real listing page with twenty books, kept outside the repository (BATON_REAL_PAGES names its folder).
import { existsSync, readFileSync } from 'node:fs';
import { join } from 'node:path';
import { expect, it } from 'vitest';
import { extractItems } from '../../../functions/scraper/extract-items.ts';

const folder =
  process.env['BATON_REAL_PAGES'] ?? join(import.meta.dirname, '../../../../shared/data/real-pages');
const file = join(folder, 'books-index.html');
const present = existsSync(file);
const html = present ? readFileSync(file, 'utf8') : '';

function readBooks() {
  return extractItems({
    html,
    url: 'https://books.toscrape.com/index.html',
    source: {
      currency: 'GBP',
      selectors: {
        item: 'article.product_pod',
        title: 'h3 a@title',
        price: '.price_color',
        stock: '.availability',
        url: 'h3 a@href',
        image: 'img@src',
        next: 'li.next a@href',
      },
    },
  });
}

const title = present
  ? 'real page: twenty books are read with title, price and stock'
  : `real page: NOT CHECKED, ${file} is absent`;
it.for([title])('%s', (_, context) => {
  context.skip(!present);
  const page = readBooks();
  expect(page.problems).toEqual([]);
  expect(page.items).toHaveLength(20);
  // Counted in the file with grep, by another reading than the extractor's.
  const prices = [...html.matchAll(/<p class="price_color">£([0-9.]+)<\/p>/gu)].map((match) =>
    Number(match[1]),
  );
  expect(page.items.map(({ price }) => price)).toEqual(prices);
  expect(page.items.every(({ currency, inStock }) => currency === 'GBP' && inStock)).toBe(true);
  expect(html.match(/In stock/gu)).toHaveLength(20);
  expect(page.items[0]).toEqual({
    sku: '/catalogue/a-light-in-the-attic_1000/index.html',
    title: 'A Light in the Attic',
    url: 'https://books.toscrape.com/catalogue/a-light-in-the-attic_1000/index.html',
    imageUrl: 'https://books.toscrape.com/media/cache/2c/da/2cdad67c44b002e7ead0cc35693c0e8b.jpg',
    price: 51.77,
    currency: 'GBP',
    inStock: true,
    stock: null,
  });
  expect(page.next).toBe('https://books.toscrape.com/catalogue/page-2.html');
});
