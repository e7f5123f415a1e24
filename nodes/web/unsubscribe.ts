// Ends a watch for whoever got its mail: by one click in the mail program (RFC 8058), or on the page that the mail leads to.
// A watch's id is random and told to its mails and to editors alone, so it is all that is asked for.
import type { FastifyInstance } from 'fastify';
import { publicRoutes } from '../../contracts/public-routes.ts';
import { Failure } from '../../runtime/failure.ts';
import type { Leadership } from '../leadership.ts';
import type { Store } from '../store.ts';
import type { Operation } from './openapi.ts';
import { parse, uuidParameter } from './parse-request.ts';

export const unsubscribeRoute = publicRoutes.endOfWatch(':id');
const bodyBytesMax = 1_024; // `List-Unsubscribe=One-Click`, which says nothing that the address does not.

export const unsubscribeOperations: readonly Operation[] = [
  {
    method: 'post',
    path: publicRoutes.endOfWatch('{id}'),
    summary: 'End a watch, by its id alone: what the one click of a mail asks for (RFC 8058)',
    status: 204,
  },
  {
    method: 'get',
    path: publicRoutes.endOfWatch('{id}'),
    summary: 'Leads to the watch on the page, and ends nothing',
    status: 303,
  },
];

export function addUnsubscribe(
  app: FastifyInstance,
  { leadership, store }: { leadership: Leadership; store: Pick<Store, 'deleteWatch'> },
): void {
  app.register(async (scope) => {
    // RFC 8058 lets mail programs send a form of either kind.
    scope.addContentTypeParser('*', { parseAs: 'string', bodyLimit: bodyBytesMax }, async () => undefined);
    scope.post(unsubscribeRoute, async (request, reply) => {
      const { id } = parse(uuidParameter, request.params);
      if (!(await leadership.write('end of a watch', (term) => store.deleteWatch(term, id))))
        throw new Failure('NOT_FOUND', `no watch ${id}`);
      return reply.code(204).send();
    });
    // Programs that look at links before their reader does must not end anything.
    scope.get(unsubscribeRoute, async (request, reply) =>
      reply.redirect(`/#watch-${parse(uuidParameter, request.params).id}`, 303),
    );
  });
}
