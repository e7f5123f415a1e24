// Files over the public API: the last ones with what became of their rows, one of them, and the wish to have a rejected one
// tried again, which ftp-sync fulfils.
import { posix } from 'node:path';
import type { FastifyInstance } from 'fastify';
import {
  acceptedSchema,
  fileListSchema,
  fileViewSchema,
  type Accepted,
  type FileView,
} from '../../contracts/public-api.ts';
import { publicRoutes } from '../../contracts/public-routes.ts';
import { Failure } from '../../runtime/failure.ts';
import type { BrokerClient } from '../../runtime/rabbitmq.ts';
import type { Leadership } from '../leadership.ts';
import type { Store } from '../store.ts';
import { publishFileCommand } from './file-command.ts';
import type { Guard } from './guard.ts';
import type { Operation } from './openapi.ts';
import { parse, uuidParameter } from './parse-request.ts';

const listLength = 50;

export const fileOperations: readonly Operation[] = [
  { method: 'get', path: publicRoutes.files, summary: 'The last files', answer: fileListSchema },
  { method: 'get', path: publicRoutes.file('{id}'), summary: 'One file', answer: fileViewSchema },
  {
    method: 'post',
    path: publicRoutes.retryFile('{id}'),
    summary: 'Have a rejected file tried again; it keeps its place among the files of its source',
    role: 'editor',
    answer: acceptedSchema,
    status: 202,
  },
];

export function addFiles(
  app: FastifyInstance,
  {
    store,
    leadership,
    broker,
    guard,
  }: {
    store: Pick<Store, 'recentFiles' | 'file'>;
    leadership: Leadership;
    broker: Pick<BrokerClient, 'publish'>;
    guard: Guard;
  },
): void {
  const find = async (params: unknown): Promise<FileView> => {
    const { id } = parse(uuidParameter, params);
    const file = await store.file(id);
    if (!file) throw new Failure('NOT_FOUND', `no file ${id}`);
    return file;
  };
  app.get(publicRoutes.files, async () => ({ files: await store.recentFiles(listLength) }));
  app.get(publicRoutes.file(':id'), (request) => find(request.params));
  app.post(publicRoutes.retryFile(':id'), async (request, reply) => {
    await guard.require(request, 'editor');
    await leadership.write('retry of a file', async () => {
      const { name, state, movedTo } = await find(request.params);
      if (state !== 'rejected' || movedTo === null)
        throw new Failure(
          'REQUEST_MALFORMED',
          `${name} is ${state === 'rejected' ? 'still on its way to rejected/' : state}: what lies in rejected/ can be tried again`,
        );
      await publishFileCommand(broker, { kind: 'retry', name: posix.basename(movedTo) });
    });
    return reply.code(202).send({ accepted: true } satisfies Accepted);
  });
}
