// Crawls of shops that are too large, too slow or too cross to be served over HTTP in a test: pages come from a function, the
// leader keeps what its contract says or is the store that is given, the broker takes everything.
import { hash } from 'node:crypto';
import type { ItemPage } from '../../../contracts/item-page.ts';
import type { Item } from '../../../contracts/item.ts';
import {
  crawlRequestSchema,
  crawlUpdateSchema,
  routes,
  type CrawlUpdate,
  type PackedCrawlState,
} from '../../../contracts/node-api.ts';
import { shopSourceSchema, type ShopSource } from '../../../contracts/source.ts';
import { crawlNext, type CrawlPorts } from '../../../functions/scraper/crawl.ts';
import type { Fetched, FetchPageRequest } from '../../../functions/scraper/fetch-page.ts';
import type { Store } from '../../../nodes/store.ts';
import { createLogger } from '../../../runtime/logger.ts';

export const shopOrigin = 'https://shop.example';

export function simulateShop(
  pages: (path: string) => string | Fetched | undefined,
  change: Partial<ShopSource> = {},
  store?: Store,
) {
  const world = {
    source: shopSourceSchema.parse({
      kind: 'shop',
      name: 'shop',
      startUrls: [`${shopOrigin}/`],
      everySeconds: 3_600,
      requestEveryMs: 0,
      pagesMax: 100_000,
      ...change,
    }),
    requests: [] as { path: string; at: number }[],
    items: [] as Item[],
    file: [] as Item[],
    updates: [] as (CrawlUpdate & { at: number })[],
    state: null as PackedCrawlState | null,
    status: 'finished' as CrawlUpdate['status'],
    intake: 0,
    depth: 0,
    /** May throw what becomes of it. */
    atUpdate: (_update: CrawlUpdate): void => undefined,
  };

  function fetchPage({ url, validators }: FetchPageRequest): Promise<Fetched> {
    const { pathname, search } = new URL(url);
    world.requests.push({ path: pathname + search, at: performance.now() });
    const body = pages(pathname + search);
    if (body === undefined) return Promise.resolve({ kind: 'gone', reason: 'HTTP 404' });
    if (typeof body !== 'string') return Promise.resolve(body);
    const etag = hash('sha256', body);
    return Promise.resolve(
      validators?.etag === etag
        ? { kind: 'not-modified' }
        : { kind: 'page', url, body, note: undefined, validators: { etag, lastModified: null } },
    );
  }

  async function leader(path: string, json: unknown): Promise<unknown> {
    if (path === routes.crawls) {
      if (store) return await store.takeCrawl(1, crawlRequestSchema.parse(json));
      const resumed = world.status !== 'finished';
      if (!resumed) world.intake++;
      world.status = 'running';
      const { source, intake, state } = world;
      return { crawlId: crypto.randomUUID(), source, intake, state, resumed };
    }
    if (path === routes.events) return undefined;
    const update = crawlUpdateSchema.parse(json);
    world.atUpdate(update);
    world.updates.push({ ...update, at: performance.now() });
    if (store) await store.updateCrawl(1, path.split('/').at(-1) ?? '', update);
    world.state = update.state ?? world.state;
    world.status = update.status;
    return undefined;
  }

  const ports: CrawlPorts = {
    fetcher: { fetchPage, close: () => Promise.resolve() },
    logger: createLogger({ process: 'test', write: () => undefined }),
    broker: {
      depth: () => Promise.resolve(world.depth),
      publish: async ({ type, body }) => {
        await Promise.resolve();
        if (type === 'item-page')
          world.items.push(...((JSON.parse(String(body)) as ItemPage).items as Item[]));
      },
    },
    deposit: async ({ bytes }) => {
      await Promise.resolve();
      const lines = bytes.toString('utf8').split('\n').filter(Boolean);
      world.file = lines.map((line) => JSON.parse(line) as Item);
    },
    leader: {
      call: async ({ path, json }) => {
        // As it travels.
        const answer = await leader(path, JSON.parse(JSON.stringify(json)));
        return answer === undefined
          ? { status: 204, term: 1, json: undefined }
          : { status: 200, term: 1, json: JSON.parse(JSON.stringify(answer)) };
      },
    },
  };
  const run = (budgetMs = 300_000) =>
    crawlNext(ports, { owner: 'scraper/test', deadline: performance.now() + budgetMs });
  return { world, run, ports };
}

export function productPage(...skus: string[]): string {
  return page(
    ...skus.map((sku) => ({
      '@type': 'Product',
      sku,
      name: `The ${sku} of the house`,
      url: `/p/${sku}`,
      offers: { price: '12.50', priceCurrency: 'EUR' },
    })),
  );
}
/** A listing that names no item, only where they are. */
export function linkPage(paths: readonly string[]): string {
  return page({ '@type': 'ItemList', itemListElement: paths.map((url) => ({ '@type': 'ListItem', url })) });
}
export function sitemap(paths: readonly string[]): string {
  return `<?xml version="1.0"?><urlset>${paths.map((path) => `<url><loc>${shopOrigin}${path}</loc></url>`).join('')}</urlset>`;
}
function page(...graph: object[]): string {
  return `<!doctype html><script type="application/ld+json">${JSON.stringify({ '@graph': graph })}</script>`;
}
