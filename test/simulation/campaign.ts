// Many storms, until they held so many elections (terms that produced a leader), or one claim failed.
import { Worker } from 'node:worker_threads';
import type { RunResult } from './storm.ts';
import { productionCore, type Core } from './core.ts';
import { planStorm } from './draw-plan.ts';
import { runStorm } from './storm.ts';
import { seedOf, Tally, type Totals } from './tally.ts';

/** In this thread, with any core. */
export function simulate({ seed, elections, core }: { seed: number; elections: number; core: Core }): Totals {
  const tally = new Tally({ seed, elections });
  while (!tally.done) tally.add(runStorm(planStorm(seedOf(seed, tally.storms)), core));
  return tally.totals(core);
}

/** So many storms at once; and no core gets further ahead than this of those whose turn to be counted it is. */
const batchSize = 8;
const batchesAheadMax = 16;

export interface Batch {
  readonly seed: number;
  /** The number of its first storm. */
  readonly first: number;
  readonly count: number;
}

/** On several cores, with the production core of elections, and with the same result as on one. */
export async function simulateOnCores({
  seed,
  elections,
  cores,
  onProgress,
}: {
  seed: number;
  elections: number;
  cores: number;
  onProgress: (tally: Tally) => void;
}): Promise<Totals> {
  const tally = new Tally({ seed, elections });
  const workers = Array.from(
    { length: cores },
    () => new Worker(new URL('./storm-worker.ts', import.meta.url)),
  );
  const idle = new Set(workers);
  const early = new Map<number, readonly RunResult[]>();
  let next = 0;
  const give = (): void => {
    for (const worker of idle) {
      if (next >= tally.storms + batchesAheadMax * batchSize) return;
      worker.postMessage({ seed, first: next, count: batchSize } satisfies Batch, []);
      next += batchSize;
      idle.delete(worker);
    }
  };
  const take = (): void => {
    for (let results = early.get(tally.storms); results && !tally.done; results = early.get(tally.storms)) {
      early.delete(tally.storms);
      for (const result of results) if (!tally.done) tally.add(result);
    }
  };
  try {
    await new Promise<void>((resolve, reject) => {
      for (const worker of workers) {
        worker.once('error', reject);
        worker.on('message', ({ first, results }: { first: number; results: readonly RunResult[] }) => {
          early.set(first, results);
          idle.add(worker);
          take();
          onProgress(tally);
          if (tally.done) resolve();
          else give();
        });
      }
      if (tally.done) resolve();
      else give();
    });
  } finally {
    await Promise.all(workers.map((worker) => worker.terminate()));
  }
  return tally.totals(productionCore);
}
