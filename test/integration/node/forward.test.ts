// A write at a follower, over real sockets: forwarded to the leader once, with the caller's role, and never in a circle;
// and the description of the public API, which names every route that is served.
import { randomUUID } from 'node:crypto';
import { once } from 'node:events';
import { mkdtemp, rm } from 'node:fs/promises';
import { createServer, type IncomingHttpHeaders, type Server } from 'node:http';
import type { AddressInfo } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, beforeAll, beforeEach, expect, test } from 'vitest';
import { endOfWatch } from '../../../contracts/public-views.ts';
import { createNode, type BatonNode } from '../../../nodes/node.ts';
import { operations } from '../../../nodes/web/public-server.ts';
import { createLogger } from '../../../runtime/logger.ts';
import { makeCertificates } from '../../support/certificates.ts';
import { simulatedBroker, simulatedRaft, simulatedStore } from './simulated-edges.ts';

interface Seen {
  readonly method: string | undefined;
  readonly url: string | undefined;
  readonly headers: IncomingHttpHeaders;
  readonly body: string;
}

let folder: string;
let leader: Server;
let node: BatonNode;
const edges = { ...simulatedRaft(), ...simulatedStore() };
let seen: Seen[] = [];
const tokens = {
  reader: 'reader-token-of-the-test',
  editor: 'editor-token-of-the-test',
  operator: 'operator-token-of-the-test',
};
const watch = { email: 'a@example.test', source: null, sku: null };

beforeAll(async () => {
  folder = await mkdtemp(join(tmpdir(), 'baton-forward-'));
  leader = createServer((request, response) => {
    const chunks: Buffer[] = [];
    request.on('data', (chunk: Buffer) => chunks.push(chunk));
    request.on('end', () => {
      const { method, url, headers } = request;
      seen.push({ method, url, headers, body: Buffer.concat(chunks).toString('utf8') });
      response.writeHead(201, { 'content-type': 'application/json' }).end('{"id":"from the leader"}');
    });
  });
  leader.listen(0, '127.0.0.1');
  await once(leader, 'listening');
  const member = (id: string, publicUrl: string) => ({
    id,
    udp: '127.0.0.1:1',
    internalUrl: 'https://127.0.0.1:1',
    publicUrl,
    voter: true,
  });
  node = await createNode(
    {
      nodeId: 'node-1',
      bootId: 'b'.repeat(32),
      cluster: 'test',
      clusterId: randomUUID(),
      generation: 1,
      members: [
        member('node-1', 'http://127.0.0.1:1'),
        member('node-2', `http://127.0.0.1:${(leader.address() as AddressInfo).port}`),
      ],
      bind: '127.0.0.1',
      publicPort: 0,
      internalPort: 0,
      mailFrom: 'baton@example.org',
    },
    {
      raft: edges.raft,
      store: edges.store,
      tls: await makeCertificates(folder),
      page: undefined,
      broker: simulatedBroker,
      sendAnnouncement: async () => undefined,
      tokens: async () => tokens,
      logger: createLogger({ process: 'node-1', write: () => undefined }),
    },
  );
});
afterAll(async () => {
  await node?.close('the test ends');
  leader?.close();
  await rm(folder, { recursive: true, force: true });
});
beforeEach(() => {
  seen = [];
  edges.become({ kind: 'follower', leader: 'node-2' }, 7);
});

const post = (path: string, body: unknown, headers: Record<string, string>) =>
  fetch(`${node.publicUrl}${path}`, {
    method: 'POST',
    headers: { 'content-type': 'application/json', ...headers },
    body: JSON.stringify(body),
  });

test('a write at a follower goes on to the leader, and its answer comes back', async () => {
  const answer = await post('/watches?x=1', watch, { authorization: `Bearer ${tokens.editor}` });
  expect([answer.status, await answer.json()]).toEqual([201, { id: 'from the leader' }]);
  expect(seen).toMatchObject([{ method: 'POST', url: '/watches?x=1' }]);
  expect(JSON.parse(seen[0]?.body ?? '')).toEqual(watch);
  expect(seen[0]?.headers['authorization']).toBe(`Bearer ${tokens.editor}`);
  expect(seen[0]?.headers['baton-forwarded-by']).toBe('node-1');
});

