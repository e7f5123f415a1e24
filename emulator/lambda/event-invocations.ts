// Asynchronous invocations (type Event): accepted at once, run when there is room, tried again twice after a function
// error as on Lambda. They live in memory: what waits when the host ends is lost, where AWS would keep it for hours.
import type { Logger } from '../../runtime/logger.ts';
import { pause } from '../../runtime/waiting.ts';
import type { Invocation } from './execution-environment.ts';
import type { FunctionPool } from './function-pool.ts';
import { eventRetryDelaysMs, eventsMax } from './limits.ts';

const throttledRetryMs = 1_000;

export interface EventInvocations {
  /** False when as many as may wait do so. */
  accept(pool: FunctionPool, invocation: Invocation): boolean;
  close(): void;
}

export function createEventInvocations({
  logger,
  retryDelaysMs = eventRetryDelaysMs,
}: {
  logger: Logger;
  retryDelaysMs?: readonly number[];
}): EventInvocations {
  const closed = new AbortController();
  let pending = 0;

  async function run(pool: FunctionPool, invocation: Invocation): Promise<void> {
    for (let attempt = 0; !closed.signal.aborted;) {
      const outcome = await pool.invoke(invocation);
      if (outcome.kind === 'answered') return;
      if (outcome.kind === 'throttled') {
        await pause(throttledRetryMs, closed.signal);
        continue;
      }
      const delayMs = retryDelaysMs[attempt++];
      const reason = outcome.payload.subarray(0, 500).toString('utf8');
      if (delayMs === undefined) {
        logger.warn(`${pool.code.name} failed ${attempt} times, its event is given up: ${reason}`);
        return;
      }
      logger.warn(`${pool.code.name} failed, its event is tried again in ${delayMs} ms: ${reason}`);
      await pause(delayMs, closed.signal);
    }
  }

  return {
    accept(pool, invocation) {
      if (pending >= eventsMax) return false;
      pending++;
      void run(pool, invocation).finally(() => pending--);
      return true;
    },
    close: () => closed.abort(),
  };
}
