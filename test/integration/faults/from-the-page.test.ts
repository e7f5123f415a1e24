// What the page wants broken: through the public listener of a node to the launcher, with a token that lets nodes do that
// and nothing else.
import { afterEach, beforeEach, expect, test } from 'vitest';
import { serveNode, type ServedNode } from '../../browser/served-node.ts';
import { startLauncher } from '../../support/launcher.ts';

let launcher: Awaited<ReturnType<typeof startLauncher>>;
let node: ServedNode;

beforeEach(async () => {
  launcher = await startLauncher();
  node = await serveNode({ launcher: launcher.forNodes });
});
afterEach(async () => {
  await node.stop();
  await launcher.close();
});

async function ask(
  path: string,
  { token = node.token, json }: { token?: string | null; json?: unknown } = {},
) {
  const response = await fetch(node.url + path, {
    method: json === undefined ? 'GET' : 'POST',
    headers: {
      ...(token === null ? {} : { authorization: `Bearer ${token}` }),
      ...(json === undefined ? {} : { 'content-type': 'application/json' }),
    },
    body: json === undefined ? null : JSON.stringify(json),
  });
  return { status: response.status, json: (await response.json()) as Record<string, unknown> };
}
const breakIt = (command: string) => ask('/faults', { json: { command } });

test('a command of the grammar is carried out, shows while it is in force, and is healed', async () => {
  expect(await ask('/faults')).toEqual({
    status: 200,
    json: { possible: true, mayBreak: false, inForce: [] },
  });
  const { status, json } = await breakIt('pause leader for 20s');
  expect([status, json['done']]).toEqual([200, expect.stringContaining('pause node-1')]);
  const { inForce } = (await ask('/faults')).json;
  expect(inForce).toEqual([expect.stringContaining('pause node-1')]);
  await breakIt('heal');
  expect(launcher.done.filter((what) => what !== 'links')).toEqual(['pause node-1', 'resume node-1']);
  expect((await ask('/faults')).json).toMatchObject({ possible: true, inForce: [] });
});

test('a follower passes it on by itself: the leader may be what is to be broken', async () => {
  node.become({ kind: 'follower', leader: 'node-2' }, 3);
  expect(await breakIt('kill leader')).toMatchObject({
    status: 200,
    json: { done: 'killed node-1 (pid 4711)' },
  });
});

test('what is not understood says why and what can be said', async () => {
  expect(await breakIt('explode everything')).toMatchObject({
    status: 400,
    json: {
      code: 'REQUEST_MALFORMED',
      detail: expect.stringMatching(/no fault "explode".*partition <nodes>/s) as string,
    },
  });
});

test('only an operator breaks things', async () => {
  expect(await ask('/faults', { token: null, json: { command: 'kill leader' } })).toMatchObject({
    status: 401,
  });
  expect(await ask('/faults', { token: node.readerToken, json: { command: 'kill leader' } })).toMatchObject({
    status: 403,
  });
  expect(launcher.done).toEqual([]);
});

test('the services of the launcher are listed as they stand, and nothing more is told of them', async () => {
  const service = { name: 'broker', state: 'up', address: 'amqps://127.0.0.1:1', restarts: 0, lastEnd: null };
  const withMore = { ...service, pid: 4711, log: '/somewhere/broker.log' };
  launcher.services.push(withMore);
  expect(await ask('/services', { token: null })).toEqual({ status: 200, json: { services: [service] } });
});

test('the nodes’ token is good for faults and the list of services alone: it takes nothing down', async () => {
  const call = async (path: string, token: string) =>
    (
      await fetch(`${launcher.url}/${path}`, {
        method: path === 'status' ? 'GET' : 'POST',
        headers: { authorization: `Bearer ${token}` },
      })
    ).status;
  const statuses = await Promise.all(
    ['status', 'down', 'transfer', 'recover', 'kill'].map((path) => call(path, launcher.faultsToken)),
  );
  expect(statuses).toEqual([401, 401, 401, 401, 401]);
  expect(launcher.done).toEqual([]);
  expect(await call('status', launcher.token)).toBe(200);
});

test('without a launcher nothing can be broken, and the answer says so', async () => {
  await node.stop();
  node = await serveNode();
  expect(await ask('/faults')).toEqual({
    status: 200,
    json: { possible: false, mayBreak: false, inForce: [] },
  });
  expect(await ask('/services')).toEqual({ status: 200, json: { services: [] } });
  expect(await breakIt('kill leader')).toMatchObject({ status: 404 });
});

test('a launcher that is gone is said to be gone', async () => {
  await launcher.close();
  expect(await breakIt('kill leader')).toMatchObject({
    status: 404,
    json: { detail: expect.stringContaining('launcher') as string },
  });
  expect(await ask('/services')).toMatchObject({ status: 404 });
});
