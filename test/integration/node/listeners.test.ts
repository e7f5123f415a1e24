// The node's listeners over real sockets: mutual TLS, who leads, multipart bodies, live resume, and the guards.
import { createHash, randomUUID } from 'node:crypto';
import { channel } from 'node:diagnostics_channel';
import { mkdtemp } from 'node:fs/promises';
import { request as plainRequest } from 'node:http';
import { connect, type Socket } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { gzipSync } from 'node:zlib';
import { Agent, request } from 'undici';
import { afterAll, beforeAll, beforeEach, expect, test, vi } from 'vitest';
import { createNode, type BatonNode } from '../../../nodes/node.ts';
import type { Announcement } from '../../../contracts/announcement.ts';
import { fileAnswerSchema } from '../../../contracts/node-api.ts';
import { createLogger } from '../../../runtime/logger.ts';
import { makeCertificates, type TestCertificates } from '../../support/certificates.ts';
import { itemEvent, loneNode, simulatedBroker, simulatedRaft, simulatedStore } from './simulated-edges.ts';

let certificates: TestCertificates;
let node: BatonNode;
let agent: Agent;
const edges = { ...simulatedRaft(), ...simulatedStore() };
const announced: Announcement[] = [];
const errors: string[] = [];
const token = 'operator-token-of-the-test';
const trace = `00-${'a'.repeat(32)}-${'b'.repeat(16)}-01`;
let term = 1;

beforeAll(async () => {
  certificates = await makeCertificates(await mkdtemp(join(tmpdir(), 'baton-node-')));
  const member = (id: string) => ({
    id,
    udp: '127.0.0.1:1',
    internalUrl: `https://127.0.0.1:1`,
    publicUrl: 'http://127.0.0.1:1',
    voter: true,
  });
  node = await createNode(loneNode({ members: [member('node-1'), member('node-2')] }), {
    raft: edges.raft,
    store: edges.store,
    tls: certificates,
    page: undefined,
    broker: simulatedBroker,
    sendAnnouncement: async (announcement) => void announced.push(announcement),
    tokens: async () => ({
      reader: 'reader-token-of-the-test',
      editor: 'editor-token-of-the-test',
      operator: token,
    }),
    logger: createLogger({
      process: 'node-1',
      write: (line) => void (line.includes('"level":"error"') && errors.push(line)),
    }),
  });
  agent = new Agent({ connect: { ca: certificates.ca, cert: certificates.cert, key: certificates.key } });
});
afterAll(async () => {
  await node?.close('the test ends');
  await agent?.close();
});
beforeEach(async () => {
  term = Math.max(term, edges.orders.databaseTerm) + 1;
  edges.become({ kind: 'leader' }, term);
  await vi.waitUntil(() => node.leadership.state.kind === 'leading', { timeout: 10_000 });
});

async function internal(path: string, body: unknown, headers: Record<string, string> = {}) {
  const answer = await request(node.internalUrl + path, {
    dispatcher: agent,
    method: 'POST',
    headers: { 'baton-api-version': '1', 'content-type': 'application/json', ...headers },
    body: typeof body === 'string' || Buffer.isBuffer(body) ? body : JSON.stringify(body),
  });
  const text = await answer.body.text();
  return {
    status: answer.statusCode,
    headers: answer.headers,
    json: (text === '' ? {} : JSON.parse(text)) as Record<string, unknown>,
  };
}
const item = {
  source: 'shop',
  sku: 'a',
  title: 'A',
  url: null,
  imageUrl: null,
  price: 1,
  currency: 'EUR',
  inStock: true,
  stock: null,
  version: 1,
};
const batch = (...items: unknown[]) => ({
  items: items.map((one, index) => ({ messageId: `m${index}`, traceparent: trace, item: one })),
});

