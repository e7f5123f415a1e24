// The simulated database, a twin of claim_fence and hold_fence: that the checker of traces would notice a wrong one
// (test/simulation/mutations makes it wrong), and that storms play what the real one is asked.
import { expect, test } from 'vitest';
import { claimComesLate, claimedBySomebodyElse } from '../../simulation/scenarios.ts';
import { planStorm } from '../../simulation/draw-plan.ts';
import { productionCore as core } from '../../simulation/core.ts';
import { runStorm } from '../../simulation/storm.ts';

test('a term that somebody else has claimed is not claimed, and a later one is', () => {
  expect(claimedBySomebodyElse(core)).toBe(2);
});

test('a claim that comes after the next leader has claimed is refused', () => {
  const [first, second, ...further] = claimComesLate(core);
  expect([first?.taken, second?.taken, further]).toEqual([true, false, []]);
  expect(second?.claimed).not.toBe(first?.claimed);
});

test('storms: claims are asked again, refused and lost, older writes land late, and every rule about the fence holds', () => {
  const played = { askedAgain: 0, refused: 0, olderWrites: 0, lost: 0 };
  for (let seed = 1; seed <= 30; seed++) {
    const claimed = new Set<string>();
    const { violation, seen } = runStorm(planStorm(seed), core, (record) => {
      if (record.kind === 'fence-moved' && record.holder === null) played.lost += 1;
      if (record.kind !== 'claim') return;
      const claim = `${record.node} ${record.term}`;
      if (record.taken && claimed.has(claim)) played.askedAgain += 1;
      if (record.taken) claimed.add(claim);
      else played.refused += 1;
    });
    expect(violation, `storm ${seed}`).toBeNull();
    played.olderWrites += seen.get('write of an older term refused') ?? 0;
  }
  for (const [what, times] of Object.entries(played)) expect(times, what).toBeGreaterThan(0);
});
