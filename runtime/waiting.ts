// Waits that end: a pause that can be cut short, work that has to answer in time, and how long before something is tried again.

/** Resolves after `ms`, or as soon as the signal is aborted: the caller looks at it. */
export function pause(ms: number, signal?: AbortSignal): Promise<void> {
  // Not of timers/promises, which a test's clock cannot wind on.
  return new Promise((resolve) => {
    if (signal?.aborted) return resolve();
    const done = (): void => {
      clearTimeout(timer);
      signal?.removeEventListener('abort', done);
      resolve();
    };
    const timer = setTimeout(done, ms);
    signal?.addEventListener('abort', done);
  });
}

/**
 * What the work gives, if it does in time. The signal tells it that nobody waits any more; work that does not heed it goes on alone.
 * @throws Error naming `what` when it is late, or what the work throws.
 */
export async function within<T>(
  ms: number,
  what: string,
  work: (signal: AbortSignal) => Promise<T>,
): Promise<T> {
  const over = new AbortController();
  let timer: NodeJS.Timeout | undefined;
  const late = new Promise<never>((_resolve, reject) => {
    timer = setTimeout(() => {
      const error = new Error(`${what}: no answer within ${ms} ms`);
      reject(error); // Before the work hears of it, which may throw something less clear.
      over.abort(error);
    }, ms);
  });
  try {
    return await Promise.race([work(over.signal), late]);
  } finally {
    clearTimeout(timer);
  }
}

export interface BackOff {
  readonly firstMs: number;
  readonly msMax: number;
}

/** Doubles with each try, from 1: 1 -> firstMs. */
export function backOffMs({ firstMs, msMax }: BackOff, tries: number): number {
  return Math.min(msMax, firstMs * 2 ** Math.min(tries - 1, 30));
}
