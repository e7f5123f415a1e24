// The jobs of whoever leads: when they begin, and that they rest while this node may not write.
import { beforeEach, expect, test, vi, afterEach } from 'vitest';
import type { EventDraft } from '../../../contracts/event.ts';
import { jobsOf, startLeaderJobs } from '../../../nodes/leader-jobs.ts';
import { Leadership } from '../../../nodes/leadership.ts';
import { Problems } from '../../../nodes/health/problems.ts';
import type { Store } from '../../../nodes/store.ts';
import { Deliveries } from '../../../nodes/tracing/deliveries.ts';
import { Failure } from '../../../runtime/failure.ts';
import type { BrokerClient } from '../../../runtime/rabbitmq.ts';
import { simulatedRaft } from '../../integration/node/simulated-edges.ts';

let leadership: Leadership;
let become: ReturnType<typeof simulatedRaft>['become'];
let rounds: number[];
let told: EventDraft[];
let problems: Problems;
let jobs: ReturnType<typeof startLeaderJobs> | undefined;

beforeEach(() => {
  vi.useFakeTimers();
  const simulated = simulatedRaft();
  ({ become } = simulated);
  [rounds, told, jobs] = [[], [], undefined];
  problems = new Problems();
  leadership = new Leadership({
    nodeId: 'node-1',
    bootId: '0'.repeat(32),
    members: [],
    // It never answers: a node that ends waits for it.
    raft: { ...simulated.raft, transfer: () => new Promise(() => undefined) },
    claim: async () => ({ kind: 'claimed' }),
    emit: () => undefined,
    repeatClaimMs: 10,
    patienceMs: 20,
  });
});
afterEach(async () => {
  await jobs?.close();
  vi.useRealTimers();
});

function startJobs(
  run: (term: number) => Promise<boolean | void> = async (term) => void rounds.push(term),
  everyMs = 50,
): void {
  jobs = startLeaderJobs({
    leadership,
    problems,
    emit: (event) => void told.push(event),
    jobs: [{ name: 'counting', everyMs, run }],
  });
}
const pass = (ms: number) => vi.advanceTimersByTimeAsync(ms);

test('they give way to those who wait to write, and then run in the term of the moment', async () => {
  startJobs();
  become({ kind: 'leader' }, 3);
  await pass(200);
  expect(rounds).toEqual([]);
  await pass(200);
  expect(new Set(rounds)).toEqual(new Set([3]));
});

test('a node that led before its jobs were there runs them all the same', async () => {
  become({ kind: 'leader' }, 3);
  await pass(0);
  expect(leadership.state).toMatchObject({ kind: 'leading' });
  startJobs();
  await pass(400);
  expect(rounds.length).toBeGreaterThan(0);
});

test('none begins while a node that ends lets its writes go through, and nothing is said about that', async () => {
  startJobs();
  become({ kind: 'leader' }, 3);
  await pass(400);
  void leadership.write('slow', () => new Promise(() => undefined));
  void leadership.resign('SIGTERM');
  const before = rounds.length;
  await pass(1_000);
  expect(rounds).toHaveLength(before);
  expect(told).toEqual([]);
});

test('a failure that lasts is said once, and again when its cause is another', async () => {
  let cause: string | undefined = 'no broker';
  startJobs(async () => {
    if (cause !== undefined) throw new Error(cause);
  });
  become({ kind: 'leader' }, 3);
  await pass(9_000);
  expect(told).toEqual([]);
  await pass(60_000);
  expect(told).toMatchObject([{ type: 'problem', detail: 'counting: no broker' }]);
  become({ kind: 'follower', leader: null }, 4);
  expect(problems.list()).toEqual([]);
  become({ kind: 'leader' }, 5);
  await pass(400);
  expect(problems.list()).toHaveLength(1);
  cause = 'no disk';
  await pass(1_000);
  expect(told).toHaveLength(2);
  cause = undefined;
  await pass(1_000);
  cause = 'no broker';
  await pass(9_000);
  expect(told).toHaveLength(2);
});

