// The internal listener: HTTPS with mutual TLS 1.3 for the cluster's own processes, the routes of
// contracts/node-api.ts. Every write goes through Leadership, so a follower answers 421 and a stale leader 409.
// Never talks to a caller without a certificate of the cluster: TLS cuts it off before a route is reached.
import fastify from 'fastify';
import { z } from 'zod';
import type { FastifyInstance, FastifyRequest } from 'fastify';
import { batonEventSchema, type BatonEvent } from '../../contracts/event.ts';
import {
  apiVersionsRead,
  batchBytesMax,
  crawlRequestSchema,
  crawlUpdateSchema,
  fileOpenRequestSchema,
  fileOutcomeSchema,
  headers,
  leaseRequestSchema,
  mailClaimRequestSchema,
  mailResultSchema,
  type MailResultAnswer,
  routes,
  type TermAnswer,
} from '../../contracts/node-api.ts';
import { Failure } from '../../runtime/failure.ts';
import type { TlsMaterial } from '../../runtime/internal-http.ts';
import type { Logger } from '../../runtime/logger.ts';
import type { Metrics } from '../health/metrics.ts';
import type { RaftThread } from '../raft-thread/thread.ts';
import type { Store } from '../store.ts';
import { addBatches, type BatchOptions } from './batches.ts';
import { addFileContent } from './file-content.ts';
import { parse, uuidParameter } from './parse-request.ts';
import { problemsOfFramework, useProblems } from './problem-details.ts';

export interface InternalServerOptions extends BatchOptions {
  readonly tls: TlsMaterial;
  readonly raft: Pick<RaftThread, 'status'>;
  readonly store: Store;
  readonly logger: Logger;
  readonly metrics: Pick<Metrics, 'mailReported'>;
  /** Events of other processes, to be shown live. */
  readonly show: (event: BatonEvent) => void;
}

const eventsSchema = z.object({ events: z.array(z.unknown()).max(200) });
const leaseName = z.object({ name: z.string().min(1).max(100) });

export function createInternalServer(options: InternalServerOptions): FastifyInstance {
  const { leadership, store, tls } = options;
  // Fastify's type for HTTPS differs from the plain one only in the server behind it.
  const app = fastify({
    https: {
      ca: tls.ca,
      cert: tls.cert,
      key: tls.key,
      requestCert: true,
      rejectUnauthorized: true,
      minVersion: 'TLSv1.3',
    },
    bodyLimit: batchBytesMax,
    requestTimeout: 15 * 60_000,
    forceCloseConnections: true,
    ...problemsOfFramework,
  }) as unknown as FastifyInstance;
  useProblems(app, options.logger);

  app.addHook('onRequest', async (request: FastifyRequest, reply) => {
    const version = request.headers[headers.apiVersion];
    if (!apiVersionsRead.includes(Number(version)))
      throw new Failure(
        'API_VERSION_UNSUPPORTED',
        `header ${headers.apiVersion} is ${String(version)}, this node reads ${apiVersionsRead.join(' and ')}`,
      );
    reply.header(headers.term, String(leadership.state.term));
  });

  addBatches(app, options);
  app.post(routes.crawls, async (request, reply) => {
    const wanted = parse(crawlRequestSchema, request.body);
    const lease = await leadership.write('crawl lease', (term) => store.takeCrawl(term, wanted));
    return lease ?? reply.code(204).send();
  });
  app.put(routes.crawl(':id'), async (request, reply) => {
    const { id } = parse(uuidParameter, request.params);
    const update = parse(crawlUpdateSchema, request.body);
    await leadership.write('crawl state', (term) => store.updateCrawl(term, id, update));
    return reply.code(204).send();
  });

  app.post(routes.files, async (request) => {
    const wanted = parse(fileOpenRequestSchema, request.body);
    return leadership.write('file ledger', (term) => store.openFile(term, wanted));
  });
  addFileContent(app, { leadership, store });
  app.put(routes.fileOutcome(':id'), async (request, reply) => {
    const { id } = parse(uuidParameter, request.params);
    const outcome = parse(fileOutcomeSchema, request.body);
    await leadership.write('file outcome', (term) => store.fileOutcome(term, id, outcome));
    return reply.code(204).send();
  });
  app.get(routes.export, async (request, reply) => {
    const { format } = parse(z.object({ format: z.enum(['csv', 'ndjson']) }), request.query);
    reply.type(format === 'csv' ? 'text/csv; charset=utf-8' : 'application/x-ndjson');
    return reply.send(await store.exportItems(format));
  });

  app.post(routes.lease(':name'), async (request) => {
    const { name } = parse(leaseName, request.params);
    const { owner, leaseMs } = parse(leaseRequestSchema, request.body);
    const { expiresAt } = await leadership.write('lease', (term) =>
      store.takeLease(term, { name, owner, leaseMs }),
    );
    return { name, owner, expiresAt };
  });

  app.post(routes.mailClaim(':id'), async (request) => {
    const { id } = parse(uuidParameter, request.params);
    const claim = parse(mailClaimRequestSchema, request.body);
    return leadership.write('mail claim', (term) => store.claimMail(term, id, claim));
  });
  app.put(routes.mailResult(':id'), async (request): Promise<MailResultAnswer> => {
    const { id } = parse(uuidParameter, request.params);
    const result = parse(mailResultSchema, request.body);
    const answer = await leadership.write('mail result', (term) => store.mailResult(term, id, result));
    options.metrics.mailReported(answer.state);
    return answer;
  });

  app.post(routes.events, { bodyLimit: 256 * 1024 }, async (request, reply) => {
    for (const sent of parse(eventsSchema, request.body).events) {
      const event = batonEventSchema.safeParse(sent).data; // A newer release may have others.
      if (event) options.show(event);
    }
    return reply.code(204).send();
  });

  app.get(routes.term, async (): Promise<TermAnswer> => {
    const { role, term, abstaining } = options.raft.status();
    const followed = 'leader' in role ? role.leader : null;
    return { term, leader: role.kind === 'leader' ? leadership.nodeId : followed, abstaining };
  });
  return app;
}
