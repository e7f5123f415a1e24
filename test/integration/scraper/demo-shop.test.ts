// The demo shop itself: the same for the same seed, alive by tick, and its control endpoint guarded.
import { request as httpRequest } from 'node:http';
import { afterEach, expect, it } from 'vitest';
import { request } from 'undici';
import { sourceSchema } from '../../../contracts/source.ts';
import { createCatalogue } from '../../../emulator/services/demo-shop/catalogue.ts';
import { startDemoShop, type DemoShop } from '../../../emulator/services/demo-shop/demo-shop.ts';
import { demoSources } from '../../../emulator/services/demo-shop/sources.ts';

const shops: DemoShop[] = [];
afterEach(async () => {
  for (const shop of shops.splice(0)) await shop.close();
});
async function start(): Promise<DemoShop> {
  const shop = await startDemoShop({ host: '127.0.0.1', port: 0, seed: 3, driftEveryMs: 0 });
  shops.push(shop);
  return shop;
}

it('demo shop: 60 products, the same drift for the same seed, and every few ticks a price drops', () => {
  const one = createCatalogue(5);
  const two = createCatalogue(5);
  expect(one.state().products.size).toBe(60);
  let drops = 0;
  let away = 0;
  let returned = 0;
  for (let tick = 0; tick < 300; tick++) {
    const before = one.state().products;
    one.tick();
    two.tick();
    for (const [sku, product] of one.state().products) {
      const was = before.get(sku);
      if (was && product.price < was.price) drops++;
      if (was?.listed === true && !product.listed) away++;
      if (was?.listed === false && product.listed) returned++;
    }
  }
  expect(two.state()).toEqual(one.state());
  expect(drops).toBeGreaterThan(100);
  expect(away).toBeGreaterThan(20);
  expect(returned).toBeGreaterThan(20);
});

it('demo shop: its sources are sources of the contract', async () => {
  const shop = await start();
  for (const source of demoSources(shop.address)) expect(sourceSchema.parse(source)).toEqual(source);
});

it('demo shop: POST /control/price sets a price that the page and its ETag show', async () => {
  const shop = await start();
  const page = `${shop.address}/p/LAM-001`;
  const before = await request(page);
  await before.body.dump();
  const answer = await request(`${shop.address}/control/price`, {
    method: 'POST',
    headers: { 'content-type': 'application/json' },
    body: JSON.stringify({ sku: 'LAM-001', price: 1.5 }),
  });
  expect(await answer.body.json()).toMatchObject({ sku: 'LAM-001', price: 1.5 });
  const after = await request(page, { headers: { 'if-none-match': String(before.headers['etag']) } });
  expect(after.statusCode).toBe(200);
  expect(await after.body.text()).toContain('"price":"1.50"');
});

it.each([
  ['a foreign Origin', { origin: 'http://evil.example' }, '{"sku":"LAM-001","price":1}', 403],
  ['a foreign Host', { host: 'evil.example' }, '{"sku":"LAM-001","price":1}', 403],
  ['a form', { 'content-type': 'text/plain' }, '{"sku":"LAM-001","price":1}', 415],
  ['a negative price', {}, '{"sku":"LAM-001","price":-1}', 400],
  ['no JSON', {}, 'price=1', 400],
  ['an unknown product', {}, '{"sku":"NOPE","price":1}', 404],
  ['a body over the limit', {}, `{"sku":"${'x'.repeat(5_000)}"}`, 413],
])('demo shop: the control endpoint refuses %s', async (_, headers, body, status) => {
  const shop = await start();
  const before = shop.state();
  const answered = await new Promise<number | undefined>((resolve, reject) => {
    const sent = httpRequest(
      `${shop.address}/control/price`,
      { method: 'POST', headers: { 'content-type': 'application/json', ...headers } },
      (response) => {
        response.resume();
        resolve(response.statusCode);
      },
    );
    sent.on('error', reject);
    sent.end(body);
  });
  expect(answered).toBe(status);
  expect(shop.state()).toEqual(before);
});

it('demo shop: every link of its pages and sitemap leads somewhere', async () => {
  const shop = await start();
  const open = ['/', '/sitemap.xml'];
  const seen = new Set(open);
  for (let path = open.pop(); path !== undefined; path = open.pop()) {
    const answer = await request(shop.address + path);
    const body = await answer.body.text();
    expect([200, path === '/p/broken' ? 500 : 200]).toContain(answer.statusCode);
    for (const [, link] of body.matchAll(/(?:href|src)="(\/[^"]*)"|<loc>http:\/\/[^/]+([^<]+)/gu))
      if (link !== undefined && !seen.has(link)) {
        seen.add(link);
        open.push(link);
      }
  }
  expect([...seen].filter((path) => path.startsWith('/p/')).length).toBeGreaterThanOrEqual(60);
});
