// What runs only while this node leads: mails and retention, each step in the term it holds. One round of a job at
// a time; a job that fails for long is reported once per cause, and tried again all the time. Never writes without Leadership.
import { codeOf, describeError, Failure } from '../runtime/failure.ts';
import type { Emit } from '../runtime/logger.ts';
import { pause } from '../runtime/waiting.ts';
import type { Leadership } from './leadership.ts';

/** So long those who wait to write come first: a job needs a connection of its own, and runs code that never ran here. */
const giveWayMs = 250;
/** What a job needs may come up a little after its node, or be started again: only what lasts is a problem. */
const problemAfterMs = 10_000;
/** Between the steps of one round those who wait to write come first, and have the database for as long as the step had it. */
const betweenStepsMs = 10;

export interface LeaderJob {
  readonly name: string;
  readonly everyMs: number;
  /** A round, or a step of one: true asks for the next soon. Each is a write of its own, so that leadership may end in between. */
  readonly run: (term: number) => Promise<boolean | void>;
}

export function startLeaderJobs(options: { jobs: readonly LeaderJob[]; leadership: Leadership; emit: Emit }) {
  const { leadership } = options;
  const running = new Map<string, Promise<void>>();
  const failing = new Map<string, { since: number; reported: string | undefined }>();
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
    } catch (error) {
      // Losing leadership in the middle of a round is no problem of the job.
      if (error instanceof Failure && error.rule.next === 'find-leader') return;
      const detail = `${job.name}: ${describeError(error)}`;
      const { since, reported } = failing.get(job.name) ?? { since: performance.now(), reported: undefined };
      const lasts = performance.now() - since >= problemAfterMs;
      if (lasts && reported !== detail) options.emit({ type: 'problem', code: codeOf(error), detail });
      failing.set(job.name, { since, reported: lasts ? detail : reported });
    }
  }
  // A node may lead before its jobs are there: from then on they count.
  let ledSince = performance.now();
  leadership.onChange(({ kind }) => {
    if (kind === 'leading') ledSince = performance.now();
  });
  const timers = options.jobs.map((job) =>
    setInterval(() => {
      if (leadership.state.kind !== 'leading' || performance.now() - ledSince < giveWayMs) return;
      if (running.has(job.name)) return;
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