test('batches: a bad item is answered invalid alone, the others are written', async () => {
  const answer = await internal('/internal/batches', batch(item, { ...item, price: -1 }));
  expect(answer.status).toBe(200);
  expect(answer.headers['baton-term']).toBe(String(term));
  expect(answer.json['results']).toMatchObject([
    { kind: 'applied' },
    { kind: 'invalid', code: 'ITEM_MALFORMED' },
  ]);
});
test.each(['sku', 'title', 'url', 'imageUrl'])(
  'batches: half a character or a control character in %s is that item alone',
  async (field) => {
    for (const bad of ['\u0000', '\ud83e', '\u0007']) {
      const value = `https://shop.example/${bad}`;
      const { json } = await internal('/internal/batches', batch(item, { ...item, [field]: value }));
      expect(json['results']).toMatchObject([{ kind: 'applied' }, { kind: 'invalid' }]);
    }
  },
);
test('who has left before anybody looked is no error of the node', async () => {
  const requests = channel('http.server.request.start');
  const leave = (message: unknown): void => void (message as { socket: Socket }).socket.destroy();
  const before = errors.length;
  requests.subscribe(leave);
  try {
    await expect(fetch(`${node.publicUrl}/items`)).rejects.toThrow('fetch failed');
  } finally {
    requests.unsubscribe(leave);
  }
  expect((await fetch(`${node.publicUrl}/items`)).status).toBe(200);
  expect(errors.slice(before)).toEqual([]);
});
test('a follower answers 421 with the leader it knows, and 503 with a wait when it knows none', async () => {
  edges.become({ kind: 'follower', leader: 'node-2' }, ++term);
  expect(await internal('/internal/batches', batch(item))).toMatchObject({
    status: 421,
    json: { code: 'NOT_LEADER', leader: { nodeId: 'node-2', term } },
  });
  edges.become({ kind: 'follower', leader: null }, term);
  const none = await internal('/internal/batches', batch(item));
  expect(none).toMatchObject({ status: 503, json: { code: 'NO_LEADER' }, headers: { 'retry-after': '1' } });
});
test('fence: a claim that the database refuses reaches the election with the term the database has seen', async () => {
  edges.become({ kind: 'follower', leader: null }, term);
  edges.orders.databaseTerm = term + 40;
  edges.become({ kind: 'leader' }, ++term);
  await expect.poll(() => edges.refused.at(-1)).toBe(edges.orders.databaseTerm);
  expect(node.leadership.state.kind).toBe('waiting');
});
test('fence: a write that the database refuses as stale is 409, written nowhere, and told to the election', async () => {
  edges.orders.databaseTerm = term + 7;
  const answer = await internal('/internal/batches', batch(item));
  expect(answer).toMatchObject({ status: 409, json: { code: 'STALE_TERM' } });
  expect(edges.refused.at(-1)).toBe(term + 7);
  const next = await internal('/internal/batches', batch(item));
  expect(next.status).toBe(503);
});
test('whatever goes wrong is told as application/problem+json, by our routes and by the framework alike', async () => {
  const ofPublic = async (path: string, options: RequestInit = {}) => {
    const { status, headers } = await fetch(node.publicUrl + path, options);
    return [path, status, headers.get('content-type')];
  };
  const ofInternal = async (path: string, body: unknown, headers?: Record<string, string>) => {
    const answer = await internal(path, body, headers);
    return [path, answer.status, answer.headers['content-type']];
  };
  const type = 'application/problem+json; charset=utf-8';
  expect([
    await ofPublic('/items?limit=many'),
    await ofPublic('/watches', { method: 'POST' }),
    await ofPublic('/nowhere'),
    await ofPublic('/items/%zz'),
    await ofPublic('/watches', {
      method: 'POST',
      headers: { 'content-type': 'application/json' },
      body: '{',
    }),
    await ofInternal('/internal/batches', {}),
    await ofInternal('/internal/nowhere', {}),
    await ofInternal('/internal/%zz', {}),
    await ofInternal('/internal/batches', batch(item), { 'baton-api-version': '2' }),
  ]).toEqual([
    ['/items?limit=many', 400, type],
    ['/watches', 401, type],
    ['/nowhere', 404, type],
    ['/items/%zz', 400, type],
    ['/watches', 400, type],
    ['/internal/batches', 400, type],
    ['/internal/nowhere', 404, type],
    ['/internal/%zz', 400, type],
    ['/internal/batches', 400, type],
  ]);
});
test('what is no HTTP is answered with a problem too, and cut off', async () => {
  const socket = connect({ port: Number(new URL(node.publicUrl).port), host: '127.0.0.1' });
  let text = '';
  socket.setEncoding('utf8').on('data', (chunk: string) => (text += chunk));
  socket.write('garbage\r\n\r\n');
  await new Promise((resolve) => socket.on('close', resolve));
  const [head = '', body = ''] = text.split('\r\n\r\n');
  expect(head.split('\r\n').slice(0, 2)).toEqual([
    'HTTP/1.1 400 Bad Request',
    'content-type: application/problem+json; charset=utf-8',
  ]);
  expect(JSON.parse(body)).toMatchObject({ status: 400, code: 'REQUEST_MALFORMED' });
});
test('whoever recovers another node by hand learns of each its term and whom it follows', async () => {
  const ask = async () => {
    const { statusCode, body } = await request(`${node.internalUrl}/internal/term`, {
      dispatcher: agent,
      headers: { 'baton-api-version': '1' },
    });
    return { statusCode, json: await body.json() };
  };
  expect(await ask()).toEqual({ statusCode: 200, json: { term, leader: 'node-1', abstaining: false } });
  edges.become({ kind: 'follower', leader: 'node-2' }, ++term);
  expect(await ask()).toMatchObject({ json: { term, leader: 'node-2' } });
  edges.become({ kind: 'candidate' }, ++term);
  expect(await ask()).toMatchObject({ json: { term, leader: null } });
});
test('announcements: of one term rise in sequence', () => {
  const own = announced.filter((one) => one.state === 'leading');
  expect(own.length).toBeGreaterThan(0);
  for (const [index, one] of announced.entries()) expect(one.sequence).toBe(index + 1);
});
test('mutual TLS: a caller without a certificate reaches no route', async () => {
  const bare = new Agent({ connect: { ca: certificates.ca } });
  await expect(
    request(`${node.internalUrl}/internal/export?format=csv`, { dispatcher: bare }),
  ).rejects.toThrow(/certificate|socket|closed|ECONNRESET/i);
  await bare.close();
});
test('a caller of a newer release: the fields and events that this one does not know are ignored', async () => {
  const sent = { ...batch(item), later: 1 };
  expect(await internal('/internal/batches', sent)).toMatchObject({ status: 200 });
  const known = { at: new Date().toISOString(), process: 'deliver', type: 'problem', code: 'A', detail: 'b' };
  const events = [
    { ...known, type: 'something.later' },
    { ...known, later: 1 },
  ];
  expect(await internal('/internal/events', { events })).toMatchObject({ status: 204 });
});
test('a newer api version and a body over the limit are refused with their codes', async () => {
  expect(await internal('/internal/batches', batch(item), { 'baton-api-version': '2' })).toMatchObject({
    status: 400,
    json: { code: 'API_VERSION_UNSUPPORTED' },
  });
  expect(await internal('/internal/batches', Buffer.alloc(13 * 1024 * 1024, ' '))).toMatchObject({
    status: 413,
    json: { code: 'BODY_TOO_LARGE' },
  });
});

