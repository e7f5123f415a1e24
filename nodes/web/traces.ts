// How an item or a message went, from the page it was scraped from to the row and the mail. Reads only.
import type { FastifyInstance } from 'fastify';
import { z } from 'zod';
import { publicRoutes } from '../../contracts/public-routes.ts';
import { itemTraceSchema, messageTraceSchema } from '../../contracts/trace.ts';
import { Failure } from '../../runtime/failure.ts';
import type { TraceStore } from '../tracing/deliveries.ts';
import type { Operation } from './openapi.ts';
import { itemKeySchema, parse } from './parse-request.ts';

const traceQuery = z.object({ versions: z.coerce.number().int().min(1).max(20).default(3) });

export const traceOperations: readonly Operation[] = [
  {
    method: 'get',
    path: publicRoutes.itemTrace('{source}', '{sku}'),
    summary: 'How the newest versions of an item came: page, message, leader, row, files, mails',
    query: traceQuery,
    answer: itemTraceSchema,
  },
  {
    method: 'get',
    path: publicRoutes.messageTrace('{id}'),
    summary: 'What became of a message: deliveries, rows, dead letters',
    answer: messageTraceSchema,
  },
];

export function addTraces(app: FastifyInstance, { store }: { store: TraceStore }): void {
  app.get(publicRoutes.itemTrace(':source', ':sku'), async (request) => {
    const key = parse(itemKeySchema, request.params);
    const trace = await store.traceItem(key, parse(traceQuery, request.query).versions);
    if (!trace) throw new Failure('NOT_FOUND', `no item ${key.sku} of ${key.source}`);
    return trace;
  });
  app.get(publicRoutes.messageTrace(':id'), async (request) => {
    const { id } = parse(z.object({ id: z.string().min(1).max(200) }), request.params);
    const trace = await store.traceMessage(id);
    if (trace.deliveries.length + trace.deadLetters.length === 0)
      throw new Failure('NOT_FOUND', `nothing is known of a message ${id}`);
    return trace;
  });
}
