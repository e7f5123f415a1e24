// Shows at the leader what a function has just done, live. Best effort and bounded: the log has the events anyway.
// Never fails an invocation.
import type { BatonEvent } from '../contracts/event.ts';
import { routes } from '../contracts/node-api.ts';
import { describeError } from '../runtime/failure.ts';
import type { Logger } from '../runtime/logger.ts';
import type { LeaderClient } from './leader-client.ts';

const eventsMax = 200; // What one request may hold.
const reportWithinMs = 1_000;

/** Runs `work` and posts the events that were emitted meanwhile, also when it throws. */
export async function reportingEvents<T>(
  { leader, logger }: { leader: Pick<LeaderClient, 'call'>; logger: Logger },
  work: () => Promise<T>,
): Promise<T> {
  const events: BatonEvent[] = [];
  const stopListening = logger.onEvent((event) => {
    if (events.length < eventsMax) events.push(event);
  });
  try {
    return await work();
  } finally {
    stopListening();
    if (events.length > 0)
      await leader
        .call(
          { method: 'POST', path: routes.events, json: { events }, timeoutMs: reportWithinMs },
          { deadline: performance.now() + reportWithinMs },
        )
        .catch((error: unknown) => logger.debug(`events were not shown live: ${describeError(error)}`));
  }
}
