// A node looks at its own internal listener as others reach it, and while it follows it goes the way of a batch.
import { mkdir, mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import fastify from 'fastify';
import { afterEach, beforeEach, expect, test } from 'vitest';
import type { LeadershipView } from '../../../contracts/public-api.ts';
import { Problems } from '../../../nodes/health/problems.ts';
import { standBy } from '../../../nodes/health/standby.ts';
import { makeCertificates, type TestCertificates } from '../../support/certificates.ts';

const deaf = /^the internal listener of this node does not answer itself/;
let folder: string;
let own: TestCertificates;
let closeListener: () => Promise<void>;
let asked: string[];
let rehearsed: number;
let reports: string[];
let problems: Problems;
let state: LeadershipView;
let tls: TestCertificates;
let standby: ReturnType<typeof standBy>;

beforeEach(async () => {
  folder = await mkdtemp(join(tmpdir(), 'baton-standby-'));
  own = await makeCertificates(folder);
  tls = own;
  [asked, reports, rehearsed, problems] = [[], [], 0, new Problems()];
  state = { kind: 'following', term: 1, leader: 'node-2' };
  const app = fastify({
    https: { ca: own.ca, cert: own.cert, key: own.key, requestCert: true, rejectUnauthorized: true },
  });
  app.all('*', async (request) => {
    asked.push(`${request.method} ${request.url}`);
    return {};
  });
  const url = await app.listen({ host: '127.0.0.1', port: 0 });
  closeListener = () => app.close();
  standby = standBy({
    leadership: {
      get state() {
        return state;
      },
    },
    store: { rehearse: async () => void (rehearsed += 1) },
    url,
    tls: () => tls,
    problems,
    report: (error) => reports.push(String(error)),
    firstAfterMs: 10,
    everyMs: 50,
  });
});
afterEach(async () => {
  standby.close();
  await closeListener();
  await rm(folder, { recursive: true, force: true });
});

test('a follower answers itself and goes the way of a batch; a leader is only asked whether it answers', async () => {
  await expect.poll(() => rehearsed, { timeout: 15_000 }).toBeGreaterThan(20);
  expect(asked.filter((request) => request === 'POST /internal/batches').length).toBeGreaterThan(20);
  expect(problems.list()).toEqual([]);
  state = { kind: 'leading', term: 2 };
  await expect.poll(() => asked.slice(-3)).toEqual(Array(3).fill('GET /internal/term'));
});

test('a listener whose certificate nobody takes is a problem, said once, until a renewed one is taken', async () => {
  await expect.poll(() => asked.length).toBeGreaterThan(0);
  const elsewhere = join(folder, 'another-authority');
  await mkdir(elsewhere);
  tls = await makeCertificates(elsewhere);
  await expect.poll(() => problems.list()).toEqual([expect.stringMatching(deaf)]);
  await new Promise((resolve) => setTimeout(resolve, 200));
  expect(reports).toEqual([expect.stringContaining('gets no answer of itself at https://127.0.0.1')]);
  tls = own;
  await expect.poll(() => problems.list()).toEqual([]);
});
