// One run of ftp-sync where a file fails for good at the leader: it is tried for a bounded time, told, and the others are taken.
import { expect, test } from 'vitest';
import { parseFileName } from '../../../contracts/file.ts';
import { routes, type FileAnswer } from '../../../contracts/node-api.ts';
import type { FtpClient } from '../../../functions/ftp-sync/ftp-client.ts';
import { givenName, judgeName, takenName } from '../../../functions/ftp-sync/plan-transfer.ts';
import { syncAll, type SyncPorts } from '../../../functions/ftp-sync/sync-files.ts';
import { Failure } from '../../../runtime/failure.ts';
import { simulatedEdges, traceparent } from './simulated-edges.ts';

const runMs = 800_000;
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

test('a file that the leader never takes is left after a minute of tries, with the reason, and the next one is taken', async () => {
  const edges = simulatedEdges();
  const goodId = crypto.randomUUID();
  const moved: string[] = [];
  const waits: number[] = [];
  const leader: SyncPorts['leader'] = {
    async call({ path, json }, { deadline }) {
      waits.push(deadline - performance.now());
      if (path !== routes.files) return { status: 204, term: 1, json: undefined };
      const { name } = json as { name: string };
      if (name === 'bad_1.csv') throw new Failure('INTERNAL', 'out of range');
      return { status: 200, term: 1, json: { kind: 'done', fileId: goodId, answer: applied } };
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
    { patient: true },
  );
  expect(counts).toEqual({ applied: 1, rejected: 0, left: 1 });
  expect(moved).toEqual([`in/good_1.baton-${goodId}.csv`, `done/good_1.baton-${goodId}.csv`]);
  expect(Math.max(...waits)).toBeLessThanOrEqual(60_000);
  expect(edges.events).toContainEqual(
    expect.objectContaining({
      type: 'problem',
      code: 'INTERNAL',
      detail: expect.stringMatching(/^bad_1\.csv stays .*out of range/) as unknown,
    }),
  );
});

/** Files that the leader did all before, but for what `fails` says of their opening. */
async function syncOf(
  files: Readonly<Record<string, number>>,
  fails: (name: string) => Failure | undefined,
  moves = true,
) {
  const edges = simulatedEdges();
  const opened: string[] = [];
  const leader: SyncPorts['leader'] = {
    async call({ path, json }) {
      if (path !== routes.files) return { status: 204, term: 1, json: undefined };
      const { name } = json as { name: string };
      opened.push(name);
      const failure = fails(name);
      if (failure) throw failure;
      return { status: 200, term: 1, json: { kind: 'done', fileId: crypto.randomUUID(), answer: applied } };
    },
    download: () => Promise.reject(new Error('nothing is exported here')),
  };
  const looked = new Set<string>();
  const ftp = {
    list: async () => Object.keys(files),
    look: async (path: string) => {
      const name = path.replace(/^in\//, '').replace(/\.baton-[0-9a-f-]{36}/, '');
      looked.add(name);
      return { size: 3, modifiedAt: new Date((files[name] ?? 0) * 1_000) };
    },
    move: async () => moves,
  } as unknown as FtpClient;
  const counts = await syncAll(
    { leader, ftp, logger: edges.ports.logger },
    { deadline: performance.now() + runMs, traceparent, signal: new AbortController().signal },
    { patient: true },
  );
  return { counts, opened, looked, events: edges.events };
}

test('while a file cannot be opened the newer ones of its source wait, and other sources do not', async () => {
  const { counts, opened } = await syncOf(
    { 'acme_a.csv': 3, 'acme_b.csv': 1, 'acme_c.csv': 2, 'other.csv': 9 },
    (name) => (name === 'acme_c.csv' ? new Failure('NO_LEADER', 'nobody leads') : undefined),
  );
  expect(opened.toSorted()).toEqual(['acme_b.csv', 'acme_c.csv', 'other.csv']);
  expect(counts).toEqual({ applied: 2, rejected: 0, left: 2 });
});

test('a file that the leader refuses to open, as it may for ever, holds up no other of its source', async () => {
  const refusals = [
    new Failure('INTERNAL', 'out of range', { details: { status: 500 } }),
    new Failure('REQUEST_MALFORMED', 'modifiedAt', { details: { status: 400 } }),
  ];
  for (const refusal of refusals) {
    const { counts } = await syncOf({ 'acme_a.csv': 1, 'acme_b.csv': 2 }, (name) =>
      name === 'acme_a.csv' ? refusal : undefined,
    );
    expect(counts).toEqual({ applied: 1, rejected: 0, left: 1 });
  }
});

test('a server that moves nothing is told of, and the leader of no move', async () => {
  const { counts, events } = await syncOf({ 'acme_a.csv': 1 }, () => undefined, false);
  expect(counts).toEqual({ applied: 0, rejected: 0, left: 1 });
  expect(events).toEqual([
    expect.objectContaining({ type: 'problem', detail: expect.stringMatching(/does not move/) as unknown }),
  ]);
});

test('one run looks at whole sources, those of few files first, and takes the oldest thousand of each', async () => {
  const many = (source: string, count: number) =>
    Array.from({ length: count }, (_, index) => [`${source}_${index}.csv`, count - index] as const);
  const files = Object.fromEntries([...many('a', 2_000), ...many('b', 1_001), ...many('c', 2)]);
  const { counts, opened, looked } = await syncOf(files, () => undefined);
  expect(looked.size).toBe(1_003);
  expect(counts).toEqual({ applied: 1_002, rejected: 0, left: 0 });
  const ofB = opened.filter((name) => name.startsWith('b_'));
  expect([ofB.slice(0, 2), ofB.at(-1)]).toEqual([['b_1000.csv', 'b_999.csv'], 'b_1.csv']);
});

test.for([
  ['acme.csv', 'acme.baton-ID.csv'],
  ['acme_1.2.ndjson.gz', 'acme_1.2.baton-ID.ndjson.gz'],
  ['readme.txt', 'readme.txt.baton-ID'],
  ['notes', 'notes.baton-ID'],
  ['acme_0af76519-16cd-43dd-8448-eb211c80319c.csv', 'acme_0af76519-16cd-43dd-8448-eb211c80319c.baton-ID.csv'],
] as const)(
  '%s is called %s from its opening on, and what it was called is read from that',
  ([name, taken]) => {
    const id = crypto.randomUUID();
    expect(takenName(name, id)).toBe(taken.replace('ID', id));
    expect([givenName(takenName(name, id)), givenName(name)]).toEqual([name, name]);
  },
);

test('with all that is added to it a name is what a file system takes', () => {
  const longest = `acme_${'x'.repeat(181)}.csv`;
  expect([judgeName(longest).kind, judgeName(`x${longest}`).kind]).toEqual(['take', 'unsafe']);
  expect(`.${takenName(longest, crypto.randomUUID())}.reason.txt.part`.length).toBeLessThanOrEqual(255);
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
