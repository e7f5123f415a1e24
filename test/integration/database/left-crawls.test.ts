// What a start does with the crawls that the system before it left open.
import { expect, test } from 'vitest';
import { giveBackCrawlsIn } from '../../../emulator/instance/left-crawls.ts';
import { demoShopSource, demoSources } from '../../../emulator/services/demo-shop/sources.ts';
import type { Store } from '../../../nodes/store.ts';
import { lead, useDatabases } from './fresh-database.ts';

const databases = useDatabases();
const take = (store: Store) => store.takeCrawl(1, { owner: 'scraper/1', leaseMs: 60_000, source: undefined });

async function withDemo() {
  const { store, connect } = await databases.fresh();
  await lead(store);
  for (const source of await store.sources()) await store.putSource(1, { ...source, enabled: false });
  for (const source of demoSources('http://127.0.0.1:7430')) await store.putSource(1, source);
  return { store, client: await connect() };
}

test('a crawl that was under way goes on at once at a shop that has kept its address', async () => {
  const { store, client } = await withDemo();
  const left = await take(store);
  expect(left?.source.name).toBe(demoShopSource);
  expect(await take(store)).toBeUndefined();
  await giveBackCrawlsIn(client, 'http://127.0.0.1:7430');
  expect((await take(store))?.crawlId).toBe(left?.crawlId);
});

test('one whose shop has another address is given up, and a new one is due at once', async () => {
  const { store, client } = await withDemo();
  const left = await take(store);
  await giveBackCrawlsIn(client, 'http://127.0.0.1:7431');
  for (const source of demoSources('http://127.0.0.1:7431')) await store.putSource(1, source);
  const next = await take(store);
  expect(next).toMatchObject({ intake: (left?.intake ?? 0) + 1, resumed: false });
  const { intake } = left ?? {};
  const given = (await store.recentCrawls(9)).find((crawl) => crawl.intake === intake);
  expect(given).toMatchObject({ source: demoShopSource, status: 'failed' });
});
