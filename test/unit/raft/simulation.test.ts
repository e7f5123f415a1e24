// The share of the simulation that runs with every test: `npm run simulate` goes on from here.
import { describe, expect, test } from 'vitest';
import { productionCore as core } from '../../simulation/core.ts';
import type { TraceRecord } from '../../simulation/trace/record.ts';
import { planStorm } from '../../simulation/draw-plan.ts';
import { runStorm } from '../../simulation/storm.ts';
import { simulate } from '../../simulation/campaign.ts';

const seed = Number(process.env['SEED'] ?? 20_261_124);

describe('simulation', () => {
  test('2,000 elections under faults: every safety claim holds at each step, and calm returns', () => {
    const totals = simulate({ seed, elections: 2_000, core });
    expect(totals.failure, `SEED=${seed}`).toBeNull();
    expect(totals.checks).toBeGreaterThan(100 * totals.elections);
    // What the storms never reach, they do not try.
    const reached = Object.keys(totals.seen);
    for (const rule of [
      'granted',
      'term-too-low',
      'leader-is-alive',
      'already-voted',
      'abstaining',
      'cannot-persist',
    ])
      expect(reached).toContain(`rule ${rule}`);
    for (const note of ['transfer started', 'transfer failed', 'transfer done', 'abstaining', 'voting-again'])
      expect(reached).toContain(`note ${note}`);
    for (const what of ['died midway', 'write of an older term refused', 'start refused'])
      expect(reached).toContain(what);
    for (const how of ['down', 'cut', 'mute', 'deaf']) expect(reached).toContain(`left out: ${how}`);
  }, 60_000);

  test('the same seed gives the same run, step by step', () => {
    const runs = [1, 2].map(() => {
      const records: TraceRecord[] = [];
      runStorm(planStorm(1), core, (record) => records.push(record));
      return records;
    });
    expect(runs[0]?.length).toBeGreaterThan(500);
    expect(runs[1]).toEqual(runs[0]);
  });
});
