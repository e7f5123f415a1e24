// The last files, crawls, mails and leaders, newest first.
import type { FastifyInstance } from 'fastify';
import {
  crawlListSchema,
  fileListSchema,
  historySchema,
  mailListSchema,
} from '../../contracts/public-api.ts';
import { publicRoutes } from '../../contracts/public-routes.ts';
import type { Store } from '../store.ts';
import type { Operation } from './openapi.ts';

const listLength = 50;

export const recentOperations: readonly Operation[] = [
  { method: 'get', path: publicRoutes.files, summary: 'The last files', answer: fileListSchema },
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
  { store }: { store: Pick<Store, 'recentFiles' | 'recentCrawls' | 'recentMails' | 'recentLeaders'> },
): void {
  app.get(publicRoutes.files, async () => ({ files: await store.recentFiles(listLength) }));
  app.get(publicRoutes.mails, async () => ({ mails: await store.recentMails(listLength) }));
  app.get(publicRoutes.crawls, async () => ({ crawls: await store.recentCrawls(listLength) }));
  app.get(publicRoutes.history, async () => ({ history: await store.recentLeaders(listLength) }));
}
