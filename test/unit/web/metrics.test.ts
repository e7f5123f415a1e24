// What a scrape tells: what this node did, how the system stands, and nothing that nobody knows.
import { expect, test } from 'vitest';
import type { EventDraft } from '../../../contracts/event.ts';
import { Metrics, type Measured } from '../../../nodes/health/metrics.ts';
import { simulatedRaft } from '../../integration/node/simulated-edges.ts';

const measures = {
  items: 5,
  itemVersions: 9,
  files: 3,
  filesRejected: 1,
  mailsSent: 2,
  feedEvents: 8,
  feedUnmatched: 4,
};
const around = (over: Partial<Measured> = {}): Measured => ({
  leadership: { state: { kind: 'leading', term: 7 } },
  raft: {
    status: () => ({ ...simulatedRaft().raft.status(), term: 7, counters: { 'refused.bad-tag': 6 } }),
  },
  store: { measures: async () => measures },
  depths: async () => ({ items: 12, 'items.retry': 0, 'items.dead': 3, 'files.dead': 0, 'mail.dead': 0 }),
  problems: () => 1,
  liveReaders: () => 2,
  ...over,
});
const note = (metrics: Metrics, draft: EventDraft): void =>
  metrics.note({ version: 1, at: '2026-01-01T00:00:00.000Z', process: 'node-1', ...draft });
/** Samples of ours, by name and labels. */
async function scrape(metrics: Metrics, measured = around()): Promise<Record<string, number>> {
  const lines = (await metrics.text(measured)).split('\n').filter((line) => line.startsWith('baton_'));
  return Object.fromEntries(lines.map((line) => [line.replace(/ \S+$/, ''), Number(line.split(' ').at(-1))]));
}

test('a scrape tells what the node counted and how the system stands, the same however often it is asked', async () => {
  const metrics = new Metrics();
  const batch = { node: 'node-1', term: 7, applied: 3, unchanged: 2, stale: 1, invalid: 0 };
  for (const tookMs of [4, 300]) note(metrics, { type: 'batch.applied', ...batch, tookMs });
  note(metrics, { type: 'problem', code: 'BUSY', detail: 'too much' });
  metrics.mailReported('unknown');
  metrics.mailsDeferred(1);
  await scrape(metrics);
  expect(await scrape(metrics)).toMatchObject({
    baton_leading: 1,
    baton_term: 7,
    'baton_raft_events_total{event="refused.bad-tag"}': 6,
    'baton_batch_items_total{verdict="applied"}': 6,
    'baton_batch_items_total{verdict="invalid"}': 0,
    'baton_batch_duration_seconds_bucket{le="0.005"}': 1,
    'baton_batch_duration_seconds_bucket{le="0.5"}': 2,
    baton_batch_duration_seconds_sum: 0.304,
    'baton_problem_events_total{code="BUSY"}': 1,
    'baton_mail_results_total{state="unknown"}': 1,
    baton_mails_deferred: 1,
    baton_problems: 1,
    baton_live_readers: 2,
    baton_database_up: 1,
    baton_broker_up: 1,
    baton_items: 5,
    baton_item_versions_total: 9,
    baton_feed_events_total: 8,
    baton_feed_unmatched_events: 4,
    'baton_files_total{outcome="rejected"}': 1,
    'baton_queue_messages{queue="items"}': 12,
    'baton_dead_letters_open{queue="items"}': 3,
  });
});

test('what nobody can tell is left out, and that the database or the broker is away is told', async () => {
  const metrics = new Metrics();
  expect(Object.keys(await scrape(metrics))).not.toContain('baton_mails_deferred');
  const away = around({
    store: { measures: () => Promise.reject(new Error('no connection')) },
    depths: async () => ({
      items: null,
      'items.retry': null,
      'items.dead': null,
      'files.dead': null,
      'mail.dead': null,
    }),
  });
  const told = await scrape(metrics, away);
  expect(told).toMatchObject({ baton_database_up: 0, baton_broker_up: 0 });
  expect(Object.keys(told).filter((name) => /items\b|files|feed|queue|dead/.test(name))).toEqual([]);
});

test('a source that is switched off is told no more', async () => {
  const metrics = new Metrics();
  const standing = {
    kind: 'shop',
    lastGoodAt: null,
    intervalS: 60,
    intervals: 5,
    incomplete: null,
    empty: null,
  } as const;
  metrics.sourcesJudged([
    { ...standing, source: 'late', ageS: 300, isOverdue: true },
    { ...standing, source: 'rests', ageS: 300, isOverdue: true },
  ]);
  metrics.sourcesJudged([{ ...standing, source: 'late', ageS: 360, isOverdue: true }]);
  const told = await scrape(metrics);
  expect(told).toMatchObject({
    'baton_source_age_seconds{source="late"}': 360,
    'baton_source_overdue{source="late"}': 1,
  });
  expect(Object.keys(told).filter((name) => name.includes('rests'))).toEqual([]);
});
