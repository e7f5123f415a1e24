// A write at a follower, over real sockets: forwarded once to the leader's internal listener, its public one being out of
// reach, with the caller's role, and never in a circle; and the description of the public API, which names every route.
import { randomUUID } from 'node:crypto';
import { mkdtemp, rm } from 'node:fs/promises';
import { createServer, request } from 'node:http';
import type { AddressInfo } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, beforeAll, beforeEach, expect, test } from 'vitest';
import { publicRoutes } from '../../../contracts/public-routes.ts';
import { createNode, type BatonNode } from '../../../nodes/node.ts';
import { operations } from '../../../nodes/web/public-server.ts';
import { createLogger } from '../../../runtime/logger.ts';
import { makeCertificates, type TestCertificates } from '../../support/certificates.ts';
import { loneNode, simulatedBroker, simulatedRaft, simulatedStore } from './simulated-edges.ts';

let folder: string;
let tls: TestCertificates;
let leader: BatonNode;
let node: BatonNode;
const leaderEdges = { ...simulatedRaft(), ...simulatedStore() };
const edges = { ...simulatedRaft(), ...simulatedStore() };
const tokens = {
  reader: 'reader-token-of-the-test',
  editor: 'editor-token-of-the-test',
  operator: 'operator-token-of-the-test',
};
const watch = { email: 'a@example.test', source: null, sku: null };

async function startNode(
  nodeId: string,
  { raft, store }: typeof edges,
  internalUrls: Readonly<Record<string, string>> = {},
): Promise<BatonNode> {
  const members = ['node-1', 'node-2', 'node-3'].map((id) => ({
    id,
    udp: '127.0.0.1:1',
    internalUrl: internalUrls[id] ?? 'https://127.0.0.1:1',
    publicUrl: `https://${id}.example.test`,
    voter: true,
  }));
  return createNode(loneNode({ nodeId, members }), {
    raft,
    store,
    tls,
    page: undefined,
    broker: simulatedBroker,
    sendAnnouncement: async () => undefined,
    tokens: async () => tokens,
    logger: createLogger({ process: nodeId, write: () => undefined }),
  });
}

beforeAll(async () => {
  folder = await mkdtemp(join(tmpdir(), 'baton-forward-'));
  tls = await makeCertificates(folder);
  leader = await startNode('node-2', leaderEdges);
  node = await startNode('node-1', edges, { 'node-2': leader.internalUrl });
});
afterAll(async () => {
  await Promise.all([node?.close('the test ends'), leader?.close('the test ends')]);
  await rm(folder, { recursive: true, force: true });
});
beforeEach(async () => {
  leaderEdges.watched.length = 0;
  leaderEdges.become({ kind: 'leader' }, 7);
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
  expect([answer.status, await answer.json()]).toEqual([201, { id: 'watch-1', about: 'prices', ...watch }]);
  expect(answer.headers.get('content-type')).toBe('application/json; charset=utf-8');
  expect(leaderEdges.watched).toEqual([{ about: 'prices', ...watch }]);
});

test('what the leader refuses is refused in its words', async () => {
  const refused = await post('/watches', watch, { authorization: `Bearer ${tokens.reader}` });
  expect([refused.status, await refused.json()]).toMatchObject([403, { code: 'FORBIDDEN' }]);
  expect(refused.headers.get('content-type')).toBe('application/problem+json; charset=utf-8');
  // The second one is refused by the function that sends mails.
  for (const email of ['nobody', `${'a'.repeat(65)}@example.test`]) {
    const wrong = await post('/watches', { ...watch, email }, { authorization: `Bearer ${tokens.editor}` });
    expect([wrong.status, await wrong.json()]).toMatchObject([400, { issues: [{ path: 'email' }] }]);
  }
  const nowhere = { method: 'DELETE', headers: { authorization: `Bearer ${tokens.editor}` } };
  expect((await fetch(`${node.publicUrl}/watches/7`, nowhere)).status).toBe(400);
  expect(leaderEdges.watched).toEqual([]);
});

test('a write that was forwarded is not forwarded again, by whomever', async () => {
  const before = await post('/watches', watch, {
    authorization: `Bearer ${tokens.editor}`,
    'baton-forwarded-by': 'node-3',
  });
  expect([before.status, await before.json()]).toMatchObject([
    421,
    { code: 'NOT_LEADER', leader: { nodeId: 'node-2' } },
  ]);
  // Both follow the other.
  leaderEdges.become({ kind: 'follower', leader: 'node-1' }, 7);
  const circle = await post('/watches', watch, { authorization: `Bearer ${tokens.editor}` });
  expect([circle.status, await circle.json()]).toMatchObject([421, { leader: { nodeId: 'node-1' } }]);
  expect([...leaderEdges.watched, ...edges.watched]).toEqual([]);
});

