// Sources over the public API: what is configured, how long ago each brought something, storing and deleting one.
import type { FastifyInstance } from 'fastify';
import { z } from 'zod';
import { sourceNameSchema } from '../../contracts/ids.ts';
import { sourcesSchema, type SourcesView } from '../../contracts/public-api.ts';
import { publicRoutes } from '../../contracts/public-routes.ts';
import { newSourceSchema } from '../../contracts/selectors.ts';
import { sourceSchema } from '../../contracts/source.ts';
import { Failure } from '../../runtime/failure.ts';
import type { Leadership } from '../leadership.ts';
import { judgeSources } from '../health/source-watch.ts';
import type { Store } from '../store.ts';
import type { Guard } from './guard.ts';
import type { Operation } from './openapi.ts';
import { parse } from './parse-request.ts';

const nameParameter = z.object({ name: sourceNameSchema });

export const sourceOperations: readonly Operation[] = [
  {
    method: 'get',
    path: publicRoutes.sources,
    summary: 'Configured sources, and how long ago each brought something',
    answer: sourcesSchema,
  },
  {
    method: 'put',
    path: publicRoutes.source('{name}'),
    summary: 'Store a source',
    role: 'editor',
    body: sourceSchema,
    status: 204,
  },
  {
    method: 'delete',
    path: publicRoutes.source('{name}'),
    summary: 'Delete a source: its items vanish and go, which may take minutes',
    role: 'editor',
    status: 204,
  },
];

export function addSources(
  app: FastifyInstance,
  {
    store,
    leadership,
    guard,
  }: {
    store: Pick<Store, 'sources' | 'sourceAges' | 'putSource' | 'deleteSource'>;
    leadership: Leadership;
    guard: Guard;
  },
): void {
  app.get(publicRoutes.sources, async (): Promise<SourcesView> => {
    const [sources, { standings }] = await Promise.all([store.sources(), judgeSources(store)]);
    return { sources, standings };
  });
  app.put(publicRoutes.source(':name'), async (request, reply) => {
    await guard.require(request, 'editor');
    const source = parse(newSourceSchema, request.body);
    const { name } = parse(nameParameter, request.params);
    if (source.name !== name) throw new Failure('REQUEST_MALFORMED', `name: the path says ${name}`);
    await leadership.write('source', (term) => store.putSource(term, source));
    return reply.code(204).send();
  });
  app.delete(publicRoutes.source(':name'), async (request, reply) => {
    await guard.require(request, 'editor');
    const { name } = parse(nameParameter, request.params);
    if (!(await leadership.write('source', (term) => store.deleteSource(term, name))))
      throw new Failure('NOT_FOUND', `there is no source ${name}`);
    return reply.code(204).send();
  });
}
