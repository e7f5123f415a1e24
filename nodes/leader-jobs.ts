// What runs only while this node leads: mails, dead letters, traces, deleted sources and retention, each step in the term it
// holds. One round of a job at a time; a job that fails for long is reported once per cause, stands in /health, and is tried
// again all the time. Never writes
// without Leadership.
import { codeOf, describeError, Failure } from '../runtime/failure.ts';
import type { Emit } from '../runtime/logger.ts';
import type { BrokerClient } from '../runtime/rabbitmq.ts';
import { pause } from '../runtime/waiting.ts';
import { collectBackOffMsMax, collectDeadLetters } from './dead-letters/collect.ts';
import { sendAgain } from './dead-letters/send-again.ts';
import type { Problems } from './health/problems.ts';
import type { Leadership } from './leadership.ts';
import { makeNotices, publishDueMails, queueDigests } from './mailer/mailer.ts';
import { createRetention, keptFor } from './retention.ts';
import type { Store } from './store.ts';
import type { Deliveries } from './tracing/deliveries.ts';

/** After an election, waiting writes go first for this long: a job needs a connection of its own, and runs code that never ran here. */
const giveWayMs = 250;
/** What a job needs may come up a little after its node, or be started again: only what lasts is a problem. */
const problemAfterMs = 10_000;
/** At least this long, and at least as long as the step took, is the pause between two steps: writers get the database half of the time. */
const betweenStepsMs = 10;
/** Of a deleted source in one step, as of a snapshot: a claim waits for no more than that. */
const itemsGoneMax = 1_000;
/** An alarm looks minute by minute: with two a minute none is empty by chance. */
const tellEveryMs = 30_000;

export interface LeaderJob {
  readonly name: string;
  readonly everyMs: number;
  /** After a failure the next round waits twice as long as before, up to this; without it, no longer than ever. */
  readonly backOffMsMax?: number;
  /** A round, or a step of one: true asks for the next soon. Each is a write of its own, so that leadership may end in between. */
  readonly run: (term: number) => Promise<boolean | void>;
}

/** Everything a leader does beside its writes. */
export function jobsOf({
  nodeId,
  store,
  broker,
  deliveries,
  itemPartitions,
  mailFrom,
  pageUrl,
  emit,
}: {
  nodeId: string;
  store: Store;
  broker: Pick<BrokerClient, 'publish' | 'take'>;
  deliveries: Deliveries;
  itemPartitions: number;
  mailFrom: string;
  /** Where the links of mails lead. */
  pageUrl: string;
  emit: Emit;
}): readonly LeaderJob[] {
  const domain = /@(?<domain>[^\s>]+)/.exec(mailFrom)?.groups?.['domain'] ?? 'baton.invalid';
  return [
    { name: 'matching watches', everyMs: 200, run: (term) => makeNotices(term, store) },
    {
      name: 'gathering mails',
      everyMs: 500,
      run: (term) => queueDigests(term, store, { from: mailFrom, domain, pageUrl }),
    },
    { name: 'publishing mails', everyMs: 500, run: (term) => publishDueMails(term, store, broker) },
    { name: 'noting deliveries', everyMs: 500, run: (term) => deliveries.store(term, nodeId, store) },
    {
      name: 'taking dead letters',
      everyMs: 1_000,
      backOffMsMax: collectBackOffMsMax,
      run: (term) => collectDeadLetters(term, store, broker),
    },
    {
      name: 'sending dead letters again',
      everyMs: 500,
      run: (term) => sendAgain(term, store, broker, itemPartitions),
    },
    {
      name: 'emptying deleted sources',
      everyMs: 5_000,
      run: (term) => store.emptyDeletedSource(term, itemsGoneMax),
    },
    { name: 'retention', everyMs: 60_000, run: createRetention(store) },
    {
      name: 'telling that it writes',
      everyMs: tellEveryMs,
      run: async (term) => {
        await store.sweep(term, 'leases', { ...keptFor.leases, rowsMax: 1 });
        emit({ type: 'leader.writes', node: nodeId, term });
      },
    },
  ];
}

const partOf = ({ name }: LeaderJob): string => `job ${name}`;

export function startLeaderJobs(options: {
  jobs: readonly LeaderJob[];
  leadership: Leadership;
  problems: Pick<Problems, 'say'>;
  emit: Emit;
}) {
  const { leadership, problems } = options;
  const running = new Map<string, Promise<void>>();
  const failing = new Map<
    string,
    { since: number; reported: string | undefined; waitMs: number; notBefore: number }
  >();
  const closing = new AbortController();
  async function round(job: LeaderJob): Promise<void> {
    try {
      // The interval bounds a round too: what is left then is taken up by the next one.
      const endsAt = performance.now() + job.everyMs;
      for (let more = true; more && !closing.signal.aborted;) {
        const startedAt = performance.now();
        more = (await leadership.write(job.name, job.run)) === true && performance.now() < endsAt;
        if (more) await pause(Math.max(betweenStepsMs, performance.now() - startedAt), closing.signal);
      }
      failing.delete(job.name);
      problems.say(partOf(job), null);
    } catch (error) {
      // Losing leadership in the middle of a round is no problem of the job.
      if (error instanceof Failure && error.rule.next === 'find-leader') return;
      const detail = `${job.name}: ${describeError(error)}`;
      const now = performance.now();
      const { since, reported, waitMs: waited } = failing.get(job.name) ?? { since: now, waitMs: 0 };
      const lasts = now - since >= problemAfterMs;
      if (lasts && reported !== detail) options.emit({ type: 'problem', code: codeOf(error), detail });
      if (lasts && leadership.state.kind === 'leading')
        problems.say(
          partOf(job),
          `${job.name} fails on this leader: its log says why, and it is tried again`,
        );
      const waitMs = Math.min(Math.max(waited * 2, job.everyMs), job.backOffMsMax ?? 0);
      failing.set(job.name, {
        since,
        reported: lasts ? detail : reported,
        waitMs,
        notBefore: now + waitMs,
      });
    }
  }
  // A node may lead before its jobs are there: from then on they count.
  let ledSince = performance.now();
  leadership.onChange(({ kind }) => {
    if (kind === 'leading') ledSince = performance.now();
    else for (const job of options.jobs) problems.say(partOf(job), null);
  });
  const timers = options.jobs.map((job) =>
    setInterval(() => {
      if (leadership.state.kind !== 'leading' || performance.now() - ledSince < giveWayMs) return;
      if (running.has(job.name) || performance.now() < (failing.get(job.name)?.notBefore ?? 0)) return;
      running.set(
        job.name,
        round(job).finally(() => running.delete(job.name)),
      );
    }, job.everyMs),
  );
  return {
    name: 'leader jobs',
    async close(): Promise<void> {
      closing.abort();
      for (const timer of timers) clearInterval(timer);
      await Promise.all(running.values());
    },
  };
}
