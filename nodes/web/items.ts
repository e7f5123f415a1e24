// Items over the public API: pages by key, one with its history, and the command that has all of them written for a partner.
import type { FastifyInstance } from 'fastify';
import { z } from 'zod';
import { sourceNameSchema } from '../../contracts/ids.ts';
import {
  acceptedSchema,
  itemDetailSchema,
  itemListSchema,
  type ItemDetail,
  type ItemList,
} from '../../contracts/public-api.ts';
import { publicRoutes } from '../../contracts/public-routes.ts';
import { etagOf } from '../../runtime/etag.ts';
import { Failure } from '../../runtime/failure.ts';
import { parseJson } from '../../runtime/parse-json.ts';
import type { BrokerClient } from '../../runtime/rabbitmq.ts';
import type { Leadership } from '../leadership.ts';
import type { Store } from '../store.ts';
import { publishFileCommand } from './file-command.ts';
import type { Guard } from './guard.ts';
import type { Operation } from './openapi.ts';
import { itemKeySchema, parse } from './parse-request.ts';

const itemsQuery = z.object({
  source: sourceNameSchema.optional(),
  q: z.string().max(200).optional(),
  inStock: z.stringbool().optional(),
  cursor: z.string().max(1_000).optional(),
  limit: z.coerce.number().int().min(1).max(500).default(50),
});
const cursorSchema = z.tuple([z.string(), z.string()]);

export const itemOperations: readonly Operation[] = [
  {
    method: 'get',
    path: publicRoutes.items,
    summary: 'Current items, by key, page by page',
    query: itemsQuery,
    answer: itemListSchema,
  },
  {
    method: 'get',
    path: publicRoutes.item('{source}', '{sku}'),
    summary: 'One item with its history',
    answer: itemDetailSchema,
  },
  {
    method: 'post',
    path: publicRoutes.export,
    summary: 'Write all items to out/',
    role: 'operator',
    answer: acceptedSchema,
    status: 202,
  },
];

export function addItems(
  app: FastifyInstance,
  {
    store,
    leadership,
    broker,
    guard,
  }: {
    store: Pick<Store, 'items' | 'item'>;
    leadership: Leadership;
    broker: Pick<BrokerClient, 'publish'>;
    guard: Guard;
  },
): void {
  app.get(publicRoutes.items, async (request, reply) => {
    const { cursor, limit, source, q, inStock } = parse(itemsQuery, request.query);
    const items = await store.items({ source, q, inStock, limit: limit + 1, after: readCursor(cursor) });
    const page = items.slice(0, limit);
    const last = page.at(-1);
    const next = items.length > limit && last ? writeCursor(last) : null;
    const body = JSON.stringify({ items: page, next } satisfies ItemList);
    const etag = etagOf(body);
    reply.header('etag', etag).header('cache-control', 'no-cache').type('application/json; charset=utf-8');
    const known = (request.headers['if-none-match'] ?? '')
      .split(',')
      .map((tag) => tag.trim().replace(/^W\//, ''));
    return known.includes(etag) || known.includes('*') ? reply.code(304).send() : reply.send(body);
  });
  app.get(publicRoutes.item(':source', ':sku'), async (request): Promise<ItemDetail> => {
    const key = parse(itemKeySchema, request.params);
    const found = await store.item(key);
    if (!found) throw new Failure('NOT_FOUND', `no item ${key.sku} of ${key.source}`);
    return found;
  });

  app.post(publicRoutes.export, async (request, reply) => {
    await guard.require(request, 'operator');
    await leadership.write('export', () => publishFileCommand(broker, { kind: 'export' }));
    return reply.code(202).send({ accepted: true });
  });
}

function writeCursor({ source, sku }: { source: string; sku: string }): string {
  return Buffer.from(JSON.stringify([source, sku])).toString('base64url');
}
function readCursor(cursor: string | undefined): { source: string; sku: string } | undefined {
  if (cursor === undefined) return undefined;
  const known = cursorSchema.safeParse(parseJson(Buffer.from(cursor, 'base64url').toString('utf8')));
  if (!known.success) throw new Failure('REQUEST_MALFORMED', 'cursor: not one that this API gave out');
  const [source, sku] = known.data;
  return { source, sku };
}
