// What a deploy declares in RabbitMQ, against a management API that behaves like RabbitMQ's: it keeps what it is told and
// never changes a queue. And what CloudFormation hears of it.
import { once } from 'node:events';
import { createServer } from 'node:http';
import type { AddressInfo } from 'node:net';
import { describe, expect, test } from 'vitest';
import { brokerUsers, exchanges, queues, queuesOf, type BrokerUser } from '../../../contracts/topology.ts';
import {
  declareTopology,
  openManagement,
  permissionsFor,
  type CallManagement,
} from '../../../functions/deploy/broker-topology/declare-topology.ts';
import { answerCloudFormation, doForWhoeverCalls } from '../../../functions/deploy/cloudformation.ts';

const users = Object.fromEntries(
  brokerUsers.map((name) => [name, { username: name, password: `password of ${name}` }]),
) as Record<BrokerUser, { username: string; password: string }>;

function managementApi() {
  const kept = new Map<string, unknown>();
  const calls: string[] = [];
  const call: CallManagement = (method, path, json) => {
    calls.push(`${method} ${path}`);
    if (method === 'GET') {
      const found = kept.get(path);
      return Promise.resolve(
        found === undefined ? { status: 404, json: undefined } : { status: 200, json: found },
      );
    }
    if (path.startsWith('/api/queues/') && kept.has(path))
      return Promise.resolve({ status: 400, json: { reason: 'inequivalent arg' } });
    kept.set(method === 'POST' ? `${path} ${JSON.stringify(json)}` : path, json);
    return Promise.resolve({ status: 201, json: undefined });
  };
  return { call, kept, calls };
}
const named = (kept: ReadonlyMap<string, unknown>, kind: string) =>
  [...kept.keys()]
    .filter((path) => path.startsWith(`/api/${kind}/`))
    .map((path) => decodeURIComponent(path.split('/')[4] ?? path.split('/')[3] ?? ''));

test('broker topology: all of the contract is declared, and doing it again changes nothing', async () => {
  const { call, kept } = managementApi();
  await declareTopology(call, users);
  expect(named(kept, 'exchanges')).toEqual(Object.values(exchanges).map(({ name }) => name));
  expect(named(kept, 'queues')).toEqual(Object.values(queues).map(({ name }) => name));
  expect(kept.get('/api/queues/%2F/items')).toEqual({
    durable: true,
    auto_delete: false,
    arguments: queues.items.arguments,
  });
  expect([...kept.keys()]).toContain(
    '/api/bindings/%2F/e/baton/q/items {"routing_key":"items.#","arguments":{}}',
  );
  const before = new Map(kept);
  await declareTopology(call, users);
  expect(kept).toEqual(before);
});

test('broker topology: a queue with other arguments is named with each difference, and no user is made', async () => {
  const { call, kept } = managementApi();
  kept.set('/api/queues/%2F/items', {
    durable: true,
    auto_delete: false,
    arguments: { ...queues.items.arguments, 'x-max-length': 7, 'x-message-ttl': 60_000 },
  });
  const refused = declareTopology(call, users);
  await expect(refused).rejects.toThrow(/queue items has x-max-length 7, wanted 200000/);
  await expect(refused).rejects.toThrow(/queue items has x-message-ttl 60000, wanted unset/);
  await expect(refused).rejects.toThrow(/drain and delete it/);
  expect(named(kept, 'users')).toEqual([]);
});

test('broker topology: nobody but the administrator may declare, and an error quotes no password', async () => {
  const permissions = permissionsFor(1);
  for (const { configure } of Object.values(permissions)) expect('items').not.toMatch(new RegExp(configure));
  expect('items').toMatch(new RegExp(permissions['event-source'].read));
  expect('items.dead').not.toMatch(new RegExp(permissions['event-source'].read));
  const { call } = managementApi();
  const refusing: CallManagement = async (method, path, json) =>
    path.startsWith('/api/users/')
      ? { status: 403, json: { error: 'not yours' } }
      : await call(method, path, json);
  const refused = await declareTopology(refusing, users).catch((error: Error) => error.message);
  expect(refused).toMatch(/^PUT \/api\/users\/[a-z-]+: 403/);
  expect(refused).not.toContain('password of');
});

