// The leader's file routes over HTTPS for tests of ftp-sync: reads the multipart as a node does, keeps what
// arrived whole, and answers what the test ordered.
import { createHash } from 'node:crypto';
import { performance } from 'node:perf_hooks';
import multipart from '@fastify/multipart';
import fastify from 'fastify';
import type { FileAnswer } from '../../contracts/node-api.ts';
import { createInternalClient, type InternalRequest } from '../../runtime/internal-http.ts';
import type { TestCertificates } from './certificates.ts';

const applied: FileAnswer = {
  kind: 'applied',
  reason: null,
  rows: 1,
  applied: 1,
  unchanged: 0,
  stale: 0,
  invalid: 0,
  vanished: 0,
  differences: 0,
  problems: [],
  incomplete: null,
};

export async function startFileReceiver(certificates: TestCertificates) {
  const app = fastify({ https: { cert: certificates.cert, key: certificates.key, minVersion: 'TLSv1.3' } });
  await app.register(multipart, { limits: { fileSize: 1024 ** 3 } });
  const received: { id: string; name: string; bytes: Buffer }[] = [];
  const opened: { id: string; name: string; size: number; modifiedAt: string }[] = [];
  const outcomes: { name: string; movedTo: string | null; reason: string | null }[] = [];
  const events: { type: string }[] = [];
  const orders = {
    leaseHeld: false,
    noteNoMove: false,
    rejectContaining: undefined as string | undefined,
    answer: {} as Partial<FileAnswer>,
  };
  const nameOf = (id: string) => opened.find((file) => file.id === id)?.name ?? '?';
  const problem = (status: number, code: string, detail: string) => ({
    type: 'about:blank',
    title: code,
    status,
    code,
    detail,
  });

  app.post('/internal/leases/:name', async (request, reply) => {
    const { name } = request.params as { name: string };
    const { owner, leaseMs } = request.body as { owner: string; leaseMs: number };
    if (orders.leaseHeld && name === 'ftp-sync' && leaseMs > 0)
      return await reply.code(409).send(problem(409, 'LEASE_HELD', 'another runs'));
    return { name, owner, expiresAt: new Date().toISOString() };
  });
  app.post('/internal/files', async (request) => {
    const { name, size, modifiedAt } = request.body as { name: string; size: number; modifiedAt: string };
    // A file is known by what it is called, its size and its time, as in the ledger.
    const known = opened.find(
      (file) => file.name === name && file.size === size && file.modifiedAt === modifiedAt,
    );
    const id = known?.id ?? crypto.randomUUID();
    const done = received.some((file) => file.id === id);
    opened.push({ id, name, size, modifiedAt });
    return done
      ? { kind: 'done', fileId: id, answer: { ...applied, ...orders.answer } }
      : { kind: 'upload', fileId: id, intake: opened.length };
  });
  app.post('/internal/files/:id/content', async (request, reply) => {
    const parts = request.parts();
    let meta: { name: string; size: number } | undefined;
    let bytes = Buffer.alloc(0);
    let sha256: unknown;
    for await (const part of parts) {
      if (part.type === 'file') {
        const chunks: Buffer[] = [];
        for await (const chunk of part.file) chunks.push(chunk as Buffer);
        bytes = Buffer.concat(chunks);
      } else if (part.fieldname === 'meta')
        meta = (typeof part.value === 'string' ? JSON.parse(part.value) : part.value) as typeof meta;
      else sha256 = part.value;
    }
    const actual = createHash('sha256').update(bytes).digest('hex');
    if (!meta || meta.size !== bytes.length || actual !== sha256)
      return await reply.code(400).send(problem(400, 'FILE_TRUNCATED', 'not whole'));
    if (orders.rejectContaining !== undefined && bytes.includes(orders.rejectContaining))
      return await reply.code(422).send(problem(422, 'FILE_MALFORMED', 'row 2: price: expected number'));
    const { id } = request.params as { id: string };
    received.push({ id, name: meta.name, bytes });
    return { ...applied, ...orders.answer };
  });
  app.put('/internal/files/:id/outcome', async (request, reply) => {
    const { id } = request.params as { id: string };
    const outcome = request.body as { movedTo: string | null; reason: string | null };
    if (orders.noteNoMove && outcome.movedTo !== null)
      return await reply.code(400).send(problem(400, 'REQUEST_MALFORMED', 'no moves are noted'));
    outcomes.push({ name: nameOf(id), ...outcome });
    return await reply.code(204).send();
  });
  app.get('/internal/export', async (request) =>
    (request.query as { format: string }).format === 'csv' ? 'source,sku\nshop,1\n' : '{"sku":"1"}\n',
  );
  app.post('/internal/events', async (request, reply) => {
    events.push(...(request.body as { events: { type: string }[] }).events);
    return await reply.code(204).send();
  });
  const url = await app.listen({ host: '127.0.0.1', port: 0 });
  const client = createInternalClient(certificates);
  const bounded = (what: InternalRequest, { deadline }: { deadline: number }) => ({
    ...what,
    timeoutMs: Math.max(1, Math.ceil(Math.min(what.timeoutMs, deadline - performance.now()))),
  });
  return {
    received,
    opened,
    outcomes,
    events,
    orders,
    leader: {
      call: (what: InternalRequest, options: { deadline: number }) =>
        client.call(url, bounded(what, options)),
      download: (what: InternalRequest, options: { deadline: number }) =>
        client.download(url, bounded(what, options)),
    },
    async close() {
      await client.close();
      await app.close();
    },
  };
}
