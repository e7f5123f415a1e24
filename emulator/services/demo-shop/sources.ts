// The sources that `baton up` enters for the demo: the shop as one crawl, and a partner for files by hand.
import type { Source } from '../../../contracts/source.ts';
import { categories } from './catalogue.ts';

export const demoShopSource = 'demo-shop';
const demoPartnerSource = 'demo-partner';

export function demoSources(shopUrl: string): Source[] {
  return [
    {
      kind: 'shop',
      name: demoShopSource,
      startUrls: categories.map(({ slug }) => new URL(`/c/${slug}`, shopUrl).href),
      everySeconds: 20,
      currency: 'GBP',
      selectors: {
        item: 'article.product',
        sku: '@data-sku',
        title: 'a.title@title',
        price: '.price',
        stock: '.stock',
        url: 'a.title@href',
        image: 'img@src',
      },
      // Forty requests within two seconds: the shop is ours and asks for no delay.
      requestEveryMs: 40,
      pagesMax: 200,
      vanishShareMax: 0.5,
      enabled: true,
    },
    {
      kind: 'partner',
      name: demoPartnerSource,
      currency: 'EUR',
      snapshot: false,
      badRowsShareMax: 0.1,
      vanishShareMax: 0.5,
      enabled: true,
    },
  ];
}
