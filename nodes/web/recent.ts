// The last crawls, mails and leaders, newest first.
import type { FastifyInstance } from 'fastify';
import { crawlListSchema, historySchema, mailListSchema } from '../../contracts/public-api.ts';
import { publicRoutes } from '../../contracts/public-routes.ts';
import type { Store } from '../store.ts';
import type { Operation } from './openapi.ts';

const listLength = 50;

export const recentOperations: readonly Operation[] = [
  { method: 'get', path: publicRoutes.crawls, summary: 'The last crawls', answer: crawlListSchema },
  { method: 'get', path: publicRoutes.mails, summary: 'The last mails', answer: mailListSchema },
  {
    method: 'get',
    path: publicRoutes.history,
    summary: 'Who was granted a term by the database, when, and why it stood for election',
    answer: historySchema,
  },
];

export function addRecent(
  app: FastifyInstance,
  { store }: { store: Pick<Store, 'recentCrawls' | 'recentMails' | 'recentLeaders'> },
): void {
  app.get(publicRoutes.mails, async () => ({ mails: await store.recentMails(listLength) }));
  app.get(publicRoutes.crawls, async () => ({ crawls: await store.recentCrawls(listLength) }));
  app.get(publicRoutes.history, async () => ({ history: await store.recentLeaders(listLength) }));
}
