// A shop whose start page lies elsewhere: `shop.example` leads to `www.shop.example`, as most shops' do.
import { createServer, type RequestListener } from 'node:http';
import type { AddressInfo } from 'node:net';
import { afterEach, expect, it } from 'vitest';
import { createPageFetcher } from '../../../functions/scraper/fetch-page.ts';
import { linkPage, productPage, simulateShop } from './simulated-shop.ts';

const closers: (() => Promise<void> | void)[] = [];
afterEach(async () => {
  for (const close of closers.splice(0).toReversed()) await close();
});
async function serve(answer: RequestListener): Promise<string> {
  const server = createServer(answer);
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve));
  closers.push(() => {
    server.closeAllConnections();
    server.close();
  });
  return `http://127.0.0.1:${(server.address() as AddressInfo).port}`;
}

it.each([
  ['is as it was', 304, { notModified: 1, failedPages: 0 }],
  ['cannot be read', 502, { notModified: 0, failedPages: 1 }],
])('redirect: when the page behind it %s, what it led to is read all the same', async (_, status, counts) => {
  let startStatus = 200;
  const www = await serve((request, response) => {
    const { url = '' } = request;
    if (url === '/') response.writeHead(startStatus, { 'content-type': 'text/html', etag: '"1"' });
    else response.writeHead(url.startsWith('/p/') ? 200 : 404, { 'content-type': 'text/html' });
    if (url === '/' && startStatus === 200) response.end(linkPage(['/p/A', '/p/B']));
    else response.end(url.startsWith('/p/') ? productPage(url.slice('/p/'.length)) : undefined);
  });
  const bare = await serve((request, response) =>
    response.writeHead(request.url === '/' ? 301 : 404, { location: `${www}/` }).end(),
  );
  const { world, run, ports } = simulateShop(() => undefined, { startUrls: [`${bare}/`] });
  const fetcher = createPageFetcher({ privateHosts: [new URL(www).host, new URL(bare).host] });
  closers.push(() => fetcher.close());
  Object.assign(ports, { fetcher });

  expect(await run()).toMatchObject({ kind: 'finished', counts: { pages: 3, itemsSeen: 2 } });
  startStatus = status;
  for (let crawl = 2; crawl <= 3; crawl++) {
    expect(await run()).toMatchObject({ kind: 'finished', counts: { ...counts, pages: 2, itemsSeen: 2 } });
    expect(world.file.map(({ sku }) => sku)).toEqual(['A', 'B']);
  }
});
