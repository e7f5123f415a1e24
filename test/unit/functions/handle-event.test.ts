// What becomes of a command that cannot be done, and of the lease when an invocation ends.
import { afterEach, expect, test, vi } from 'vitest';
import type { FileCommand } from '../../../contracts/file-command.ts';
import { routes } from '../../../contracts/node-api.ts';
import type { FtpClient } from '../../../functions/ftp-sync/ftp-client.ts';
import { handleEvent, type EventPorts } from '../../../functions/ftp-sync/handle-event.ts';
import { Failure } from '../../../runtime/failure.ts';
import type { InternalRequest } from '../../../runtime/internal-http.ts';
import { rabbitmqEvent, rabbitmqMessage, simulatedEdges, traceparent } from './simulated-edges.ts';

afterEach(() => vi.useRealTimers());

const taken = (name: string) => `acme_1.baton-${name}.csv`;
const commands = {
  sync: { version: 1, traceparent, kind: 'sync' },
  deposited: { version: 1, traceparent, kind: 'deposited', name: 'acme_1.csv' },
  retry: { version: 1, traceparent, kind: 'retry', name: taken('0d1f6c1a-3f0c-4d3a-8c57-9d5f5c0c1b77') },
  export: { version: 1, traceparent, kind: 'export' },
} as const satisfies Record<FileCommand['kind'], FileCommand>;
const command = (kind: FileCommand['kind'], headers: Record<string, unknown> = {}) =>
  rabbitmqEvent('files', [
    rabbitmqMessage(commands[kind], { type: 'file-command', messageId: 'm-1', headers }),
  ]);
const away = () => Promise.reject(new Error('nobody listens at the FTP server'));
const ftpThat = (list: () => Promise<string[]>) =>
  ({ list, look: away, move: away, write: away, remove: away }) as unknown as FtpClient;

function world(changes: Partial<EventPorts> = {}) {
  const edges = simulatedEdges();
  edges.answer = () => undefined;
  const ports: EventPorts = {
    ...edges.ports,
    leader: { ...edges.ports.leader, download: away },
    ftp: ftpThat(away),
    ...changes,
  };
  return {
    ...edges,
    edges,
    run: (event: unknown, { budgetMs = 60_000 } = {}) =>
      handleEvent(ports, event, { owner: 'ftp-sync/1', deadline: performance.now() + budgetMs }),
  };
}
const hourAgo = () => Date.now() - 3_601_000;

test.for(['sync', 'deposited', 'retry', 'export'] as const)(
  'a command %s that fails waits, and keeps the time of its first try',
  async (kind) => {
    const { run, published } = world();
    const before = Date.now();
    await run(command(kind));
    const firstTriedAt = Number(published[0]?.headers?.['x-baton-first-tried-at']);
    expect(firstTriedAt).toBeGreaterThanOrEqual(before);
    await run(command(kind, { 'x-baton-attempt': 2, 'x-baton-first-tried-at': firstTriedAt }));
    expect(published.map(({ routingKey, headers }) => [routingKey, headers])).toEqual([
      ['files.retry', { 'x-baton-attempt': 2, 'x-baton-first-tried-at': firstTriedAt }],
      ['files.retry', { 'x-baton-attempt': 3, 'x-baton-first-tried-at': firstTriedAt }],
    ]);
  },
);

const notRead = new Failure('API_VERSION_UNSUPPORTED', 'this node reads 1');
test.for(['sync', 'deposited', 'retry', 'export'] as const)(
  'a command %s at nodes that do not read its calls waits, and a person is told',
  async (kind) => {
    const { run, edges, published } = world();
    edges.answer = () => {
      throw notRead;
    };
    await run(command(kind));
    expect(published.map(({ routingKey }) => routingKey)).toEqual(['files.retry']);
    expect(edges.events).toMatchObject([{ type: 'problem', code: 'API_VERSION_UNSUPPORTED' }]);
  },
);

test.for(['retry', 'export'] as const)(
  'an hour after its first try a command %s is a dead letter, with what stood in its way last',
  async (kind) => {
    const { run, published } = world();
    await run(command(kind, { 'x-baton-first-tried-at': hourAgo() }));
    expect(published).toMatchObject([
      {
        routingKey: 'files.dead',
        headers: {
          'x-baton-routing-key': `files.${kind}`,
          'x-baton-reason': expect.stringMatching(/^given up .*nobody listens/) as unknown,
        },
      },
    ]);
  },
);

test.for(['sync', 'deposited'] as const)(
  'an hour after its first try a command %s is left to the ticks, which see the same files',
  async (kind) => {
    const { run, published } = world();
    await run(command(kind, { 'x-baton-first-tried-at': hourAgo() }));
    expect(published).toEqual([]);
  },
);

test('a renewal of the lease that is answered late does not take it again after it was given back', async () => {
  vi.useFakeTimers();
  const done: number[] = [];
  const renewal = Promise.withResolvers<void>();
  const listing = Promise.withResolvers<string[]>();
  const call = async ({ path, json }: InternalRequest) => {
    if (path === routes.lease('ftp-sync')) {
      const { leaseMs } = json as { leaseMs: number };
      if (done.length === 1 && leaseMs > 0) await renewal.promise;
      done.push(leaseMs);
    }
    return { status: 200, term: 1, json: undefined };
  };
  const { run } = world({
    leader: { call, download: away },
    ftp: ftpThat(() => listing.promise),
  });
  const ended = run(command('sync'));
  await vi.advanceTimersByTimeAsync(41_000);
  listing.resolve([]);
  await vi.advanceTimersByTimeAsync(100);
  renewal.resolve();
  await ended;
  expect(done).toEqual([120_000, 120_000, 0]);
});

test('the lease is given back also when the time of the invocation is over', async () => {
  const untils: number[] = [];
  const call = async ({ path, json }: InternalRequest, { deadline }: { deadline: number }) => {
    if (path === routes.lease('ftp-sync') && (json as { leaseMs: number }).leaseMs === 0)
      untils.push(deadline - performance.now());
    return { status: 200, term: 1, json: undefined };
  };
  const late = () => new Promise<string[]>((resolve) => setTimeout(() => resolve([]), 50));
  const { run } = world({
    leader: { call, download: away },
    ftp: ftpThat(late),
  });
  await run(command('sync'), { budgetMs: 20 });
  expect(untils[0]).toBeGreaterThan(1_000);
});

test('what another worker holds waits, but for a sync, which that worker does', async () => {
  for (const [kind, expected] of [
    ['sync', []],
    ['deposited', ['files.retry']],
    ['export', ['files.retry']],
  ] as const) {
    const { run, edges, published } = world();
    edges.answer = ({ path }) => {
      if (path.includes('/leases/')) throw new Failure('LEASE_HELD', 'another runs');
      return undefined;
    };
    await run(command(kind));
    expect([kind, published.map(({ routingKey }) => routingKey)]).toEqual([kind, expected]);
  }
});
