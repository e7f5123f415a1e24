// What the launcher tells the pages reaches a node that was down when it happened: it is often what happened to that node.
import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import fastify, { type FastifyInstance } from 'fastify';
import { afterEach, beforeEach, expect, test } from 'vitest';
import type { BatonEvent } from '../../../contracts/event.ts';
import { routes } from '../../../contracts/node-api.ts';
import { openPageReports, type PageReports } from '../../../emulator/launcher/page-reports.ts';
import { makeCertificates, type TestCertificates } from '../../support/certificates.ts';
import { freePort } from '../../support/ports.ts';

let folder: string;
let tls: TestCertificates;
let reports: PageReports;
let port: number;
let node: FastifyInstance | undefined;

beforeEach(async () => {
  folder = await mkdtemp(join(tmpdir(), 'baton-page-reports-'));
  tls = await makeCertificates(folder);
  port = await freePort();
  reports = await openPageReports({
    authority: { ca: tls.ca, leaf: () => tls },
    members: [{ internalUrl: `https://127.0.0.1:${port}` }],
  });
});
afterEach(async () => {
  await reports.close();
  await node?.close();
  node = undefined;
  await rm(folder, { recursive: true, force: true });
});

/** `refusals`: how often it answers with an error first. */
async function startNode(refusals = 0): Promise<string[]> {
  const shown: string[] = [];
  let left = refusals;
  node = fastify({
    https: { ca: tls.ca, cert: tls.cert, key: tls.key, requestCert: true, rejectUnauthorized: true },
  });
  node.post<{ Body: { events: BatonEvent[] } }>(routes.events, async ({ body }, reply) => {
    if (left-- > 0) return reply.code(503).send();
    shown.push(...body.events.map((event) => (event.type === 'fault.injected' ? event.target : event.type)));
    return reply.code(204).send();
  });
  await node.listen({ host: '127.0.0.1', port });
  return shown;
}
const killed = (target: string) =>
  reports.show({ type: 'fault.injected', action: 'kill', target, detail: null });

test('a node that was down is told when it is back, once', async () => {
  killed('node-1');
  await new Promise((resolve) => setTimeout(resolve, 600));
  const shown = await startNode();
  await expect.poll(() => shown, { timeout: 5_000 }).toEqual(['node-1']);
  killed('broker');
  await expect.poll(() => shown, { timeout: 5_000 }).toEqual(['node-1', 'broker']);
});

test('a node that is not ready yet is told again', async () => {
  const shown = await startNode(2);
  killed('node-1');
  await expect.poll(() => shown, { timeout: 5_000 }).toEqual(['node-1']);
});

test('the end waits for no node that is away', async () => {
  killed('node-1');
  await new Promise((resolve) => setTimeout(resolve, 600));
  const began = performance.now();
  await reports.close();
  expect(performance.now() - began).toBeLessThan(600);
});
