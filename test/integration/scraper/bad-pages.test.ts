// Pages and shops that are wrong, over real sockets: each ends in an outcome that says what, none in a throw.
import { createServer, type RequestListener, type Server } from 'node:http';
import type { AddressInfo } from 'node:net';
import { gzipSync } from 'node:zlib';
import { afterEach, describe, expect, it } from 'vitest';
import {
  createPageFetcher,
  fetchLimitsDefault,
  type PageFetcher,
} from '../../../functions/scraper/fetch-page.ts';

const closers: (() => Promise<void> | void)[] = [];
afterEach(async () => {
  for (const close of closers.splice(0).toReversed()) await close();
});

async function serve(answer: RequestListener): Promise<string> {
  const server: Server = createServer((request, response) => {
    response.on('error', () => undefined);
    answer(request, response);
  });
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve));
  closers.push(() => {
    server.closeAllConnections();
    server.close();
  });
  return `http://127.0.0.1:${(server.address() as AddressInfo).port}`;
}
function fetcherFor(address: string, limits = {}): PageFetcher {
  const fetcher = createPageFetcher({
    privateHosts: [new URL(address).host],
    limits: { ...fetchLimitsDefault, ...limits },
  });
  closers.push(() => fetcher.close());
  return fetcher;
}
const html = { 'content-type': 'text/html; charset=utf-8' };

describe('bad pages', () => {
  it('bad page: one that never answers is given up in time', async () => {
    const address = await serve(() => undefined);
    const startedAt = performance.now();
    const fetcher = fetcherFor(address, { totalMs: 400, headersMs: 300 });
    const answer = await fetcher.fetchPage({ url: `${address}/` });
    expect(answer).toMatchObject({ kind: 'failed', unreachable: true });
    expect(performance.now() - startedAt).toBeLessThan(3_000);
  });

  it('bad page: an endless one ends at the byte cap, a trickling one at the time cap', async () => {
    const address = await serve((request, response) => {
      response.writeHead(200, html);
      if (request.url === '/trickle') {
        const timer = setInterval(() => response.write('<p>'), 50);
        response.on('close', () => clearInterval(timer));
        return;
      }
      const pour = () => {
        while (!response.destroyed && response.write('<p>'.repeat(10_000)));
      };
      response.on('drain', pour);
      pour();
    });
    const capped = fetcherFor(address, { bytesMax: 1_000_000 });
    expect(await capped.fetchPage({ url: `${address}/endless` })).toMatchObject({
      reason: 'larger than 1000000 bytes',
    });
    expect(
      await fetcherFor(address, { totalMs: 2_000 }).fetchPage({ url: `${address}/trickle` }),
    ).toMatchObject({
      reason: 'no whole answer within 2000 ms',
    });
  });

  it('bad page: 20 MB announced is refused unread, a gzip bomb ends at the cap of what it unpacks to', async () => {
    const bomb = gzipSync(Buffer.alloc(20 * 1024 * 1024, '<p>'));
    expect(bomb.length).toBeLessThan(100_000);
    const address = await serve((request, response) => {
      if (request.url === '/bomb') response.writeHead(200, { ...html, 'content-encoding': 'gzip' }).end(bomb);
      else response.writeHead(200, { ...html, 'content-length': 20 * 1024 * 1024 }).flushHeaders();
    });
    const fetcher = fetcherFor(address);
    expect(await fetcher.fetchPage({ url: `${address}/huge` })).toMatchObject({
      reason: '20971520 bytes announced, 5242880 allowed',
    });
    expect(await fetcher.fetchPage({ url: `${address}/bomb` })).toMatchObject({
      reason: 'larger than 5242880 bytes',
    });
  });

  it('bad page: what is not HTML is refused by its type, and by its bytes when the type lies', async () => {
    const address = await serve((request, response) => {
      if (request.url === '/pdf')
        response.writeHead(200, { 'content-type': 'application/pdf' }).end('%PDF-1.7');
      else response.writeHead(200, html).end(Buffer.from([0x89, 0x50, 0x3c, 0, 0, 1]));
    });
    const fetcher = fetcherFor(address);
    expect(await fetcher.fetchPage({ url: `${address}/pdf` })).toMatchObject({
      reason: 'not HTML: application/pdf',
    });
    expect(await fetcher.fetchPage({ url: `${address}/lie` })).toMatchObject({
      reason: 'not HTML, whatever its type says',
    });
  });

  it('bad page: a sitemap that was packed before it was sent is unpacked, a bomb ends at the cap', async () => {
    const sitemap = '<?xml version="1.0"?><urlset></urlset>';
    const types: Record<string, string> = {
      '/typed': 'application/x-gzip',
      '/sitemap.xml.gz': 'application/octet-stream',
      '/mistyped': 'text/xml',
      '/any': 'application/octet-stream',
      '/bomb.gz': 'application/gzip',
      '/cut.gz': 'application/gzip',
    };
    const address = await serve((request, response) => {
      const path = request.url ?? '';
      const body = gzipSync(path === '/bomb.gz' ? Buffer.alloc(20 * 1024 * 1024, '<p>') : sitemap);
      response
        .writeHead(200, { 'content-type': types[path] })
        .end(path === '/cut.gz' ? body.subarray(0, 20) : body);
    });
    const fetcher = fetcherFor(address);
    for (const path of ['/typed', '/sitemap.xml.gz', '/mistyped'])
      expect(await fetcher.fetchPage({ url: address + path })).toMatchObject({ kind: 'page', body: sitemap });
    expect(await fetcher.fetchPage({ url: `${address}/any` })).toMatchObject({
      reason: 'not HTML: application/octet-stream',
    });
    expect(await fetcher.fetchPage({ url: `${address}/bomb.gz` })).toMatchObject({
      reason: 'larger than 5242880 bytes',
    });
    expect(await fetcher.fetchPage({ url: `${address}/cut.gz` })).toMatchObject({ kind: 'failed' });
  });

  it('bad page: a wrong charset is read as what it is, with a note', async () => {
    const address = await serve((_, response) =>
      response.writeHead(200, html).end(Buffer.from('<p>Caf\xe9', 'latin1')),
    );
    expect(await fetcherFor(address).fetchPage({ url: `${address}/` })).toMatchObject({
      kind: 'page',
      body: '<p>Café',
      note: 'labelled utf-8 without being it, read as windows-1252',
    });
  });

  it('bad page: a connection cut in the middle is a failure, gzip or not', async () => {
    const whole = gzipSync(Buffer.from('<p>'.repeat(100_000)));
    const address = await serve((request, response) => {
      response.writeHead(200, {
        ...html,
        'content-length': 100_000,
        ...(request.url === '/gz' ? { 'content-encoding': 'gzip' } : {}),
      });
      response.write(request.url === '/gz' ? whole.subarray(0, 100) : '<p>half');
      setTimeout(() => response.destroy(), 20);
    });
    const fetcher = fetcherFor(address);
    for (const path of ['/', '/gz'])
      expect(await fetcher.fetchPage({ url: address + path })).toMatchObject({
        kind: 'failed',
        unreachable: true,
      });
  });

  it('bad shop: 500 fails, 404 is gone, 429 and 503 say when to come back', async () => {
    const address = await serve((request, response) =>
      response.writeHead(Number(request.url?.slice(1)), { ...html, 'retry-after': '7' }).end('<h1>no</h1>'),
    );
    const fetcher = fetcherFor(address);
    const answers = [];
    for (const path of ['/500', '/404', '/429', '/503'])
      answers.push(await fetcher.fetchPage({ url: address + path }));
    expect(answers).toEqual([
      { kind: 'failed', reason: 'HTTP 500', unreachable: false },
      { kind: 'gone', reason: 'HTTP 404' },
      { kind: 'wait', afterMs: 7_000, reason: 'HTTP 429' },
      { kind: 'wait', afterMs: 7_000, reason: 'HTTP 503' },
    ]);
  });
});

