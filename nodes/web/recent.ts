// The last files, crawls and mails, newest first.
import type { FastifyInstance } from 'fastify';
import type { Store } from '../store.ts';
import type { Operation } from './openapi.ts';

const listLength = 50;

export const recentOperations: readonly Operation[] = [
  { method: 'get', path: '/files', summary: 'The last files' },
  { method: 'get', path: '/crawls', summary: 'The last crawls' },
  { method: 'get', path: '/mails', summary: 'The last mails' },
];

export function addRecent(
  app: FastifyInstance,
  { store }: { store: Pick<Store, 'recentFiles' | 'recentCrawls' | 'recentMails'> },
): void {
  app.get('/files', async () => ({ files: await store.recentFiles(listLength) }));
  app.get('/mails', async () => ({ mails: await store.recentMails(listLength) }));
  app.get('/crawls', async () => ({ crawls: await store.recentCrawls(listLength) }));
}