async function upload(
  content: Buffer,
  options: { name?: string; sha256?: string; size?: number; closed?: boolean } = {},
) {
  const id = randomUUID();
  const name = options.name ?? 'partner_a.csv';
  const size = options.size ?? content.length;
  edges.files.set(id, { name, intake: 1, size });
  const part = (field: string, extra: string, value: Buffer | string) =>
    Buffer.concat([
      Buffer.from(`--b\r\ncontent-disposition: form-data; name="${field}"${extra}\r\n\r\n`),
      Buffer.from(value),
      Buffer.from('\r\n'),
    ]);
  const body = Buffer.concat([
    part('meta', '', JSON.stringify({ name, size, traceparent: trace })),
    part('file', '; filename="f"\r\ncontent-type: application/octet-stream', content),
    part('sha256', '', options.sha256 ?? createHash('sha256').update(content).digest('hex')),
    Buffer.from(options.closed === false ? '' : '--b--\r\n'),
  ]);
  const answer = await internal(`/internal/files/${id}/content`, body, {
    'content-type': 'multipart/form-data; boundary=b',
  });
  return { ...answer, id, wasApplied: edges.applied.includes(id) };
}
const csv = '\ufeffsku,title,price,currency,inStock\r\na,"Ä, b",1.5,EUR,true\r\nb,B,2,EUR\r\n';

test('files: an upload sent again after it was applied is answered as before, and applies nothing', async () => {
  const { json, id } = await upload(Buffer.from(csv));
  edges.files.set(id, { name: 'partner_a.csv', intake: 1, size: 1, settled: fileAnswerSchema.parse(json) });
  const again = await internal(`/internal/files/${id}/content`, Buffer.from('--b--\r\n'), {
    'content-type': 'multipart/form-data; boundary=b',
  });
  expect([again.status, again.json]).toEqual([200, json]);
  expect(edges.applied.filter((one) => one === id)).toHaveLength(1);
});

