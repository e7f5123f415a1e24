// A failing storm is replayed by its seed and comes down to what the failure takes, tried with faults planted in the core.
import { describe, expect, test } from 'vitest';
import { productionCore, type Core } from '../../simulation/core.ts';
import { simulate } from '../../simulation/campaign.ts';

/** Forgets at each start what its vote file says. */
const forgetful: Core = {
  ...productionCore,
  step: (state, input) =>
    productionCore.step(state, input.kind === 'start' ? { ...input, recovered: { kind: 'first' } } : input),
};
/** Believes what it is told of a leader's death, and hears that leader never again: two things have to come together. */
const gullible: Core = {
  ...productionCore,
  step: (state, input) => {
    const boot = state.evidence?.boot;
    const deaf = input.kind === 'message' && input.message.kind === 'heartbeat' && input.fromBoot === boot;
    return productionCore.step(state, deaf ? { kind: 'timer', now: input.now } : input);
  },
};

describe('a failing storm', () => {
  test.each([
    ['forgetful', forgetful, 'what is on disk survives a restart', 1],
    ['gullible', gullible, 'after the storm all follow one leader', 2],
  ] as const)(
    'of a %s core is replayed by its seed and shrunk',
    (_, core, claim, faultsMax) => {
      const { failure } = simulate({ seed: 1, elections: 2_000, core });
      expect(failure?.claim).toBe(claim);
      if (!failure) return;
      const again = simulate({ seed: failure.seed, elections: 1, core });
      expect(again.failure).toEqual(failure);

      const { before, after } = failure.shrunk;
      expect(before.faults).toBeGreaterThan(20);
      expect(after.faults).toBe(failure.plan.faults.length);
      expect(after.faults).toBeLessThanOrEqual(faultsMax);
      expect(after.nodes).toBeLessThanOrEqual(Math.min(3, before.nodes));
      expect(after.steps).toBeLessThanOrEqual(before.steps);
      expect(failure.history.length).toBeGreaterThan(0);
    },
    60_000,
  );
});