test('a write that was forwarded before is not forwarded again', async () => {
  const answer = await post('/watches', watch, {
    authorization: `Bearer ${tokens.editor}`,
    'baton-forwarded-by': 'node-3',
  });
  expect([answer.status, await answer.json()]).toMatchObject([
    421,
    { code: 'NOT_LEADER', leader: { nodeId: 'node-2' } },
  ]);
  expect(seen).toEqual([]);
});

test('a caller without a role is refused here and never reaches the leader', async () => {
  expect((await post('/watches', watch, {})).status).toBe(401);
  expect((await post('/watches', watch, { authorization: 'Bearer wrong' })).status).toBe(401);
  expect(seen).toEqual([]);
});

test('a session opened on the follower changes things at the leader, with the token of its role', async () => {
  const made = await post('/session-keys', {}, { authorization: `Bearer ${tokens.operator}` });
  expect(made.status).toBe(201);
  expect(seen).toEqual([]); // The key is of this very node.
  const { key } = (await made.json()) as { key: string };
  const opened = await fetch(`${node.publicUrl}/?key=${key}`, { redirect: 'manual' });
  const cookie = (opened.headers.get('set-cookie') ?? '').split(';')[0] ?? '';
  const answer = await post('/watches', watch, { cookie, origin: node.publicUrl });
  expect(answer.status).toBe(201);
  expect(seen[0]?.headers['authorization']).toBe(`Bearer ${tokens.operator}`);
  expect(seen[0]?.headers['cookie']).toBeUndefined();
});

test('the one click of a mail ends its watch without a role, whatever form the mail program sends', async () => {
  const id = randomUUID();
  const click = { method: 'POST', body: 'List-Unsubscribe=One-Click' };
  const form = new FormData();
  form.set('List-Unsubscribe', 'One-Click');
  await fetch(`${node.publicUrl}${endOfWatch(id)}`, {
    ...click,
    headers: { 'content-type': 'application/x-www-form-urlencoded' },
  });
  expect(seen).toMatchObject([{ method: 'POST', url: endOfWatch(id) }]);
  expect(seen[0]?.headers['authorization']).toBeUndefined();

  edges.become({ kind: 'leader' }, 7);
  const ended = await fetch(`${node.publicUrl}${endOfWatch(id)}`, { method: 'POST', body: form });
  expect(ended.status).toBe(204);
  expect(edges.ended).toEqual([id]);
});

test('a program that only looks at the address of the one click ends nothing', async () => {
  const id = randomUUID();
  const looked = await fetch(`${node.publicUrl}${endOfWatch(id)}`, { redirect: 'manual' });
  expect([looked.status, looked.headers.get('location')]).toEqual([303, `/#watch-${id}`]);
  expect(seen).toEqual([]);
});

test('without a leader a write is 503 with a wait', async () => {
  edges.become({ kind: 'follower', leader: null }, 7);
  const answer = await post('/watches', watch, { authorization: `Bearer ${tokens.editor}` });
  expect([answer.status, answer.headers.get('retry-after')]).toEqual([503, '1']);
});

test('OpenAPI: the description is 3.1 and every operation it names is served', async () => {
  const description = (await (await fetch(`${node.publicUrl}/openapi.json`)).json()) as {
    openapi: string;
    paths: Record<string, Record<string, unknown>>;
  };
  expect(description.openapi).toBe('3.1.0');
  expect(Object.keys(description.paths).length).toBeGreaterThan(20);
  for (const { method, path } of operations.filter(({ path }) => path !== '/live')) {
    const url = `${node.publicUrl}${path.replaceAll(/\{\w+\}/g, 'x')}`;
    const answer = await fetch(url, { method: method.toUpperCase() });
    const text = await answer.text();
    expect(text, `${method} ${path}`).not.toContain('is no route');
  }
});
