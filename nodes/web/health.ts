// What load balancers, containers and monitoring ask: who leads, what is wrong, and the metrics.
import type { FastifyInstance } from 'fastify';
import { healthSchema, historySchema, type HealthView, type History } from '../../contracts/public-api.ts';
import { publicRoutes } from '../../contracts/public-routes.ts';
import type { Leadership } from '../leadership.ts';
import type { Metrics } from '../health/metrics.ts';
import type { Problems } from '../health/problems.ts';
import type { RaftThread } from '../raft-thread/thread.ts';
import type { Store } from '../store.ts';
import type { Live } from './live.ts';
import type { Operation } from './openapi.ts';
import type { Depths } from './queues.ts';

export const healthOperations: readonly Operation[] = [
  {
    method: 'get',
    path: publicRoutes.leader,
    summary: '200 on the leader, 503 elsewhere',
    answer: healthSchema,
  },
  {
    method: 'get',
    path: publicRoutes.replica,
    summary: '200 on a follower, 503 elsewhere',
    answer: healthSchema,
  },
  {
    method: 'get',
    path: publicRoutes.health,
    summary: '200 while the process lives, with or without a leader; `problems` in words',
    answer: healthSchema,
  },
  { method: 'get', path: publicRoutes.liveness, summary: 'The same', answer: healthSchema },
  {
    method: 'get',
    path: publicRoutes.readiness,
    summary: '200 when the database answers',
    answer: healthSchema,
  },
  {
    method: 'get',
    path: publicRoutes.history,
    summary: 'The last changes of leadership of this node',
    answer: historySchema,
  },
  { method: 'get', path: publicRoutes.metrics, summary: 'Prometheus metrics', mediaType: 'text/plain' },
];

/** Patroni's names (https://patroni.readthedocs.io/en/latest/rest_api.html), so that load balancer rules fit. */
export function addHealth(
  app: FastifyInstance,
  {
    leadership,
    nodeId,
    raft,
    store,
    problems,
    metrics,
    depths,
    live,
  }: {
    leadership: Leadership;
    nodeId: string;
    raft: Pick<RaftThread, 'status'>;
    store: Pick<Store, 'ping' | 'measures'>;
    problems: Pick<Problems, 'list'>;
    metrics: Metrics;
    depths: () => Promise<Depths>;
    live: Pick<Live, 'readers'>;
  },
): void {
  const view = (): HealthView => ({
    nodeId,
    state: leadership.state.kind,
    term: leadership.state.term,
    leader: leadership.leader()?.nodeId ?? null,
    problems: [...leadershipProblems(leadership), ...problems.list()],
  });
  // A busy reader at the same address must not make a load balancer think that this node is ill.
  const always = { config: { rateLimit: false } };
  app.get(publicRoutes.leader, always, async (_request, reply) =>
    reply.code(leadership.state.kind === 'leading' ? 200 : 503).send(view()),
  );
  app.get(publicRoutes.replica, always, async (_request, reply) =>
    reply.code(leadership.state.kind === 'following' ? 200 : 503).send(view()),
  );
  app.get(publicRoutes.health, always, async () => view());
  app.get(publicRoutes.liveness, always, async () => view());
  app.get(publicRoutes.readiness, always, async () => {
    await store.ping();
    return view();
  });
  const history: History['history'] = [];
  leadership.onChange((state) => {
    history.push({ at: new Date().toISOString(), ...state });
    if (history.length > 100) history.shift();
  });
  app.get(publicRoutes.history, async () => ({ history }));

  app.get(publicRoutes.metrics, async (_request, reply) =>
    reply.type(metrics.registry.contentType).send(
      await metrics.text({
        leadership,
        raft,
        store,
        depths,
        problems: () => view().problems.length,
        liveReaders: () => live.readers,
      }),
    ),
  );
}

function leadershipProblems({ state, nodeId }: Leadership): string[] {
  if (state.kind === 'waiting')
    return [
      `${nodeId} is elected in term ${state.term} and may not write yet: the database has not granted it the term`,
    ];
  if (state.kind === 'following' && state.leader === null)
    return [
      'it knows of no leader: an election is under way, or this node does not hear a majority of the nodes; it sends no write on until one leads',
    ];
  return [];
}