test('whatever address a request line names, it is asked of the leader and of nobody else', async () => {
  let asked = 0;
  const elsewhere = createServer((_request, response) => {
    asked += 1;
    response.end();
  });
  await new Promise<void>((resolve) => elsewhere.listen(0, '127.0.0.1', resolve));
  const place = `127.0.0.1:${(elsewhere.address() as AddressInfo).port}`;
  try {
    for (const path of [
      `http://${place}/watches`,
      `//${place}/watches`,
      `http://${place}${publicRoutes.endOfWatch(randomUUID())}`,
    ]) {
      const status = await new Promise<number | undefined>((resolve, reject) => {
        const { hostname, port, host } = new URL(node.publicUrl);
        const headers = {
          host,
          authorization: `Bearer ${tokens.editor}`,
          'content-type': 'application/json',
        };
        request({ hostname, port, path, method: 'POST', headers }, (answer) => {
          answer.resume().on('end', () => resolve(answer.statusCode));
        })
          .on('error', reject)
          .end(JSON.stringify(watch));
      });
      expect(status, path).toBeGreaterThanOrEqual(400);
    }
    expect(asked).toBe(0);
  } finally {
    elsewhere.close();
  }
});

test('a caller without a role is refused here and never reaches the leader', async () => {
  expect((await post('/watches', watch, {})).status).toBe(401);
  expect((await post('/watches', watch, { authorization: 'Bearer wrong' })).status).toBe(401);
  expect(leaderEdges.watched).toEqual([]);
});

test('a session opened on the follower changes things at the leader, with the token of its role', async () => {
  const made = await post('/session-keys', {}, { authorization: `Bearer ${tokens.operator}` });
  expect(made.status).toBe(201);
  const { key } = (await made.json()) as { key: string };
  const opened = await fetch(`${node.publicUrl}/?key=${key}`, { redirect: 'manual' });
  const cookie = (opened.headers.get('set-cookie') ?? '').split(';')[0] ?? '';
  const answer = await post('/watches', watch, { cookie, origin: node.publicUrl });
  expect(answer.status).toBe(201);
  expect(leaderEdges.watched).toHaveLength(1);
});

test('the one click of a mail ends its watch without a role, whatever form the mail program sends', async () => {
  const id = randomUUID();
  const form = new FormData();
  form.set('List-Unsubscribe', 'One-Click');
  const clicked = await fetch(`${node.publicUrl}${publicRoutes.endOfWatch(id)}`, {
    method: 'POST',
    body: 'List-Unsubscribe=One-Click',
    headers: { 'content-type': 'application/x-www-form-urlencoded' },
  });
  expect(clicked.status).toBe(204);
  expect(leaderEdges.ended).toEqual([id]);

  edges.become({ kind: 'leader' }, 7);
  const ended = await fetch(`${node.publicUrl}${publicRoutes.endOfWatch(id)}`, {
    method: 'POST',
    body: form,
  });
  expect(ended.status).toBe(204);
  expect(edges.ended).toEqual([id]);
});

test('a program that only looks at the address of the one click ends nothing', async () => {
  const id = randomUUID();
  const looked = await fetch(`${node.publicUrl}${publicRoutes.endOfWatch(id)}`, { redirect: 'manual' });
  expect([looked.status, looked.headers.get('location')]).toEqual([303, `/#watch-${id}`]);
  expect([...leaderEdges.ended, ...edges.ended]).not.toContain(id);
});

test('without a leader a write is 503 with a wait', async () => {
  edges.become({ kind: 'follower', leader: null }, 7);
  const answer = await post('/watches', watch, { authorization: `Bearer ${tokens.editor}` });
  expect([answer.status, answer.headers.get('retry-after')]).toEqual([503, '1']);
});

test('a leader that gives no answer is as good as none', async () => {
  edges.become({ kind: 'follower', leader: 'node-3' }, 8);
  const answer = await post('/watches', watch, { authorization: `Bearer ${tokens.editor}` });
  expect([answer.status, answer.headers.get('retry-after'), await answer.json()]).toMatchObject([
    503,
    '1',
    { code: 'NO_LEADER' },
  ]);
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