test('files: a byte order mark, CRLF and a row with too few columns: the good row is read, the bad one is named', async () => {
  const answer = await upload(Buffer.from(csv));
  expect(answer).toMatchObject({
    status: 200,
    wasApplied: true,
    json: { kind: 'applied', rows: 2, invalid: 1, problems: ['row 2: 4 columns, the header has 5'] },
  });
  expect(edges.staged.at(-1)).toMatchObject({
    row: 1,
    item: { source: 'partner', sku: 'a', title: 'Ä, b', price: 1.5 },
  });
});
test('files: JSON arrays, NDJSON and gzip are read alike', async () => {
  const row = {
    sku: 'j',
    title: 'J',
    url: null,
    imageUrl: null,
    price: 1,
    currency: 'EUR',
    inStock: true,
    stock: null,
  };
  expect(await upload(Buffer.from(JSON.stringify([row, row])), { name: 'partner.json' })).toMatchObject({
    json: { rows: 2, invalid: 0 },
  });
  expect(
    await upload(gzipSync(`${JSON.stringify(row)}\nnot json\n`), { name: 'partner.ndjson.gz' }),
  ).toMatchObject({ json: { rows: 2, invalid: 1 } });
});
test('files: wrong sha256, missing bytes and a missing closing boundary are 400, apply nothing and leave no staged rows', async () => {
  const content = Buffer.from(csv);
  for (const broken of [{ sha256: 'f'.repeat(64) }, { size: content.length + 1 }, { closed: false }])
    expect(await upload(content, broken)).toMatchObject({
      status: 400,
      wasApplied: false,
      json: { code: 'FILE_TRUNCATED' },
    });
  expect(edges.leftStaged).toEqual(new Set());
});
test('files: what is no gzip, or has an endless line, is rejected with the reason', async () => {
  expect(await upload(Buffer.from('plain'), { name: 'partner.csv.gz' })).toMatchObject({
    status: 200,
    wasApplied: false,
    json: { kind: 'rejected' },
  });
  expect(await upload(Buffer.alloc(200_000, 'x'), { name: 'partner.ndjson' })).toMatchObject({
    wasApplied: false,
    json: { kind: 'rejected' },
  });
});

test.each([
  ['csv', (row: number) => (row === 21 ? `"a"b,${'x'.repeat(60)}` : `${row},${randomUUID()}`)],
  ['json', (row: number) => (row === 21 ? 'oops,' : `{"sku":"${row}","title":"${randomUUID()}"},`)],
] as const)(
  'files: a large packed %s that is broken early is rejected at once',
  { timeout: 20_000 },
  async (format, line) => {
    const lines = Array.from({ length: 60_000 }, (_, index) => line(index));
    const text = `${format === 'csv' ? 'sku,title' : '['}\n${lines.join('\n')}`;
    const packed = gzipSync(text);
    expect(packed.length).toBeGreaterThan(1_000_000);
    expect(await upload(packed, { name: `partner.${format}.gz` })).toMatchObject({
      wasApplied: false,
      json: { kind: 'rejected' },
    });
  },
);

test('items: the longest sku can be asked for, and a longer one is refused in our words', async () => {
  const about = async (sku: string) => {
    const answer = await fetch(`${node.publicUrl}/items/shop/${encodeURIComponent(sku)}`);
    return [answer.status, ((await answer.json()) as { code: string }).code];
  };
  expect(await about('\u{1f9e6}'.repeat(100))).toEqual([404, 'NOT_FOUND']);
  expect(await about('x'.repeat(3_000))).toEqual([400, 'REQUEST_MALFORMED']);
});

