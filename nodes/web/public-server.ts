// The public listener: what people, the page and the CLI read and change. Reading on loopback is open; changing needs
// a role, and only the leader does it: a follower forwards it.
// Speaks plain HTTP, so node.ts binds it to loopback, or behind what ends TLS.
import { createHash } from 'node:crypto';
import helmet from '@fastify/helmet';
import rateLimit from '@fastify/rate-limit';
import fastify, { type FastifyInstance } from 'fastify';
import { Registry, collectDefaultMetrics, Gauge } from 'prom-client';
import { z } from 'zod';
import type { Member } from '../../contracts/environment.ts';
import { fileCommandType, fileCommandVersion } from '../../contracts/file-command.ts';
import { nodeIdSchema, sourceNameSchema } from '../../contracts/ids.ts';
import { skuLengthMax } from '../../contracts/item.ts';
import type { ClusterView, QueuesView } from '../../contracts/public-views.ts';
import { sourceSchema } from '../../contracts/source.ts';
import { exchanges, queuesOf, routingKeys } from '../../contracts/topology.ts';
import { Failure } from '../../runtime/failure.ts';
import type { InternalClient } from '../../runtime/internal-http.ts';
import type { Logger } from '../../runtime/logger.ts';
import { newTraceparent } from '../../runtime/trace.ts';
import { deadQueues } from '../dead-letters/collect.ts';
import type { Leadership } from '../leadership.ts';
import type { RaftThread } from '../raft-thread.ts';
import { watchTopics, type Store } from '../store.ts';
import type { BrokerClient } from '../../runtime/rabbitmq.ts';
import { judgeSources } from '../source-watch.ts';
import type { Problems } from '../problems.ts';
import { Guard, sessionCookie } from './guard.ts';
import { parse } from './internal-server.ts';
import type { Live } from './live.ts';
import { addDeadLetters, deadLetterOperations } from './dead-letters.ts';
import { addFaults, faultOperations, type Launcher } from './faults.ts';
import { forwardWrites } from './forward.ts';
import { itemListSchema, openApi, type Operation } from './openapi.ts';
import { failureOf, sendProblem, useProblems } from './problems.ts';
import { addTraces, traceOperations } from './traces.ts';
import { addUnsubscribe, unsubscribeOperations, unsubscribeRoute } from './unsubscribe.ts';
import { addPage, type Page } from './page.ts';

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
  readonly logger: Logger;
  readonly page: Page | undefined;
  readonly launcher: Launcher | undefined;
}

const itemsQuery = z.object({
  source: sourceNameSchema.optional(),
  q: z.string().max(200).optional(),
  inStock: z.stringbool().optional(),
  cursor: z.string().max(1_000).optional(),
  limit: z.coerce.number().int().min(1).max(500).default(50),
});
/** Each character of a sku may come as four bytes, each of them escaped. */
const skuParameterLengthMax = 12 * skuLengthMax;
const cursorSchema = z.tuple([z.string(), z.string()]);
const watchSchema = z.strictObject({
  email: z.email().max(254),
  about: z.enum(watchTopics).default('prices'),
  source: sourceNameSchema.nullable().default(null),
  sku: z.string().max(200).nullable().default(null),
});
/** In the body, not in the path: addresses of requests stand in logs of proxies. */
const erasureSchema = z.strictObject({ email: z.string().min(3).max(254) });
const listLength = 50;
const depthWithinMs = 400; // Readers such as `baton status` wait a second for all they ask.
const noCounts = { items: null, itemVersions: null, files: null, mailsSent: null };

const transferSchema = z.strictObject({ target: nodeIdSchema.nullable().default(null) });