describe('addresses and redirects', () => {
  it('address: loopback is refused by number and by name, unless its very host and port are named', async () => {
    let asked = 0;
    const address = await serve((_, response) => {
      asked++;
      response.writeHead(200, html).end('<p>secret');
    });
    const { port } = new URL(address);
    const fetcher = createPageFetcher({ privateHosts: ['127.0.0.1:1'] });
    closers.push(() => fetcher.close());
    for (const url of [
      address,
      `http://localhost:${port}/`,
      `http://[::ffff:127.0.0.1]:${port}/`,
      `http://2130706433:${port}/`,
    ])
      expect(await fetcher.fetchPage({ url })).toMatchObject({
        kind: 'failed',
        reason: expect.stringContaining('private or reserved address') as string,
      });
    expect(asked).toBe(0);
  });

  it('redirect: its target is checked again, so a shop cannot send us to a neighbour', async () => {
    let asked = 0;
    const inner = await serve((_, response) => {
      asked++;
      response.end('<p>secret');
    });
    const address = await serve((_, response) =>
      response.writeHead(302, { location: `${inner}/latest` }).end(),
    );
    expect(await fetcherFor(address).fetchPage({ url: `${address}/` })).toMatchObject({
      kind: 'failed',
      reason: expect.stringContaining('private or reserved address') as string,
    });
    expect(asked).toBe(0);
  });

  it('redirect: a loop ends, another scheme and what robots.txt forbids are refused', async () => {
    const address = await serve((request, response) =>
      response.writeHead(302, { location: request.url === '/scheme' ? 'file:///etc/passwd' : '/loop' }).end(),
    );
    const fetcher = fetcherFor(address);
    expect(await fetcher.fetchPage({ url: `${address}/loop` })).toMatchObject({
      reason: 'more than 5 redirects',
    });
    expect(await fetcher.fetchPage({ url: `${address}/scheme` })).toMatchObject({
      reason: 'file: is not http or https',
    });
    expect(
      await fetcher.fetchPage({
        url: `${address}/loop`,
        refuses: () => Promise.resolve('robots.txt forbids it'),
      }),
    ).toMatchObject({ reason: `redirected to ${address}/loop: robots.txt forbids it` });
  });

  it('conditional: an ETag is sent back and 304 is not an answer with a body', async () => {
    const address = await serve((request, response) => {
      if (request.headers['if-none-match'] === '"1"') response.writeHead(304).end();
      else response.writeHead(200, { ...html, etag: '"1"' }).end('<p>');
    });
    const fetcher = fetcherFor(address);
    const first = await fetcher.fetchPage({ url: `${address}/` });
    expect(first).toMatchObject({ kind: 'page', validators: { etag: '"1"' } });
    expect(
      await fetcher.fetchPage({ url: `${address}/`, validators: { etag: '"1"', lastModified: null } }),
    ).toEqual({ kind: 'not-modified' });
  });
});