async function readLive(lastEventId: string | undefined, enough: (text: string) => boolean): Promise<string> {
  const stop = AbortSignal.timeout(5_000);
  const answer = await fetch(`${node.publicUrl}/live`, {
    signal: stop,
    headers: lastEventId === undefined ? {} : { 'last-event-id': lastEventId },
  });
  let text = '';
  for await (const chunk of (answer.body ?? []) as AsyncIterable<Uint8Array>) {
    text += new TextDecoder().decode(chunk);
    if (enough(text)) break;
  }
  return text;
}
test('live: Last-Event-ID resumes after that event and misses none that is committed meanwhile', async () => {
  for (let id = 1; id <= 700; id++) edges.feed.push(itemEvent(id));
  const writer = setInterval(() => edges.feed.push(itemEvent(edges.feed.length + 1)), 1);
  const text = await readLive(`${edges.orders.feedId}-100`, (seen) => seen.includes('-800\n'));
  clearInterval(writer);
  const ids = [...text.matchAll(/^id: .*-(\d+)$/gm)].map((match) => Number(match[1]));
  expect(ids.slice(0, 700)).toEqual(Array.from({ length: 700 }, (_, index) => 101 + index));
});
test('live: the id of another feed answers reset', async () => {
  expect(await readLive(`${randomUUID()}-1`, (text) => text.includes('event: reset'))).toContain(
    'event: reset',
  );
});

function raw(
  path: string,
  headers: Record<string, string>,
  method = 'GET',
  body = '',
): Promise<{ status: number; cookie: string }> {
  const url = new URL(path, node.publicUrl);
  return new Promise((resolve, reject) => {
    plainRequest({ port: url.port, host: url.hostname, path, method, headers }, (answer) => {
      answer.resume();
      resolve({
        status: answer.statusCode ?? 0,
        cookie: String(answer.headers['set-cookie'] ?? '').split(';')[0] ?? '',
      });
    })
      .on('error', reject)
      .end(body);
  });
}
test('public: a foreign Host or Origin is 403, reading is open, changing needs a role', async () => {
  const { host } = new URL(node.publicUrl);
  expect((await raw('/items', { host: 'evil.example' })).status).toBe(403);
  expect((await raw('/items', { host, origin: 'http://evil.example' })).status).toBe(403);
  expect((await raw('/items', { host })).status).toBe(200);
  expect((await raw('/export', { host }, 'POST')).status).toBe(401);
  expect(
    (await raw('/export', { host, authorization: 'Bearer editor-token-of-the-test' }, 'POST')).status,
  ).toBe(403);
  expect((await raw('/export', { host, authorization: `Bearer ${token}` }, 'POST')).status).toBe(202);
});
test('public: a one-time key opens a session once, and its cookie changes things only from our own Origin', async () => {
  const { host } = new URL(node.publicUrl);
  const made = await fetch(`${node.publicUrl}/session-keys`, {
    method: 'POST',
    headers: { authorization: `Bearer ${token}` },
  });
  const { key } = (await made.json()) as { key: string };
  const opened = await raw(`/?key=${key}`, { host });
  expect(opened.status).toBe(303);
  expect((await raw(`/?key=${key}`, { host })).status).toBe(401);
  const inBrowser = await fetch(`${node.publicUrl}/?key=${key}`, { headers: { accept: 'text/html,*/*' } });
  expect([inBrowser.status, inBrowser.headers.get('content-type')]).toEqual([
    401,
    'text/html; charset=utf-8',
  ]);
  expect(await inBrowser.text()).toContain('<code>npm run baton -- open</code> prints a new one.');
  expect((await raw('/export', { host, cookie: opened.cookie }, 'POST')).status).toBe(401);
  expect((await raw('/export', { host, cookie: opened.cookie, origin: node.publicUrl }, 'POST')).status).toBe(
    202,
  );
});
test('health: /leader is 200 on the leader alone, /health is 200 without one', async () => {
  const status = async (path: string) => (await fetch(node.publicUrl + path)).status;
  expect(await status('/leader')).toBe(200);
  edges.become({ kind: 'follower', leader: null }, ++term);
  expect([await status('/leader'), await status('/replica'), await status('/health')]).toEqual([
    503, 200, 200,
  ]);
  const { problems } = (await (await fetch(`${node.publicUrl}/health`)).json()) as { problems: string[] };
  expect(problems).toEqual([expect.stringMatching(/^nobody leads/)]);
});
test('items: an unchanged page is 304 for whoever names its ETag', async () => {
  const first = await fetch(`${node.publicUrl}/items`);
  const again = await fetch(`${node.publicUrl}/items`, {
    headers: { 'if-none-match': first.headers.get('etag') ?? '' },
  });
  expect([first.status, again.status]).toEqual([200, 304]);
});
