// The public listener: what people, the page and the CLI read and change. Reading on loopback is open; changing needs
// a role, and only the leader does it: a follower forwards it.
// Speaks plain HTTP, so node.ts binds it to loopback, or behind what ends TLS.
import helmet from '@fastify/helmet';
import rateLimit from '@fastify/rate-limit';
import fastify, { type FastifyInstance } from 'fastify';
import type { Member } from '../../contracts/environment.ts';
import { skuLengthMax } from '../../contracts/item.ts';
import { publicRoutes } from '../../contracts/public-routes.ts';
import type { InternalClient } from '../../runtime/internal-http.ts';
import type { Logger } from '../../runtime/logger.ts';
import type { BrokerClient } from '../../runtime/rabbitmq.ts';
import type { Leadership } from '../leadership.ts';
import type { Metrics } from '../health/metrics.ts';
import type { Problems } from '../health/problems.ts';
import type { RaftThread } from '../raft-thread/thread.ts';
import type { Store } from '../store.ts';
import { addCluster, clusterOperations } from './cluster.ts';
import { addDeadLetters, deadLetterOperations } from './dead-letters.ts';
import { addFaults, faultOperations, type Launcher } from './faults.ts';
import { forwardWrites } from './forward.ts';
import type { Guard } from './guard.ts';
import { addHealth, healthOperations } from './health.ts';
import { addItems, itemOperations } from './items.ts';
import type { Live } from './live.ts';
import { openApi, type Operation } from './openapi.ts';
import { addPage, pageOperations, type Page } from './page.ts';
import { problemsOfFramework, useProblems } from './problem-details.ts';
import { addQueues, queueOperations, sharedDepths } from './queues.ts';
import { addRecent, recentOperations } from './recent.ts';
import { addSources, sourceOperations } from './sources.ts';
import { addTraces, traceOperations } from './traces.ts';
import { addUnsubscribe, unsubscribeOperations, unsubscribeRoute } from './unsubscribe.ts';
import { addWatches, watchOperations } from './watches.ts';

export interface PublicServerOptions {
  readonly nodeId: string;
  readonly generation: number;
  readonly members: readonly Member[];
  /** A proxy in front says who asks; without one, that would be anybody's claim. */
  readonly behindProxy: boolean;
  /** The internal listeners of the other nodes. */
  readonly others: () => Pick<InternalClient, 'relay'>;
  readonly leadership: Leadership;
  readonly raft: Pick<RaftThread, 'status'>;
  readonly store: Store;
  readonly broker: BrokerClient;
  readonly itemPartitions: number;
  readonly live: Live;
  readonly guard: Guard;
  readonly problems: Pick<Problems, 'list'>;
  readonly metrics: Metrics;
  readonly logger: Logger;
  readonly page: Page | undefined;
  readonly launcher: Launcher | undefined;
}

/** Each character of a sku may come as four bytes, each of them escaped. */
const skuParameterLengthMax = 12 * skuLengthMax;

/** What the public API offers, for GET /openapi.json. */
export const operations: readonly Operation[] = [
  ...itemOperations,
  {
    method: 'get',
    path: publicRoutes.live,
    summary: 'Server-sent events; Last-Event-ID resumes without a gap',
    mediaType: 'text/event-stream',
  },
  ...clusterOperations,
  ...queueOperations,
  ...sourceOperations,
  ...watchOperations,
  ...unsubscribeOperations,
  ...deadLetterOperations,
  ...traceOperations,
  ...faultOperations,
  ...recentOperations,
  ...pageOperations,
  ...healthOperations,
  { method: 'get', path: publicRoutes.openapi, summary: 'This page', mediaType: 'application/json' },
];

export function createPublicServer(options: PublicServerOptions): FastifyInstance {
  const { leadership, guard } = options;
  const app = fastify({
    bodyLimit: 256 * 1024,
    requestTimeout: 30_000,
    forceCloseConnections: true,
    routerOptions: { maxParamLength: skuParameterLengthMax },
    ...problemsOfFramework,
    // Trust one hop: the proxy's own entry names its client; earlier entries are the client's claim.
    trustProxy: options.behindProxy && ((_address, hop) => hop === 0),
  });
  useProblems(app, options.logger);
  app.register(helmet, {
    contentSecurityPolicy: {
      directives: { defaultSrc: ["'self'"], upgradeInsecureRequests: null, frameAncestors: ["'none'"] },
    },
    strictTransportSecurity: false,
  });
  app.register(rateLimit, { max: 1_200, timeWindow: '1 minute' });
  app.addHook('onRequest', async (request, reply) => {
    // Who has left has no address any more, by which requests are counted.
    if (request.socket.destroyed) return reply.hijack();
    // A load balancer asks by address, and the answer holds nothing that another site's page could use.
    if (request.url !== publicRoutes.health) guard.checkOrigin(request);
    return undefined;
  });
  // A key opens a session of the very node that made it; and whoever breaks the leader must not need it.
  const local = new Set<string>([publicRoutes.sessionKeys, publicRoutes.faults]);
  forwardWrites(app, {
    leadership,
    guard,
    others: options.others,
    isLocal: (route) => local.has(route),
    needsNoRole: (route) => route === unsubscribeRoute,
  });

  app.after(() => {
    app.get(publicRoutes.openapi, async () => openApi(operations));
    const depths = sharedDepths(options);
    addHealth(app, { ...options, depths });
    addItems(app, options);
    addCluster(app, options);
    addSources(app, options);
    addWatches(app, options);
    addRecent(app, options);
    addQueues(app, { ...options, depths });
    addDeadLetters(app, options);
    addTraces(app, options);
    addFaults(app, options);
    addUnsubscribe(app, options);
    options.live.addTo(app);
    addPage(app, options.page, guard);
  });
  return app;
}
