// Who leads, as `status` says it, when nodes disagree or give no answer in time: their listeners are real, their answers ours.
import { createServer, type Server } from 'node:http';
import type { AddressInfo } from 'node:net';
import { afterEach, expect, test } from 'vitest';
import type { HealthView } from '../../../contracts/public-api.ts';
import { systemStatus } from '../../../emulator/cluster/status.ts';
import type { ServiceView } from '../../../emulator/cluster/status.ts';

type Health = Pick<HealthView, 'state' | 'term' | 'leader'>;
const silent = 'no answer';
const servers: Server[] = [];
afterEach(() => {
  for (const server of servers.splice(0)) {
    server.closeAllConnections();
    server.close();
  }
});

/** As seen within 200 ms, with one node for each answer. */
async function statusOf(
  answers: readonly (Health | typeof silent)[],
  states: readonly ServiceView['state'][] = [],
): Promise<{ leader: string | null; term: number | null }> {
  const urls = await Promise.all(answers.map(listen));
  const members = urls.map((url, index) => ({
    id: `node-${index + 1}`,
    udp: '127.0.0.1:1',
    internalUrl: url,
    publicUrl: url,
    voter: true,
  }));
  const services = members.map(({ id }, index): ServiceView => {
    const state = states[index] ?? 'up';
    return {
      name: id,
      kind: 'node',
      state,
      address: '',
      pid: state === 'restarting' ? null : 1,
      restarts: 0,
      lastEnd: null,
      log: null,
    };
  });
  const { leader, term } = await systemStatus(members, services, { withinMs: 1_000 });
  return { leader, term };
}

async function listen(answer: Health | typeof silent): Promise<string> {
  const server = createServer((request, response) => {
    if (answer === silent) return;
    const health: HealthView = { nodeId: 'node-1', problems: [], ...answer };
    response.end(JSON.stringify(request.url === '/health' ? health : {}));
  });
  servers.push(server);
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve));
  return `http://127.0.0.1:${(server.address() as AddressInfo).port}`;
}
const following = (leader: string | null, term: number): Health => ({ state: 'following', term, leader });
const leading = (leader: string, term: number): Health => ({ state: 'leading', term, leader });

test('of two that say so, the one in the higher term leads', async () => {
  const status = await statusOf([leading('node-1', 3), leading('node-2', 4), following('node-2', 4)]);
  expect(status).toEqual({ leader: 'node-2', term: 4 });
});

test('one that gives no answer in time leads when the newest follower says so', async () => {
  const status = await statusOf([silent, following('node-2', 3), following('node-1', 4)]);
  expect(status).toEqual({ leader: 'node-1', term: 4 });
});

test.for([['paused'], ['restarting']] as const)(
  'one that is %s does not lead, whoever follows it',
  async ([state]) => {
    const status = await statusOf([silent, following('node-1', 4), following(null, 5)], [state]);
    expect(status).toEqual({ leader: null, term: 5 });
  },
);

test('one that is elected and may not write yet does not lead', async () => {
  const waiting: Health = { state: 'waiting', term: 4, leader: 'node-1' };
  const status = await statusOf([waiting, following('node-1', 4), following('node-1', 4)]);
  expect(status).toEqual({ leader: null, term: 4 });
});
