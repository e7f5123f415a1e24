// Runs storms in a thread of its own, batch by batch, as campaign.ts asks.
import { parentPort } from 'node:worker_threads';
import type { Batch } from './campaign.ts';
import { planStorm } from './draw-plan.ts';
import { productionCore } from './core.ts';
import { runStorm } from './storm.ts';
import { seedOf } from './tally.ts';

parentPort?.on('message', ({ seed, first, count }: Batch) => {
  const results = Array.from({ length: count }, (_, index) =>
    runStorm(planStorm(seedOf(seed, first + index)), productionCore),
  );
  parentPort?.postMessage({ first, results }, []);
});
