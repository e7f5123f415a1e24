// A small web shop on loopback for the scraper to read: deterministic by seed and tick, with ETags, robots.txt,
// a sitemap, pages that are wrong on purpose, and faults that tests switch on. Sells nothing.
import { createHash } from 'node:crypto';
import type { IncomingMessage, ServerResponse } from 'node:http';
import { z } from 'zod';
import { describeIssues, issuesOf } from '../../../runtime/issues.ts';
import { parseJson } from '../../../runtime/parse-json.ts';
import { answerJson, closeServer, isLocalRequest, listenLocally, readBody } from '../../local-http.ts';
import { createCatalogue, type ShopState } from './catalogue.ts';
import { renderPage } from './pages.ts';

export const shopFaults = [
  'rate-limit',
  'error',
  'hang',
  'endless',
  'huge',
  'wrong-charset',
  'not-html',
] as const;
export type ShopFault = (typeof shopFaults)[number];

export interface DemoShopOptions {
  readonly host: string;
  /** 0 takes a free one. */
  readonly port: number;
  /** As what other containers ask it, where it is one: see LocalAddress. */
  readonly publicUrl?: string | undefined;
  readonly seed: number;
  /** 0: prices move only by tick() and setPrice(). */
  readonly driftEveryMs: number;
  /** The delay that robots.txt asks for; none when undefined. */
  readonly crawlDelaySeconds?: number | undefined;
}
export interface DemoShop {
  readonly name: 'demo-shop';
  /** http://host:port */
  readonly address: string;
  readonly port: number;
  state(): ShopState;
  tick(): void;
  /** Pence. False for an unknown sku. */
  setPrice(sku: string, price: number): boolean;
  /** Takes a product out of the shop, or brings it back. */
  setListed(sku: string, listed: boolean): boolean;
  /** Breaks the answers for paths that begin with `path`, `times` of them. */
  fault(path: string, fault: ShopFault, times?: number): void;
  clearFaults(): void;
  /** Every page asked for so far (the last 10,000), with its answer. */
  requests(): readonly { readonly path: string; readonly status: number; readonly at: number }[];
  close(): Promise<void>;
}

const requestsKept = 10_000;
const controlBytesMax = 4_096;
const hugeBytes = 20 * 1024 * 1024;
const priceChangeSchema = z.strictObject({
  sku: z.string(),
  /** Pounds, two decimals. */
  price: z.number().min(0.01).max(100_000),
});

