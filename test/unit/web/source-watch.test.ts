// What the look at the sources says where: words on /health of every node, events of the leader alone.
import fastify from 'fastify';
import { afterEach, beforeEach, expect, test, vi } from 'vitest';
import type { EventDraft } from '../../../contracts/event.ts';
import { Problems } from '../../../nodes/health/problems.ts';
import { watchSources } from '../../../nodes/health/source-watch.ts';
import { Live } from '../../../nodes/web/live.ts';
import type { SourceAge } from '../../../nodes/store.ts';

beforeEach(() => void vi.useFakeTimers());
afterEach(() => void vi.useRealTimers());

const hour = 3_600;
const age = (source: string, ageS: number): SourceAge => ({
  source,
  kind: 'shop',
  lastGoodAt: null,
  ageS,
  intervalS: hour,
  incomplete: null,
  empty: null,
});
function watched(ages: () => Promise<SourceAge[]>) {
  const [problems, events, reports] = [new Problems(), [] as EventDraft[], [] as unknown[]];
  const orders = { leads: false };
  const watch = watchSources({
    store: { sourceAges: ages },
    problems,
    metrics: { sourcesJudged: () => undefined },
    leads: () => orders.leads,
    emit: (event) => void events.push(event),
    report: (error) => void reports.push(error),
  });
  return { problems, events, reports, orders, watch };
}

test('a source is said to be overdue by every node after three intervals, for as long as it is', async () => {
  let ages = [age('late', 3 * hour + 60), age('young', 3 * hour)];
  const { problems, watch, events } = watched(async () => ages);
  await vi.advanceTimersByTimeAsync(60_000);
  expect(problems.list()).toEqual([
    'a source is overdue (nothing good for more than 3 of its intervals): late (no good crawl for 3 hours)',
  ]);
  ages = ['a', 'b', 'c', 'd', 'e'].map((name) => ({ ...age(name, 100 * hour), kind: 'partner' }));
  await vi.advanceTimersByTimeAsync(60_000);
  expect(problems.list()).toEqual([
    expect.stringMatching(
      /^5 sources are overdue \(.* their intervals\): a \(no good file for 100 hours\), b .*, c .*, 2 more$/,
    ),
  ]);
  ages = [];
  await vi.advanceTimersByTimeAsync(60_000);
  expect(problems.list()).toEqual([]);
  expect(events).toEqual([]);
  watch.close();
});

test('shops that are not crawled whole are said with the reason, overdue or not', async () => {
  let ages: SourceAge[] = [{ ...age('large', 60), incomplete: 'the limit of 1000 pages' }, age('small', 60)];
  const { problems, watch } = watched(async () => ages);
  await vi.advanceTimersByTimeAsync(60_000);
  expect(problems.list()).toEqual([
    'a shop is not crawled whole, so that items are missing and none counts as vanished: large (the limit of 1000 pages)',
  ]);
  ages = ['a', 'b', 'c', 'd', 'e'].map((name) => ({ ...age(name, 60), incomplete: 'cut' }));
  await vi.advanceTimersByTimeAsync(60_000);
  expect(problems.list()).toEqual([
    expect.stringMatching(/^5 shops are not crawled whole, .*: a \(cut\), b \(cut\), c \(cut\), 2 more$/),
  ]);
  ages = [age('large', 60)];
  await vi.advanceTimersByTimeAsync(60_000);
  expect(problems.list()).toEqual([]);
  watch.close();
});

test('shops whose last crawl brought nothing are said with the reason, before they are overdue', async () => {
  const refused = 'https://shop.example/: HTTP 403';
  let ages: SourceAge[] = [{ ...age('blocked', 60), empty: refused }, age('small', 60)];
  const { problems, watch } = watched(async () => ages);
  await vi.advanceTimersByTimeAsync(60_000);
  expect(problems.list()).toEqual([`the last crawl of a shop brought nothing: blocked (${refused})`]);
  ages = ['a', 'b', 'c', 'd', 'e'].map((name) => ({ ...age(name, 60), empty: 'gone' }));
  await vi.advanceTimersByTimeAsync(60_000);
  expect(problems.list()).toEqual([
    'the last crawl of 5 shops brought nothing: a (gone), b (gone), c (gone), 2 more',
  ]);
  watch.close();
});

test('the leader alone logs an event a source and minute, 500 at most, and says that there are more', async () => {
  const { problems, watch, events, orders } = watched(async () =>
    Array.from({ length: 501 }, (_, index) => age(`shop-${index}`, 60)),
  );
  await vi.advanceTimersByTimeAsync(60_000);
  expect(events).toEqual([]);
  orders.leads = true;
  await vi.advanceTimersByTimeAsync(60_000);
  expect(events).toHaveLength(500);
  expect(events[0]).toEqual({
    type: 'source.judged',
    source: 'shop-0',
    kind: 'shop',
    ageS: 60,
    intervalS: hour,
    intervals: 0.02,
    overdue: false,
  });
  expect(problems.list()).toEqual([expect.stringMatching(/^there are more than 500 sources/)]);
  watch.close();
});

test('a database that is away is reported once, takes nothing back, and one look is under way at a time', async () => {
  let answer: () => Promise<SourceAge[]> = async () => [age('late', 9 * hour)];
  let looks = 0;
  const { problems, watch, reports } = watched(() => {
    looks++;
    return answer();
  });
  await vi.advanceTimersByTimeAsync(60_000);
  answer = () => Promise.reject(new Error('the database is gone'));
  await vi.advanceTimersByTimeAsync(180_000);
  expect(reports).toHaveLength(1);
  expect(problems.list()).toHaveLength(1);
  answer = () => new Promise(() => undefined);
  await vi.advanceTimersByTimeAsync(600_000);
  expect(looks).toBe(5);
  watch.close();
});

test('what is judged is no news: a page that opens later finds elections, not a thousand judgements', async () => {
  vi.useRealTimers();
  const app = fastify();
  const live = new Live(
    { feedBounds: async () => ({ feed: 'a', first: 0, last: 0 }), feed: async () => [] },
    (error) => {
      throw error;
    },
  );
  live.addTo(app);
  const common = { version: 1 as const, at: '2026-01-01T00:00:00.000Z', process: 'node-1' };
  live.show({ ...common, type: 'fence.claimed', node: 'node-1', term: 7, tookMs: 1 });
  for (let minute = 0; minute < 1_001; minute++) {
    live.show({ ...common, type: 'leader.writes', node: 'node-1', term: 7 });
    live.show({
      ...common,
      type: 'source.judged',
      source: 'shop',
      kind: 'shop',
      ageS: 60,
      intervalS: hour,
      intervals: 0.02,
      overdue: false,
    });
  }
  const stream = await fetch(`${await app.listen({ host: '127.0.0.1', port: 0 })}/live`);
  let text = '';
  const reader = stream.body?.pipeThrough(new TextDecoderStream()).getReader();
  while (!text.includes('fence.claimed')) text += (await reader?.read())?.value ?? '';
  expect(text).not.toMatch(/source\.judged|leader\.writes/);
  await app.close();
});