describe('broker topology: the administrator', () => {
  /** RabbitMQ that knows `password`, and takes another one from whoever knows it. */
  function rabbitmq(known: string) {
    let password = known;
    const api =
      (admin: { username: string; password: string }): CallManagement =>
      (method, path, json) => {
        if (admin.password !== password)
          return Promise.resolve({ status: 401, json: { error: 'not_authorized' } });
        if (method === 'PUT' && path === '/api/users/admin') ({ password } = json as { password: string });
        return Promise.resolve({ status: method === 'GET' ? 200 : 204, json });
      };
    return { api, password: () => password };
  }
  const admin = (password: string) => ({ username: 'admin', password });
  const nobodyAsks = () => Promise.reject(new Error('nobody asks for the one before'));

  test('that RabbitMQ knows is taken as it is', async () => {
    const { api } = rabbitmq('old');
    const call = await openManagement(api, { current: admin('old'), previous: nobodyAsks });
    expect((await call('GET', '/api/overview')).status).toBe(200);
  });

  test('whose secret holds a new password is given it in RabbitMQ, by the one before', async () => {
    const { api, password } = rabbitmq('old');
    const call = await openManagement(api, {
      current: admin('new'),
      previous: () => Promise.resolve(admin('old')),
    });
    expect(password()).toBe('new');
    expect((await call('GET', '/api/overview')).status).toBe(200);
  });

  test('that neither value lets in is refused, and no error quotes a password', async () => {
    const { api } = rabbitmq('another');
    const previous = () => Promise.resolve(admin('old'));
    await expect(openManagement(api, { current: admin('new'), previous })).rejects.toThrow(
      /^PUT \/api\/users\/admin: 401 \{"error":"not_authorized"\}$/,
    );
    await expect(openManagement(api, { current: admin('new'), previous: nobodyAsks })).rejects.toThrow(
      'RabbitMQ refuses the administrator, and the secret has no value before this one',
    );
    await expect(
      openManagement(api, { current: { username: 'root', password: 'new' }, previous }),
    ).rejects.toThrow('the secret names root and named admin');
  });
});

/** What RabbitMQ adds to what it is told: which bindings an item queue has, and how deep it is. */
function withItemQueues(depths: Readonly<Record<string, number>>) {
  const { call: keep, kept, calls } = managementApi();
  const unbound = new Set<string>();
  const call: CallManagement = async (method, path, json) => {
    const queue = path.split('/').at(-1) ?? '';
    if (method === 'DELETE') unbound.add(path);
    else if (method === 'GET' && path.startsWith('/api/bindings/'))
      return queue in depths
        ? { status: 200, json: [{ properties_key: `${queue}.%23` }] }
        : { status: 404, json: { error: 'Object Not Found' } };
    const answer = await keep(method, path, json);
    return method === 'GET' && queue in depths && answer.status === 404
      ? { status: 200, json: { ...shape(queue), messages: depths[queue] } }
      : answer;
  };
  return { call, kept, calls, unbound };
}
const shape = (name: string) => ({
  durable: true,
  auto_delete: false,
  arguments: queuesOf(4).find((queue) => queue.name === name)?.arguments,
});

test('broker topology: more partitions are declared with their ways, and their queues may be read', async () => {
  const { call, kept } = withItemQueues({ items: 0 });
  await declareTopology(call, users, 3);
  expect([...kept.keys()]).toContain(
    '/api/bindings/%2F/e/baton/q/items-2 {"routing_key":"items-2.#","arguments":{}}',
  );
  expect([...kept.keys()]).toContain(
    '/api/bindings/%2F/e/baton.dead/q/items.dead {"routing_key":"items-2.dead","arguments":{}}',
  );
  const { read } = permissionsFor(3)['event-source'];
  for (const name of ['items', 'items-1', 'items-2', 'mail']) expect(name).toMatch(new RegExp(read));
  for (const name of ['items-3', 'items-1.retry']) expect(name).not.toMatch(new RegExp(read));
});