test('a job that waits longer and longer after each failure is told all the same, and waits no longer once it is well', async () => {
  let fails = true;
  const tries: number[] = [];
  jobs = startLeaderJobs({
    leadership,
    problems,
    emit: (event) => void told.push(event),
    jobs: [
      {
        name: 'counting',
        everyMs: 1_000,
        backOffMsMax: 60_000,
        run: async () => {
          tries.push(performance.now());
          if (fails) throw new Error('no room');
        },
      },
    ],
  });
  become({ kind: 'leader' }, 3);
  await pass(10 * 60_000);
  const waits = tries.slice(1).map((at, index) => at - (tries[index] ?? 0));
  expect(waits.slice(0, 4)).toEqual([1_000, 2_000, 4_000, 8_000]);
  expect(waits.at(-1)).toBe(60_000);
  expect(told).toMatchObject([{ type: 'problem', detail: 'counting: no room' }]);
  expect(problems.list()).toEqual([expect.stringContaining('counting fails on this leader')]);
  fails = false;
  await pass(60_000);
  const before = tries.length;
  await pass(10_000);
  expect(tries.length - before).toBe(10);
  expect(problems.list()).toEqual([]);
});

test('a round goes on in steps for as long as there is more, each a write of its own, with room in between', async () => {
  let [steps, left] = [0, 20];
  startJobs(async () => {
    steps += 1;
    await new Promise((resolve) => setTimeout(resolve, 100));
    left -= 1;
    return left > 0;
  }, 60_000);
  become({ kind: 'leader' }, 3);
  await pass(60_000);
  expect(steps).toBe(1);
  // In the pause after a step nothing of the round is under way: whoever hands over need not wait for its end.
  await pass(150);
  void leadership.resign('SIGTERM');
  await pass(10_000);
  expect(steps).toBe(1);
});

test('twenty steps are one round, and a round that has no end is cut off by its interval', async () => {
  let [steps, left] = [0, 20];
  startJobs(async () => {
    steps += 1;
    left -= 1;
    return left > 0;
  }, 60_000);
  become({ kind: 'leader' }, 3);
  await pass(61_000);
  expect(steps).toBe(20);
  left = Number.POSITIVE_INFINITY;
  await pass(2 * 60_000);
  await jobs?.close();
  const before = steps;
  expect(before).toBeGreaterThan(1_000);
  await pass(60_000);
  expect(steps).toBe(before);
});

test('a leader says twice a minute that it writes, and nothing while the database takes none of its writes', async () => {
  let answers: () => Promise<{ swept: number }> = async () => ({ swept: 0 });
  const terms: number[] = [];
  jobs = startLeaderJobs({
    leadership,
    problems,
    emit: () => undefined,
    jobs: jobsOf({
      nodeId: 'node-1',
      store: {
        sweep: (term: number) => {
          terms.push(term);
          return answers();
        },
      } as Partial<Store> as Store,
      broker: {} as BrokerClient,
      deliveries: new Deliveries(),
      itemPartitions: 1,
      mailFrom: 'baton@example.org',
      pageUrl: 'https://example.org',
      emit: (event) => void told.push(event),
    }).filter(({ name }) => name === 'telling that it writes'),
  });
  await pass(60_000);
  expect(told).toEqual([]);
  become({ kind: 'leader' }, 3);
  await pass(60_000);
  expect(told).toEqual([
    { type: 'leader.writes', node: 'node-1', term: 3 },
    { type: 'leader.writes', node: 'node-1', term: 3 },
  ]);
  expect(new Set(terms)).toEqual(new Set([3]));
  answers = () =>
    Promise.reject(
      new Failure('DATABASE_UNAVAILABLE', 'cannot execute SELECT FOR SHARE in a read-only transaction'),
    );
  await pass(120_000);
  expect(told).toHaveLength(2);
});
