// The last crawls and mails, newest first.
import type { FastifyInstance } from 'fastify';
import { crawlListSchema, mailListSchema } from '../../contracts/public-api.ts';
import { publicRoutes } from '../../contracts/public-routes.ts';
import type { Store } from '../store.ts';
import type { Operation } from './openapi.ts';

const listLength = 50;

export const recentOperations: readonly Operation[] = [
  { method: 'get', path: publicRoutes.crawls, summary: 'The last crawls', answer: crawlListSchema },
  { method: 'get', path: publicRoutes.mails, summary: 'The last mails', answer: mailListSchema },
];

export function addRecent(
  app: FastifyInstance,
  { store }: { store: Pick<Store, 'recentCrawls' | 'recentMails'> },
): void {
  app.get(publicRoutes.mails, async () => ({ mails: await store.recentMails(listLength) }));
  app.get(publicRoutes.crawls, async () => ({ crawls: await store.recentCrawls(listLength) }));
}
