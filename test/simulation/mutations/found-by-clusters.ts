// Holds a core to the claims and runs storms with it: the first violation is what misses the safeguard.
import type { Core } from '../core.ts';
import { claims } from '../claims.ts';
import { planStorm } from '../draw-plan.ts';
import { runStorm } from '../storm.ts';
import { Violation } from '../trace/rules.ts';

/** Within so many storms, of the seeds from 1 on, a missing safeguard has to show. */
const seedsMax = 500;

/** @throws Error when the core does not even run: that is nothing found. */
export function foundByClusters(core: Core): string | null {
  for (const { claim, holds } of claims)
    try {
      if (!holds(core)) return `the claim '${claim}'`;
    } catch (error) {
      if (!(error instanceof Violation)) throw error;
      return `the claim '${claim}': ${error.message}`;
    }
  for (let seed = 1; seed <= seedsMax; seed++) {
    const { violation } = runStorm(planStorm(seed), core);
    if (violation) return `seed ${seed} of at most ${seedsMax}: ${violation.claim}`;
  }
  return null;
}
