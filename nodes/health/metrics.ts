// Prometheus metrics: what this node did since it started, and how the whole system stands, which every node answers alike. A
// scrape reads single rows of the database and the depths of the queues, and no table. Labels come from the code, from the
// topology and from the sources that editors entered, of which no more are told than are judged.
import { collectDefaultMetrics, Counter, Gauge, Histogram, Registry } from 'prom-client';
import type { BatonEvent } from '../../contracts/event.ts';
import type { SourceStanding } from '../../contracts/public-api.ts';
import { deadQueues } from '../dead-letters/collect.ts';
import type { Leadership } from '../leadership.ts';
import type { RaftThread } from '../raft-thread/thread.ts';
import type { Store } from '../store.ts';
import type { Depths } from '../web/queues.ts';

const batchSeconds = [0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10];

/** What is read when somebody asks. */
export interface Measured {
  readonly leadership: Pick<Leadership, 'state'>;
  readonly raft: Pick<RaftThread, 'status'>;
  readonly store: Pick<Store, 'measures'>;
  readonly depths: () => Promise<Depths>;
  /** Of /health. */
  readonly problems: () => number;
  readonly liveReaders: () => number;
}

export class Metrics {
  readonly registry = new Registry();
  readonly #node = {
    leading: this.#gauge('baton_leading', 'Whether this node takes writes'),
    term: this.#gauge('baton_term', 'Highest term seen'),
    electionsStarted: this.#counter('baton_elections_started_total', 'Elections that this node stood in'),
    electionsWon: this.#counter('baton_elections_won_total', 'Elections that this node won'),
    fenceClaims: this.#counter(
      'baton_fence_claims_total',
      'Terms for which the database let this node write',
    ),
    fenceRefusals: this.#counter('baton_fence_refusals_total', 'Writes and claims refused by the fence'),
    raft: this.#counter('baton_raft_events_total', 'Datagrams and disk writes of the election', ['event']),
    items: this.#counter('baton_batch_items_total', 'Items of batches by what became of them', ['verdict']),
    batches: new Histogram({
      name: 'baton_batch_duration_seconds',
      help: 'From a batch that was read to its verdicts',
      buckets: batchSeconds,
      registers: [this.registry],
    }),
    mails: this.#counter('baton_mail_results_total', 'Tries to send a mail by what it became', ['state']),
    problemEvents: this.#counter('baton_problem_events_total', 'Problems that were logged', ['code']),
    problems: this.#gauge('baton_problems', 'Problems in /health'),
    liveReaders: this.#gauge('baton_live_readers', 'Readers of /live'),
  };
  readonly #system = {
    databaseUp: this.#gauge('baton_database_up', 'Whether the database answered this scrape'),
    brokerUp: this.#gauge('baton_broker_up', 'Whether RabbitMQ told the depth of each queue'),
    items: this.#gauge('baton_items', 'Items stored'),
    versions: this.#counter('baton_item_versions_total', 'Versions of items applied'),
    feed: this.#counter('baton_feed_events_total', 'Changes in the feed'),
    unmatched: this.#gauge('baton_feed_unmatched_events', 'Changes not yet matched against the watches'),
    files: this.#counter('baton_files_total', 'Files by outcome', ['outcome']),
    mailsSent: this.#counter('baton_mails_sent_total', 'Mails sent'),
    mailsDeferred: this.#gauge('baton_mails_deferred', 'Mails that wait for another try'),
    queues: this.#gauge('baton_queue_messages', 'Messages that wait', ['queue']),
    deadLetters: this.#gauge('baton_dead_letters_open', 'Dead letters without a decision', ['queue']),
    sourceAge: this.#gauge('baton_source_age_seconds', 'Since a source brought something good', ['source']),
    sourceOverdue: this.#gauge('baton_source_overdue', 'Whether it is more than three intervals', ['source']),
  };

  constructor() {
    collectDefaultMetrics({ register: this.registry });
    this.#system.mailsDeferred.remove(); // Nobody has looked yet.
  }

  /** An event of this node. */
  note(event: BatonEvent): void {
    const node = this.#node;
    if (event.type === 'batch.applied') {
      for (const verdict of ['applied', 'unchanged', 'stale', 'invalid'] as const)
        node.items.inc({ verdict }, event[verdict]);
      node.batches.observe(event.tookMs / 1_000);
    } else if (event.type === 'election.started') node.electionsStarted.inc();
    else if (event.type === 'role.changed' && event.to === 'leader') node.electionsWon.inc();
    else if (event.type === 'fence.claimed') node.fenceClaims.inc();
    else if (event.type === 'fence.refused') node.fenceRefusals.inc();
    else if (event.type === 'problem') node.problemEvents.inc({ code: event.code });
  }

  mailReported(state: string): void {
    this.#node.mails.inc({ state });
  }

  mailsDeferred(mails: number): void {
    this.#system.mailsDeferred.set(mails);
  }

  sourcesJudged(standings: readonly SourceStanding[]): void {
    const { sourceAge, sourceOverdue } = this.#system;
    for (const metric of [sourceAge, sourceOverdue]) metric.reset();
    for (const { source, ageS, isOverdue } of standings) {
      sourceAge.set({ source }, ageS);
      sourceOverdue.set({ source }, isOverdue ? 1 : 0);
    }
  }

  async text({ leadership, raft, store, depths, problems, liveReaders }: Measured): Promise<string> {
    const [measures, waiting] = await Promise.all([store.measures().catch(() => undefined), depths()]);
    const [node, system] = [this.#node, this.#system];
    const { term, counters } = raft.status();
    node.leading.set(leadership.state.kind === 'leading' ? 1 : 0);
    node.term.set(term);
    node.problems.set(problems());
    node.liveReaders.set(liveReaders());
    for (const [event, count] of Object.entries(counters)) put(node.raft, count, { event });
    system.databaseUp.set(measures === undefined ? 0 : 1);
    put(system.items, measures?.items);
    put(system.versions, measures?.itemVersions);
    put(system.feed, measures?.feedEvents);
    put(system.unmatched, measures?.feedUnmatched);
    put(system.files, measures?.files, { outcome: 'applied' });
    put(system.files, measures?.filesRejected, { outcome: 'rejected' });
    put(system.mailsSent, measures?.mailsSent);
    const { ...depthOf } = waiting;
    for (const [queue, deadQueue] of deadQueues) {
      put(system.deadLetters, depthOf[deadQueue] ?? undefined, { queue });
      delete depthOf[deadQueue];
    }
    system.brokerUp.set(Object.values(depthOf).includes(null) ? 0 : 1);
    for (const [queue, depth] of Object.entries(depthOf)) put(system.queues, depth ?? undefined, { queue });
    return await this.registry.metrics();
  }

  #gauge(name: string, help: string, labelNames: string[] = []): Gauge {
    return new Gauge({ name, help, labelNames, registers: [this.registry] });
  }
  #counter(name: string, help: string, labelNames: string[] = []): Counter {
    return new Counter({ name, help, labelNames, registers: [this.registry] });
  }
}

/** As it was read: a counter of the whole system is counted elsewhere. What is not known is left out. */
function put(metric: Gauge | Counter, value: number | undefined, labels: Record<string, string> = {}): void {
  metric.remove(labels);
  if (value !== undefined) metric.inc(labels, value);
}