/** What the public API offers, for GET /openapi.json. */
export const operations: readonly Operation[] = [
  {
    method: 'get',
    path: '/items',
    summary: 'Current items, by key, page by page',
    query: itemsQuery,
    answer: itemListSchema,
  },
  { method: 'get', path: '/items/{source}/{sku}', summary: 'One item with its history' },
  { method: 'get', path: '/live', summary: 'Server-sent events; Last-Event-ID resumes without a gap' },
  { method: 'get', path: '/cluster', summary: 'The cluster as this node sees it' },
  { method: 'get', path: '/counts', summary: 'How much is stored, waits and is dead' },
  { method: 'get', path: '/queues', summary: 'Depths of the queues' },
  { method: 'get', path: '/sources', summary: 'Configured sources, and how long ago each brought something' },
  {
    method: 'put',
    path: '/sources/{name}',
    summary: 'Store a source',
    role: 'editor',
    body: sourceSchema,
    status: 204,
  },
  { method: 'get', path: '/watches', summary: 'Who gets mail about what', role: 'editor' },
  { method: 'get', path: '/watches/{id}', summary: 'One watch, without its address' },
  {
    method: 'post',
    path: '/watches',
    summary: 'Watch prices of an item, a source or all; rejected files; or who leads',
    role: 'editor',
    body: watchSchema,
    status: 201,
  },
  { method: 'delete', path: '/watches/{id}', summary: 'End a watch', role: 'editor', status: 204 },
  {
    method: 'post',
    path: '/erasures',
    summary: 'Delete everything that holds a mail address',
    role: 'operator',
    body: erasureSchema,
  },
  ...unsubscribeOperations,
  ...deadLetterOperations,
  ...traceOperations,
  ...faultOperations,
  { method: 'get', path: '/files', summary: 'The last files' },
  { method: 'get', path: '/crawls', summary: 'The last crawls' },
  { method: 'get', path: '/mails', summary: 'The last mails' },
  { method: 'post', path: '/export', summary: 'Write all items to out/', role: 'operator', status: 202 },
  {
    method: 'post',
    path: '/cluster/transfer',
    summary: 'Hand leadership over',
    role: 'operator',
    body: transferSchema,
  },
  {
    method: 'post',
    path: '/session-keys',
    summary: 'A one-time key that opens the page',
    role: 'operator',
    status: 201,
  },
  { method: 'get', path: '/leader', summary: '200 on the leader, 503 elsewhere' },
  { method: 'get', path: '/replica', summary: '200 on a follower, 503 elsewhere' },
  {
    method: 'get',
    path: '/health',
    summary: '200 while the process lives, with or without a leader; `problems` in words',
  },
  { method: 'get', path: '/liveness', summary: 'The same' },
  { method: 'get', path: '/readiness', summary: '200 when the database answers' },
  { method: 'get', path: '/history', summary: 'The last changes of leadership of this node' },
  { method: 'get', path: '/metrics', summary: 'Prometheus metrics' },
  { method: 'get', path: '/openapi.json', summary: 'This page' },
];

