// What a node answers on its public listener is what contracts/public-api.ts says of it, field by field; and what the API's
// description leaves open.
import { afterAll, beforeAll, expect, test } from 'vitest';
import { publicRoutes } from '../../../contracts/public-routes.ts';
import { operations } from '../../../nodes/web/public-server.ts';
import { serveNode, type ServedNode } from '../../browser/served-node.ts';

let node: ServedNode;
const at = '2026-01-01T00:00:00.000Z';

beforeAll(async () => {
  node = await serveNode();
  node.become({ kind: 'leader' }, 7);
  node.heardMsAgo.set('node-2', 3);
  node.lists.files.push({
    at,
    fileId: '1',
    name: 'partner.csv',
    state: 'rejected',
    rows: 2,
    differences: 0,
    reason: 'row 2: 4 columns',
    movedTo: 'rejected/partner.csv',
  });
  const counts = { pages: 3, failedPages: 1, itemsSeen: 2, itemsPublished: 1 };
  node.lists.crawls.push({
    at,
    source: 'shop',
    intake: 1,
    status: 'paused',
    ...counts,
    reason: null,
    problem: 'https://shop.example/: HTTP 403',
  });
  node.lists.mails.push({ at, mailId: '1', kind: 'digest', state: 'sent', attempt: 1, detail: null });
  node.lists.sourceAges.push({
    source: 'shop',
    kind: 'shop',
    lastGoodAt: null,
    ageS: 90,
    intervalS: 60,
    incomplete: null,
    empty: null,
  });
});
afterAll(() => node?.stop());

const answerOf = (path: string) =>
  operations.find((one) => one.method === 'get' && one.path === path)?.answer;

test.each([
  publicRoutes.cluster,
  publicRoutes.counts,
  publicRoutes.queues,
  publicRoutes.items,
  publicRoutes.sources,
  publicRoutes.files,
  publicRoutes.crawls,
  publicRoutes.mails,
  publicRoutes.faults,
  publicRoutes.leader,
  publicRoutes.health,
  publicRoutes.readiness,
  publicRoutes.history,
])('GET %s answers what its schema says, and no field beside it', async (path) => {
  const answer = await fetch(node.url + path);
  const json: unknown = await answer.json();
  expect([answer.status, answerOf(path)?.parse(json)]).toEqual([200, json]);
});

test('every operation says what it answers, where it answers something', () => {
  const silent = operations.filter(
    ({ status = 200, answer, mediaType }) =>
      status < 300 && status !== 204 && answer === undefined && mediaType === undefined,
  );
  expect(silent).toEqual([]);
});

test('the page is bundled without the schemas', async () => {
  const script = await (await fetch(`${node.url}/app.js`)).text();
  expect(script).toContain(publicRoutes.sources);
  expect(script).not.toMatch(/zod/i);
  expect(script.length).toBeLessThan(60_000);
});
