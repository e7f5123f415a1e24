// The share of the simulation that runs with every test: `npm run simulate` goes on from here.
import { fileURLToPath } from 'node:url';
import { join } from 'node:path';
import { mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { spawnSync } from 'node:child_process';
import { tmpdir } from 'node:os';
import { describe, expect, test } from 'vitest';
import { productionCore as core } from '../../simulation/core.ts';
import type { TraceRecord } from '../../simulation/trace/record.ts';
import { planStorm } from '../../simulation/draw-plan.ts';
import { runStorm } from '../../simulation/storm.ts';
import { simulate, simulateOnCores } from '../../simulation/campaign.ts';

const root = fileURLToPath(new URL('../../../', import.meta.url));
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

  // A late request by hand-over made a follower forget its leader.
  test.each([2_635_232_653])('holds in the storm that once found a defect: seed %i', (found) => {
    expect(runStorm(planStorm(found), core).violation).toBeNull();
  });

  test('the same seed gives the same run, step by step', () => {
    const runs = [1, 2].map(() => {
      const records: TraceRecord[] = [];
      runStorm(planStorm(1), core, (record) => records.push(record));
      return records;
    });
    expect(runs[0]?.length).toBeGreaterThan(500);
    expect(runs[1]).toEqual(runs[0]);
  });

  test('two cores come to what one comes to', async () => {
    const run = { seed, elections: 150 };
    const counted: number[] = [];
    const onProgress = (tally: { elections: number }) => counted.push(tally.elections);
    const totals = await simulateOnCores({ ...run, cores: 2, onProgress });
    expect(totals).toEqual(simulate({ ...run, core }));
    expect(counted.at(-1)).toBe(totals.elections);
    // More than a fault away from nothing: most storms end without a leader.
    expect(totals.calmTimeouts.max).toBeGreaterThan(0.9);
    expect(totals.calmTimeouts.max).toBeLessThan(totals.calmTimeouts.bound);
  }, 60_000);

  test('the trace in a file is judged by a program of its own, which names the line that breaks a rule', () => {
    const folder = mkdtempSync(join(tmpdir(), 'baton-trace-'));
    const file = join(folder, 'trace.ndjson');
    const run = (...args: readonly string[]) =>
      spawnSync(process.execPath, args, { encoding: 'utf8', timeout: 20_000, cwd: root });
    try {
      const simulated = run('test/simulation/main.ts', '--seed', '7', '--trace', file, '--json');
      expect(simulated.status).toBe(0);
      const { elections } = JSON.parse(simulated.stdout) as { elections: number };
      const judged = run('test/simulation/trace/main.ts', file);
      expect(judged.stdout).toContain(` ${elections} elections: every rule holds`);

      const lines = readFileSync(file, 'utf8').split('\n');
      const vote = lines.findIndex(
        (line) => line.includes('"kind":"vote-answer"') && line.includes('"send"'),
      );
      const write = lines.slice(0, vote).findLastIndex((line) => line.includes('"kind":"write"'));
      writeFileSync(file, lines.toSpliced(write, 1).join('\n'));
      const found = run('test/simulation/trace/main.ts', file);
      expect(found.status).toBe(1);
      expect(found.stderr).toMatch(/trace.ndjson:\d+: .* \(3\.\d\)/);
      expect(run('test/simulation/trace/main.ts', join(folder, 'none')).status).toBe(2);
    } finally {
      rmSync(folder, { recursive: true });
    }
  }, 90_000);
});