export function createPublicServer(options: PublicServerOptions): FastifyInstance {
  const { leadership, store, guard } = options;
  const app = fastify({
    bodyLimit: 256 * 1024,
    requestTimeout: 30_000,
    forceCloseConnections: true,
    routerOptions: { maxParamLength: skuParameterLengthMax },
    frameworkErrors: (error, _request, reply) => void sendProblem(reply, failureOf(error)),
    // Its word counts for who asked it, and for nobody before that.
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
  app.addHook('onRequest', async (request) => {
    // A load balancer asks by address, and the answer holds nothing that another site's page could use.
    if (request.url !== '/health') guard.checkOrigin(request);
  });
  // A key opens a session of the very node that made it; and whoever breaks the leader must not need it.
  const local = new Set(['/session-keys', '/faults']);
  forwardWrites(app, {
    leadership,
    guard,
    others: options.others,
    isLocal: (route) => local.has(route),
    needsNoRole: (route) => route === unsubscribeRoute,
  });

  app.after(() => {
    app.get('/openapi.json', async () => openApi(operations));
    addHealth(app, options);
    addReads(app, options);
    addDeadLetters(app, options);
    addTraces(app, options);
    addFaults(app, options);
    addUnsubscribe(app, options);
    options.live.addTo(app);
    addPage(app, options.page, guard);

    app.put('/sources/:name', async (request, reply) => {
      await guard.require(request, 'editor');
      const source = parse(sourceSchema, request.body);
      const { name } = parse(z.object({ name: sourceNameSchema }), request.params);
      if (source.name !== name) throw new Failure('REQUEST_MALFORMED', `name: the path says ${name}`);
      await leadership.write('source', (term) => store.putSource(term, source));
      return reply.code(204).send();
    });
    app.post('/watches', async (request, reply) => {
      await guard.require(request, 'editor');
      const watch = parse(watchSchema, request.body);
      return reply.code(201).send(await leadership.write('watch', (term) => store.putWatch(term, watch)));
    });
    app.delete('/watches/:id', async (request, reply) => {
      await guard.require(request, 'editor');
      const { id } = parse(z.object({ id: z.uuid() }), request.params);
      if (!(await leadership.write('watch', (term) => store.deleteWatch(term, id))))
        throw new Failure('NOT_FOUND', `no watch ${id}`);
      return reply.code(204).send();
    });
    app.post('/erasures', async (request) => {
      await guard.require(request, 'operator');
      const { email } = parse(erasureSchema, request.body);
      return leadership.write('erasure', (term) => store.eraseAddress(term, email));
    });
    app.post('/export', async (request, reply) => {
      await guard.require(request, 'operator');
      await leadership.write('export', async (term) => {
        const body = { version: fileCommandVersion, kind: 'export', traceparent: newTraceparent() };
        await options.broker.publish({
          exchange: exchanges.main.name,
          routingKey: routingKeys.files('export'),
          type: fileCommandType,
          messageId: `export/${term}/${body.traceparent}`,
          body: JSON.stringify(body),
        });
      });
      return reply.code(202).send({ accepted: true });
    });
    app.post('/cluster/transfer', async (request) => {
      await guard.require(request, 'operator');
      const { target } = parse(transferSchema, request.body);
      if (target !== null && !options.members.some(({ id, voter }) => id === target && voter))
        throw new Failure('REQUEST_MALFORMED', `target: ${target} is no voter of this cluster`);
      return leadership.transfer(target, 'asked for by an operator');
    });
    app.post('/session-keys', async (request, reply) => {
      await guard.require(request, 'operator');
      return reply.code(201).send({ key: guard.newKey(), cookie: sessionCookie });
    });
  });
  return app;
}

function addReads(
  app: FastifyInstance,
  { leadership, store, raft, broker, itemPartitions, guard, members, generation }: PublicServerOptions,
): void {
  app.get('/items', async (request, reply) => {
    const { cursor, limit, source, q, inStock } = parse(itemsQuery, request.query);
    const items = await store.items({ source, q, inStock, limit: limit + 1, after: readCursor(cursor) });
    const page = items.slice(0, limit);
    const last = page.at(-1);
    const next = items.length > limit && last ? writeCursor(last) : null;
    const body = JSON.stringify({ items: page, next });
    const etag = `"${createHash('sha256').update(body).digest('base64url').slice(0, 27)}"`;
    reply.header('etag', etag).header('cache-control', 'no-cache').type('application/json; charset=utf-8');
    const known = (request.headers['if-none-match'] ?? '')
      .split(',')
      .map((tag) => tag.trim().replace(/^W\//, ''));
    return known.includes(etag) || known.includes('*') ? reply.code(304).send() : reply.send(body);
  });
  app.get('/items/:source/:sku', async (request) => {
    const key = parse(z.object({ source: sourceNameSchema, sku: z.string().max(200) }), request.params);
    const found = await store.item(key);
    if (!found) throw new Failure('NOT_FOUND', `no item ${key.sku} of ${key.source}`);
    return found;
  });
  app.get('/cluster', async (): Promise<ClusterView> => {
    const { role, term, peers, abstaining } = raft.status();
    const fence = await store.fence().catch(() => null); // Shown as unknown: this page is read most when things are down.
    return {
      nodeId: leadership.nodeId,
      role,
      term,
      state: leadership.state,
      abstaining,
      leader: leadership.leader() ?? null,
      generation,
      fence,
      members: members.map((member) => ({
        ...member,
        lastContactMs: peers[member.id]?.lastContactMs ?? null,
      })),
    };
  });
  app.get('/sources', async () => {
    const [sources, { standings }] = await Promise.all([store.sources(), judgeSources(store)]);
    return { sources, standings };
  });
  app.get('/watches', async (request) => {
    await guard.require(request, 'editor'); // It names persons.
    return { watches: await store.watches() };
  });
  app.get('/watches/:id', async (request) => {
    const { id } = parse(z.object({ id: z.uuid() }), request.params);
    const watch = await store.watch(id);
    if (!watch) throw new Failure('NOT_FOUND', `no watch ${id}`);
    return watch;
  });
  app.get('/files', async () => ({ files: await store.recentFiles(listLength) }));
  app.get('/mails', async () => ({ mails: await store.recentMails(listLength) }));
  app.get('/crawls', async () => ({ crawls: await store.recentCrawls(listLength) }));

  const depths = sharedDepths(() => readDepths({ broker, store, itemPartitions }));
  app.get('/queues', async (): Promise<QueuesView> => ({ depths: await depths() }));
  app.get('/counts', async () => {
    const [stored, waiting] = await Promise.all([store.counts().catch(() => noCounts), depths()]);
    const dead = new Set(deadQueues.values());
    const isDead = (name: string): boolean => dead.has(name);
    const sum = (wanted: (name: string) => boolean): number | null => {
      const found = Object.entries(waiting).filter(([name]) => wanted(name));
      // One unknown depth makes the sum unknown: a smaller number would look like good news.
      return found.some(([, depth]) => depth === null)
        ? null
        : found.reduce((total, [, depth]) => total + (depth ?? 0), 0);
    };
    return { ...stored, deadLetters: sum(isDead), queued: sum((name) => !isDead(name)) };
  });
}

type Depths = Record<string, number | null>;

/** Depths of all queues, null where unknown. All readers of one second share one look, unless it did not find all. */
function sharedDepths(read: () => Promise<Depths>): () => Promise<Depths> {
  let last: { at: number; value: Promise<Depths> } | undefined;
  const look = async (): Promise<Depths> => {
    const depths = await read();
    if (Object.values(depths).includes(null)) last = undefined;
    return depths;
  };
  return () => {
    if (!last || performance.now() - last.at > 1_000) last = { at: performance.now(), value: look() };
    return last.value;
  };
}

/** A dead letter lies in its queue until the leader moves it to the database, and counts as one wherever it lies. */
async function readDepths({
  broker,
  store,
  itemPartitions,
}: {
  broker: BrokerClient;
  store: Pick<Store, 'openDeadLetters'>;
  itemPartitions: number;
}): Promise<Depths> {
  const [waiting, kept] = await Promise.all([
    Promise.all(
      queuesOf(itemPartitions).map(
        async ({ name }) =>
          [name, await broker.depth(name, { timeoutMs: depthWithinMs }).catch(() => null)] as const,
      ),
    ),
    store.openDeadLetters().catch(() => null),
  ]);
  const depths: Depths = Object.fromEntries(waiting);
  for (const [queue, deadQueue] of deadQueues) {
    const depth = depths[deadQueue] ?? null;
    depths[deadQueue] = depth === null || kept === null ? null : depth + (kept[queue] ?? 0);
  }
  return depths;
}

/** Patroni's names (https://patroni.readthedocs.io/en/latest/rest_api.html), so that load balancer rules fit. */
function addHealth(
  app: FastifyInstance,
  { leadership, nodeId, raft, store, problems }: PublicServerOptions,
): void {
  const view = () => ({
    nodeId,
    state: leadership.state.kind,
    term: leadership.state.term,
    leader: leadership.leader()?.nodeId ?? null,
    problems: [...leadershipProblems(leadership), ...problems.list()],
  });
  // A busy reader at the same address must not make a load balancer think that this node is ill.
  const always = { config: { rateLimit: false } };
  app.get('/leader', always, async (_request, reply) =>
    reply.code(leadership.state.kind === 'leading' ? 200 : 503).send(view()),
  );
  app.get('/replica', always, async (_request, reply) =>
    reply.code(leadership.state.kind === 'following' ? 200 : 503).send(view()),
  );
  app.get('/health', always, async () => view());
  app.get('/liveness', always, async () => view());
  app.get('/readiness', always, async () => {
    await store.ping();
    return view();
  });
  const history: unknown[] = [];
  leadership.onChange((state) => {
    history.push({ at: new Date().toISOString(), ...state });
    if (history.length > 100) history.shift();
  });
  app.get('/history', async () => ({ history }));

  const registry = new Registry();
  collectDefaultMetrics({ register: registry });
  const leading = new Gauge({
    name: 'baton_leading',
    help: 'Whether this node takes writes',
    registers: [registry],
  });
  const term = new Gauge({ name: 'baton_term', help: 'Highest term seen', registers: [registry] });
  app.get('/metrics', async (_request, reply) => {
    leading.set(leadership.state.kind === 'leading' ? 1 : 0);
    term.set(raft.status().term);
    return reply.type(registry.contentType).send(await registry.metrics());
  });
}

function leadershipProblems({ state, nodeId }: Leadership): string[] {
  if (state.kind === 'waiting')
    return [
      `${nodeId} is elected in term ${state.term} and may not write yet: the database has not granted it the term`,
    ];
  if (state.kind === 'following' && state.leader === null)
    return [
      'nobody leads: an election is under way, or a majority of the nodes does not answer; nothing is written until one leads',
    ];
  return [];
}

function writeCursor({ source, sku }: { source: string; sku: string }): string {
  return Buffer.from(JSON.stringify([source, sku])).toString('base64url');
}
function readCursor(cursor: string | undefined): { source: string; sku: string } | undefined {
  if (cursor === undefined) return undefined;
  try {
    const [source, sku] = cursorSchema.parse(JSON.parse(Buffer.from(cursor, 'base64url').toString('utf8')));
    return { source, sku };
  } catch (cause) {
    throw new Failure('REQUEST_MALFORMED', 'cursor: not one that this API gave out', { cause });
  }
}