test('broker topology: fewer partitions leave the others without a binding, and delete nothing', async () => {
  const { call, calls, unbound } = withItemQueues({ items: 0, 'items-1': 0, 'items-2': 0 });
  await declareTopology(call, users, 1);
  expect([...unbound]).toEqual([
    '/api/bindings/%2F/e/baton/q/items-1/items-1.%2523',
    '/api/bindings/%2F/e/baton/q/items-2/items-2.%2523',
  ]);
  expect(calls.filter((call) => call.startsWith('DELETE /api/queues'))).toEqual([]);
});

test('broker topology: another number of partitions is refused while messages wait, and nothing is declared', async () => {
  for (const partitions of [1, 4]) {
    const { call, kept, unbound } = withItemQueues({ items: 0, 'items-1': 7 });
    await expect(declareTopology(call, users, partitions)).rejects.toThrow(/messages wait in items-1 \(7\)/);
    expect(kept.size + unbound.size).toBe(0);
  }
  await declareTopology(withItemQueues({ items: 3, 'items-1': 7 }).call, users, 2);
});

/** What CloudFormation is answered for `work`. */
async function answered(requestType: 'Create' | 'Delete', work: () => Promise<void>, withinMs = 5_000) {
  let body = '';
  const server = createServer((request, response) => {
    request.on('data', (chunk: Buffer) => (body += chunk.toString()));
    request.on('end', () => response.end());
  });
  server.listen(0, '127.0.0.1');
  await once(server, 'listening');
  try {
    await answerCloudFormation(
      {
        RequestType: requestType,
        ResponseURL: `http://127.0.0.1:${(server.address() as AddressInfo).port}/answer`,
        StackId: 'stack',
        RequestId: 'request',
        LogicalResourceId: 'Declared',
      },
      work,
      { withinMs },
    );
  } finally {
    server.closeAllConnections();
    server.close();
  }
  return JSON.parse(body) as unknown;
}

test('CloudFormation: it always gets an answer, with the reason when work failed or took too long', async () => {
  const identity = { StackId: 'stack', RequestId: 'request', LogicalResourceId: 'Declared' };
  expect(await answered('Create', () => Promise.resolve())).toMatchObject({ ...identity, Status: 'SUCCESS' });
  expect(await answered('Create', () => Promise.reject(new Error('no broker')))).toMatchObject({
    ...identity,
    Status: 'FAILED',
    Reason: expect.stringContaining('no broker') as unknown,
  });
  expect(await answered('Create', () => new Promise<void>(() => undefined), 50)).toMatchObject({
    Status: 'FAILED',
    Reason: expect.stringContaining('no answer within 50 ms') as unknown,
  });
});

test('CloudFormation: a deleted resource takes nothing with it', async () => {
  const work = () => Promise.reject(new Error('must not run'));
  expect(await answered('Delete', work)).toMatchObject({ Status: 'SUCCESS' });
});

test('CloudFormation: whoever else calls has the work done, and hears what it throws', async () => {
  const context = { getRemainingTimeInMillis: () => 60_000 };
  for (const event of [{}, null, { source: 'aws.events', 'detail-type': 'Scheduled Event' }]) {
    let done = 0;
    await doForWhoeverCalls(event, context, () => Promise.resolve(void (done += 1)));
    expect(done).toBe(1);
  }
  await expect(doForWhoeverCalls({}, context, () => Promise.reject(new Error('no broker')))).rejects.toThrow(
    'no broker',
  );
  const never = () => Promise.reject(new Error('must not run'));
  await expect(doForWhoeverCalls({ ResponseURL: 'https://x/' }, context, never)).rejects.toThrow(
    /RequestType/,
  );
});
