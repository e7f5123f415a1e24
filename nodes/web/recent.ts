// The last files, crawls and mails, newest first.
import type { FastifyInstance } from 'fastify';
import { crawlListSchema, fileListSchema, mailListSchema } from '../../contracts/public-api.ts';
import { publicRoutes } from '../../contracts/public-routes.ts';
import type { Store } from '../store.ts';
import type { Operation } from './openapi.ts';

const listLength = 50;

export const recentOperations: readonly Operation[] = [
  { method: 'get', path: publicRoutes.files, summary: 'The last files', answer: fileListSchema },
  { method: 'get', path: publicRoutes.crawls, summary: 'The last crawls', answer: crawlListSchema },
  { method: 'get', path: publicRoutes.mails, summary: 'The last mails', answer: mailListSchema },
];

export function addRecent(
  app: FastifyInstance,
  { store }: { store: Pick<Store, 'recentFiles' | 'recentCrawls' | 'recentMails'> },
): void {
  app.get(publicRoutes.files, async () => ({ files: await store.recentFiles(listLength) }));
  app.get(publicRoutes.mails, async () => ({ mails: await store.recentMails(listLength) }));
  app.get(publicRoutes.crawls, async () => ({ crawls: await store.recentCrawls(listLength) }));
}
