// `baton source try` as a process, against a shop on this machine: what it prints, what it refuses, and how it ends.
import { execFile } from 'node:child_process';
import { mkdtemp, rm, writeFile } from 'node:fs/promises';
import { createServer, type Server } from 'node:http';
import type { AddressInfo } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { promisify } from 'node:util';
import { afterEach, beforeEach, expect, test } from 'vitest';

const cli = fileURLToPath(new URL('../../../emulator/cli.ts', import.meta.url));
let folder: string;
let server: Server;
let shop: string;
let asked: { path: string; agent: string }[];
let pages: Record<string, string>;
beforeEach(async () => {
  folder = await mkdtemp(join(tmpdir(), 'baton-try-'));
  asked = [];
  pages = {
    '/': '<li data-sku="A"><b>A lamp</b><i class="price">9.50 €</i><a href="/p/A"></a></li><a rel="next" href="/2">',
  };
  server = createServer((request, response) => {
    const { url = '' } = request;
    asked.push({ path: url, agent: request.headers['user-agent'] ?? '' });
    const page = pages[url];
    response
      .writeHead(page === undefined ? 404 : 200, { 'content-type': 'text/html; charset=utf-8' })
      .end(page);
  });
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve));
  shop = `127.0.0.1:${(server.address() as AddressInfo).port}`;
});
afterEach(async () => {
  server.closeAllConnections();
  server.close();
  await rm(folder, { recursive: true, force: true });
});

const tryIt = (...words: string[]) =>
  promisify(execFile)(process.execPath, [cli, 'source', 'try', ...words], { timeout: 25_000 }).then(
    ({ stdout, stderr }) => ({ code: 0, stdout, stderr }),
    (error: { code: number; stdout: string; stderr: string }) => error,
  );
async function sourceFile(selectors: object): Promise<string> {
  const file = join(folder, 'shop.json');
  const source = { kind: 'shop', name: 'shop', startUrls: [`http://${shop}/`], everySeconds: 60 };
  await writeFile(file, JSON.stringify({ ...source, currency: 'EUR', selectors }));
  return file;
}
const selectors = { item: 'li', sku: '@data-sku', title: 'b', price: '.price', url: 'a@href' };

test('a page is read by the selectors of a file, and its items, next page and problems are printed', async () => {
  const file = await sourceFile({ ...selectors, price: '.preis' });
  const { code, stdout } = await tryIt(file, '--private-shop', shop);
  expect(code).toBe(0);
  expect(stdout).toMatch(/Items \(1\)\n.*\n +A +no price +in stock +A lamp\n/);
  expect(stdout).toContain(`next page  http://${shop}/2\n`);
  expect(stdout).toContain('Problems (1)\n  no item answers the selector of its price, ".preis"\n');
  expect(asked.map(({ path }) => path)).toEqual(['/robots.txt', '/']);
});

test('as JSON it is one line, of another page too, and each request says whom to ask', async () => {
  pages['/p/A'] = pages['/'] ?? '';
  const words = ['--private-shop', shop, '--json', '--contact', 'https://example.org/bot'];
  const { stdout } = await tryIt(await sourceFile(selectors), `http://${shop}/p/A`, ...words);
  expect(JSON.parse(stdout)).toMatchObject({
    url: `http://${shop}/p/A`,
    items: [{ sku: 'A', price: 9.5, currency: 'EUR' }],
    links: [],
    problems: [],
  });
  expect(asked.at(-1)).toEqual({
    path: '/p/A',
    agent: 'BatonBot/1.0 (+https://example.org/bot; catalogue monitor; obeys robots.txt)',
  });
});

test('what robots.txt forbids is not asked for, and a page that is not there is named', async () => {
  pages['/robots.txt'] = 'User-agent: *\nDisallow: /p/';
  const forbidden = await tryIt(`http://${shop}/p/A`, '--private-shop', shop);
  expect(forbidden).toMatchObject({
    code: 1,
    stderr: `http://${shop}/p/A: robots.txt forbids it to BatonBot\n`,
  });
  expect(asked.map(({ path }) => path)).toEqual(['/robots.txt']);
  expect(await tryIt(`http://${shop}/nowhere`, '--private-shop', shop)).toMatchObject({
    code: 1,
    stderr: `http://${shop}/nowhere: HTTP 404\n`,
  });
});

test('an address of this machine is read only when it is named, and no other one with it', async () => {
  const stderr = expect.stringContaining(`if it is a shop of yours, add --private-shop ${shop}`);
  expect(await tryIt(`http://${shop}/`)).toMatchObject({ code: 2, stderr });
  expect(await tryIt(`http://${shop}/`, '--private-shop', '127.0.0.1:1')).toMatchObject({ code: 2, stderr });
  expect(asked).toEqual([]);
  pages['/robots.txt'] = '';
  server.removeAllListeners('request');
  server.on('request', (request, response) => {
    if (request.url === '/robots.txt') response.writeHead(404).end();
    else response.writeHead(302, { location: 'http://127.0.0.2:9/secret' }).end();
  });
  expect(await tryIt(`http://${shop}/`, '--private-shop', shop)).toMatchObject({
    code: 1,
    stderr: expect.stringContaining('127.0.0.2:9 is the private or reserved address 127.0.0.2'),
  });
});

test.each([
  ['a selector that is none', { item: 'li[', title: 'b' }, 'selectors.item: "li[" is no CSS selector'],
  ['a field that is missing', { item: 'li' }, 'selectors.title: missing'],
])('of a file with %s it says which', async (_, wrong, words) => {
  const file = await sourceFile(wrong);
  expect(await tryIt(file)).toMatchObject({
    code: 2,
    stderr: expect.stringContaining(`${file} is no source: ${words}`),
  });
});
