// One run of ftp-sync where a file fails for good at the leader: it is tried for a bounded time, told, and the others are taken.
import { expect, test } from 'vitest';
import { parseFileName } from '../../../contracts/file.ts';
import { routes } from '../../../contracts/node-api.ts';
import type { FtpClient } from '../../../functions/ftp-sync/ftp-client.ts';
import { syncAll, type SyncPorts } from '../../../functions/ftp-sync/sync-files.ts';
import { Failure } from '../../../runtime/failure.ts';
import { simulatedEdges, traceparent } from './simulated-edges.ts';

const runMs = 800_000;

test('a file that the leader never takes is left after a minute of tries, with the reason, and the next one is taken', async () => {
  const edges = simulatedEdges();
  const moved: string[] = [];
  const waits: number[] = [];
  const leader: SyncPorts['leader'] = {
    async call({ path, json }, { deadline }) {
      waits.push(deadline - performance.now());
      if (path !== routes.files) return { status: 204, term: 1, json: undefined };
      const { name } = json as { name: string };
      if (name === 'bad_1.csv') throw new Failure('INTERNAL', 'out of range');
      return { status: 200, term: 1, json: { kind: 'done', fileId: crypto.randomUUID() } };
    },
    download: () => Promise.reject(new Error('nothing is exported here')),
  };
  const ftp = {
    list: async () => ['bad_1.csv', 'good_1.csv'],
    look: async (path: string) => (path.startsWith('in/') ? { size: 3, modifiedAt: new Date(0) } : undefined),
    move: async ({ to }: { to: string }) => moved.push(to) > 0,
  } as unknown as FtpClient;
  const counts = await syncAll(
    { leader, ftp, logger: edges.ports.logger },
    { deadline: performance.now() + runMs, traceparent, signal: new AbortController().signal },
  );
  expect(counts).toEqual({ applied: 1, rejected: 0, left: 1 });
  expect(moved).toEqual(['done/good_1.csv']);
  expect(Math.max(...waits)).toBeLessThanOrEqual(60_000);
  expect(edges.events).toContainEqual(
    expect.objectContaining({
      type: 'problem',
      code: 'INTERNAL',
      detail: expect.stringMatching(/^bad_1\.csv stays .*out of range/) as unknown,
    }),
  );
});

test.for([
  ['acme_crawl-7.ndjson', 7],
  ['acme_crawl-536870911.ndjson', 2 ** 29 - 1],
  ['acme_crawl-536870912.ndjson', undefined],
  ['acme_crawl-2611260930.csv', undefined],
  ['acme_crawl-0.csv', undefined],
] as const)('of %s the intake is %s: more than an intake can be is somebody’s date', ([name, intake]) => {
  expect(parseFileName(name)).toMatchObject({ source: 'acme', crawlIntake: intake });
});
