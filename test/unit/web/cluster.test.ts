// What a node knows of its cluster, it says without its database.
import fastify from 'fastify';
import { expect, test } from 'vitest';
import { publicRoutes } from '../../../contracts/public-routes.ts';
import { Leadership } from '../../../nodes/leadership.ts';
import { addCluster } from '../../../nodes/web/cluster.ts';
import { Guard } from '../../../nodes/web/guard.ts';
import { memberAt, simulatedRaft } from '../../integration/node/simulated-edges.ts';

test('a database that never answers leaves the fence unknown, and holds up nothing else', async () => {
  const { raft, become } = simulatedRaft();
  const members = [memberAt('http://127.0.0.1:1')];
  const leadership = new Leadership({
    nodeId: 'node-1',
    bootId: 'a'.repeat(32),
    members,
    raft,
    claim: () => new Promise(() => undefined),
    emit: () => undefined,
    repeatClaimMs: 100,
    patienceMs: 20,
  });
  become({ kind: 'leader' }, 4);
  const app = fastify();
  const guard = new Guard({ tokens: () => Promise.reject(new Error('nobody asks')), hosts: () => new Set() });
  const store = { fence: () => new Promise<never>(() => undefined) };
  addCluster(app, { leadership, raft, store, guard, members, generation: 1 });
  const startedAt = performance.now();
  const answer = await app.inject(publicRoutes.cluster);
  expect(performance.now() - startedAt).toBeLessThan(600); // `baton nodes` waits for 700 ms.
  expect(answer.json()).toMatchObject({ term: 4, state: { kind: 'waiting' }, fence: null });
  await app.close();
});
