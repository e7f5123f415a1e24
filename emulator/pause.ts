// Waiting that can be cut short, and how long to wait before something is tried again.

/** Resolves after `ms`, or as soon as the signal is aborted: the caller looks at it. */
export function pause(ms: number, signal?: AbortSignal): Promise<void> {
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

export interface BackOff {
  readonly firstMs: number;
  readonly msMax: number;
}

/** Doubles with each try, from 1: 1 -> firstMs. */
export function backOffMs({ firstMs, msMax }: BackOff, tries: number): number {
  return Math.min(msMax, firstMs * 2 ** Math.min(tries - 1, 30));
}