export async function startDemoShop(options: DemoShopOptions): Promise<DemoShop> {
  const catalogue = createCatalogue(options.seed);
  const faults: { path: string; fault: ShopFault; times: number }[] = [];
  const requests: { path: string; status: number; at: number }[] = [];

  const { host, publicUrl } = options;
  const containerName = publicUrl === undefined ? undefined : new URL(publicUrl).hostname;
  const { server, port } = await listenLocally(
    (request, response) => {
      response.on('error', () => undefined); // The reader went away; there is nobody to tell.
      void answer(request, response).catch(() => response.destroy());
    },
    { host, port: options.port, containerName },
  );
  server.maxConnections = 200;
  const address = publicUrl ?? `http://${host.includes(':') ? `[${host}]` : host}:${port}`;

  async function answer(request: IncomingMessage, response: ServerResponse): Promise<void> {
    const url = new URL(request.url ?? '/', address);
    const path = url.pathname + url.search;
    if (url.pathname === '/control/price') return await control(request, response);
    const note = (status: number) => {
      if (requests.length >= requestsKept) requests.shift();
      requests.push({ path, status, at: performance.now() });
    };
    const fault = takeFault(path);
    if (fault !== undefined) {
      note({ 'rate-limit': 429, error: 500 }[fault as string] ?? 200);
      return misbehave(fault, response);
    }
    if (request.method !== 'GET' && request.method !== 'HEAD') {
      note(405);
      response.writeHead(405, { allow: 'GET, HEAD' }).end();
      return;
    }
    const page = renderPage(url.pathname, url.searchParams, catalogue.state(), address);
    const body =
      url.pathname === '/robots.txt' && options.crawlDelaySeconds !== undefined
        ? page.body.replace('User-agent: *\n', `User-agent: *\nCrawl-delay: ${options.crawlDelaySeconds}\n`)
        : page.body;
    const etag = `"${createHash('sha256').update(body).digest('base64url').slice(0, 22)}"`;
    const unmodified = page.status === 200 && request.headers['if-none-match'] === etag;
    note(unmodified ? 304 : page.status);
    if (unmodified) {
      response.writeHead(304, { etag }).end();
      return;
    }
    response.writeHead(page.status, {
      'content-type': page.type,
      'content-length': Buffer.byteLength(body),
      'cache-control': 'no-cache',
      ...(page.status === 200 ? { etag } : {}),
    });
    response.end(request.method === 'HEAD' ? undefined : body);
  }

  function takeFault(path: string): ShopFault | undefined {
    const found = faults.find((entry) => path.startsWith(entry.path));
    if (!found) return undefined;
    found.times--;
    if (found.times <= 0) faults.splice(faults.indexOf(found), 1);
    return found.fault;
  }

  /** POST { "sku", "price" }, for `baton` and tests: a page of another site cannot send JSON here without asking first. */
  async function control(request: IncomingMessage, response: ServerResponse): Promise<void> {
    const reply = (status: number, body: unknown) => answerJson(response, status, body);
    if (request.method !== 'POST') return reply(405, { error: 'POST { "sku", "price" } here' });
    if (!isLocalRequest(request)) return reply(403, { error: 'only from this machine, by its own name' });
    if (!/^application\/json\b/u.test(request.headers['content-type'] ?? ''))
      return reply(415, { error: 'the body has to be application/json' });
    const body = await readBody(request, controlBytesMax);
    if (typeof body === 'number')
      return reply(413, { error: `the body is larger than ${controlBytesMax} bytes` });
    const change = priceChangeSchema.safeParse(parseJson(body.toString('utf8')));
    if (!change.success) return reply(400, { error: describeIssues(issuesOf(change.error)) });
    const { sku, price } = change.data;
    const before = catalogue.state().products.get(sku)?.price;
    const after = catalogue.setPrice(sku, Math.round(price * 100));
    if (!after || before === undefined) return reply(404, { error: `there is no product ${sku}` });
    return reply(200, { sku, previousPrice: before / 100, price: after.price / 100 });
  }

  const drift = options.driftEveryMs > 0 ? setInterval(catalogue.tick, options.driftEveryMs) : undefined;

  return {
    name: 'demo-shop',
    address,
    port,
    state: catalogue.state,
    tick: catalogue.tick,
    setPrice: (sku, price) => catalogue.setPrice(sku, price) !== undefined,
    setListed: (sku, listed) => catalogue.setListed(sku, listed) !== undefined,
    fault(path, fault, times = Number.POSITIVE_INFINITY) {
      faults.push({ path, fault, times });
    },
    clearFaults() {
      faults.length = 0;
    },
    requests: () => requests,
    async close() {
      clearInterval(drift);
      await closeServer(server);
    },
  };
}

function misbehave(fault: ShopFault, response: ServerResponse): void {
  const type = { 'content-type': 'text/html; charset=utf-8' };
  switch (fault) {
    case 'rate-limit':
      response.writeHead(429, { 'retry-after': '1' }).end();
      return;
    case 'error':
      response.writeHead(500, type).end('<h1>Out of order</h1>');
      return;
    case 'hang':
      return; // The reader's own limit, or close(), ends it.
    case 'endless': {
      response.writeHead(200, type);
      const chunk = `<p>${'and so on '.repeat(6_000)}</p>`;
      const pour = () => {
        while (!response.destroyed && response.write(chunk));
      };
      response.on('drain', pour);
      pour();
      return;
    }
    case 'huge':
      response.writeHead(200, { ...type, 'content-length': hugeBytes });
      response.end(Buffer.alloc(hugeBytes, '<p>'));
      return;
    case 'wrong-charset':
      // Says UTF-8, is windows-1252.
      response
        .writeHead(200, type)
        .end(
          Buffer.from(
            '<article class="product" data-sku="CAFE-1"><a class="title" title="Caf\xe9 cr\xe8me" href="/p/CAFE-1">x</a><p class="price">\xa33.20</p></article>',
            'latin1',
          ),
        );
      return;
    case 'not-html':
      response
        .writeHead(200, { 'content-type': 'application/pdf' })
        .end(Buffer.from('%PDF-1.7\n\0\0\0', 'latin1'));
      return;
  }
}
