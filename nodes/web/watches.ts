// Watches over the public API: who gets mail about what, and the erasure of an address. unsubscribe.ts ends a watch by its id.
import type { FastifyInstance } from 'fastify';
import { z } from 'zod';
import { sourceNameSchema } from '../../contracts/ids.ts';
import { skuLengthMax } from '../../contracts/item.ts';
import { mailAddressSchema } from '../../contracts/mail-address.ts';
import {
  erasedSchema,
  watchListSchema,
  watchSchema,
  watchTopics,
  watchViewSchema,
} from '../../contracts/public-api.ts';
import { publicRoutes } from '../../contracts/public-routes.ts';
import { Failure } from '../../runtime/failure.ts';
import type { Leadership } from '../leadership.ts';
import type { Store } from '../store.ts';
import type { Guard } from './guard.ts';
import type { Operation } from './openapi.ts';
import { parse, uuidParameter } from './parse-request.ts';

const watchRequestSchema = z.strictObject({
  email: mailAddressSchema,
  about: z.enum(watchTopics).default('prices'),
  source: sourceNameSchema.nullable().default(null),
  sku: z.string().max(skuLengthMax).nullable().default(null),
});
/** In the body, not in the path: addresses of requests stand in logs of proxies. */
const erasureSchema = z.strictObject({ email: z.string().min(3).max(254) });

export const watchOperations: readonly Operation[] = [
  {
    method: 'get',
    path: publicRoutes.watches,
    summary: 'Who gets mail about what',
    role: 'editor',
    answer: watchListSchema,
  },
  {
    method: 'get',
    path: publicRoutes.watch('{id}'),
    summary: 'One watch, without its address',
    answer: watchViewSchema,
  },
  {
    method: 'post',
    path: publicRoutes.watches,
    summary: 'Watch prices of an item, a source or all; rejected files; or who leads',
    role: 'editor',
    body: watchRequestSchema,
    answer: watchSchema,
    status: 201,
  },
  { method: 'delete', path: publicRoutes.watch('{id}'), summary: 'End a watch', role: 'editor', status: 204 },
  {
    method: 'post',
    path: publicRoutes.erasures,
    summary: 'Delete everything that holds a mail address',
    role: 'operator',
    body: erasureSchema,
    answer: erasedSchema,
  },
];

export function addWatches(
  app: FastifyInstance,
  {
    store,
    leadership,
    guard,
  }: {
    store: Pick<Store, 'watches' | 'watch' | 'putWatch' | 'deleteWatch' | 'eraseAddress'>;
    leadership: Leadership;
    guard: Guard;
  },
): void {
  app.get(publicRoutes.watches, async (request) => {
    await guard.require(request, 'editor'); // It names persons.
    return { watches: await store.watches() };
  });
  app.get(publicRoutes.watch(':id'), async (request) => {
    const { id } = parse(uuidParameter, request.params);
    const watch = await store.watch(id);
    if (!watch) throw new Failure('NOT_FOUND', `no watch ${id}`);
    return watch;
  });
  app.post(publicRoutes.watches, async (request, reply) => {
    await guard.require(request, 'editor');
    const watch = parse(watchRequestSchema, request.body);
    return reply.code(201).send(await leadership.write('watch', (term) => store.putWatch(term, watch)));
  });
  app.delete(publicRoutes.watch(':id'), async (request, reply) => {
    await guard.require(request, 'editor');
    const { id } = parse(uuidParameter, request.params);
    if (!(await leadership.write('watch', (term) => store.deleteWatch(term, id))))
      throw new Failure('NOT_FOUND', `no watch ${id}`);
    return reply.code(204).send();
  });
  app.post(publicRoutes.erasures, async (request) => {
    await guard.require(request, 'operator');
    const { email } = parse(erasureSchema, request.body);
    return leadership.write('erasure', (term) => store.eraseAddress(term, email));
  });
}
