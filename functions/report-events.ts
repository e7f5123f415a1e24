// Shows at the leader what a function does, live. Best effort and bounded: the log has the events anyway.
// Never fails an invocation.
import type { BatonEvent } from '../contracts/event.ts';
import { routes } from '../contracts/node-api.ts';
import { describeError } from '../runtime/failure.ts';
import type { Logger } from '../runtime/logger.ts';
import type { LeaderClient } from './leader-client.ts';

export interface ReportPorts {
  readonly leader: Pick<LeaderClient, 'call'>;
  readonly logger: Logger;
}
export interface EventReporter {
  /** Posts what was emitted since the last time. */
  report(): Promise<void>;
  /** Reports the rest and listens no more. */
  close(): Promise<void>;
}

const eventsMax = 200; // What one request may hold.
const reportWithinMs = 1_000;

export function createEventReporter({ leader, logger }: ReportPorts): EventReporter {
  let events: BatonEvent[] = [];
  const stopListening = logger.onEvent((event) => {
    if (events.length < eventsMax) events.push(event);
  });
  async function report(): Promise<void> {
    const batch = events;
    events = [];
    if (batch.length === 0) return;
    await leader
      .call(
        { method: 'POST', path: routes.events, json: { events: batch }, timeoutMs: reportWithinMs },
        { deadline: performance.now() + reportWithinMs },
      )
      .catch((error: unknown) => logger.debug(`events were not shown live: ${describeError(error)}`));
  }
  return {
    report,
    async close() {
      stopListening();
      await report();
    },
  };
}

/** Runs `work` and posts the events that were emitted meanwhile, also when it throws. */
export async function reportingEvents<T>(ports: ReportPorts, work: () => Promise<T>): Promise<T> {
  const reporter = createEventReporter(ports);
  try {
    return await work();
  } finally {
    await reporter.close();
  }
}
