// The share of the fuzzing that runs with every test: `npm run fuzz -- --datagrams 10000000` goes on from here.
import { expect, test } from 'vitest';
import { Fuzz } from '../../simulation/fuzz/fuzz.ts';

const seed = Number(process.env['SEED'] ?? 5);

test('100,000 datagrams of every kind: only the valid are heard, once, and the core keeps its word', () => {
  const fuzz = new Fuzz(seed);
  fuzz.run(100_000);
  const { sent, outcomes } = fuzz.totals;
  expect(outcomes['message'], `SEED=${seed}`).toBe(sent['valid']);
  // What never happened was not tried.
  expect(Object.keys(sent).sort()).toEqual([
    'again',
    'changed',
    'noise',
    'nonsense',
    'old boot',
    'reflected',
    'valid',
  ]);
  for (const refusal of [
    'too-short',
    'too-long',
    'not-baton',
    'malformed',
    'newer-version',
    'foreign-cluster',
    'unknown-sender',
    'reflected',
    'not-for-me',
    'other-generation',
    'other-members',
    'unknown-key',
    'old-boot',
    'replayed',
    'over-budget',
    'forged',
    'not-a-message',
  ])
    expect(Object.keys(outcomes)).toContain(refusal);
}, 120_000);

test('the same seed gives the same datagrams', () => {
  const totals = [1, 2].map(() => {
    const fuzz = new Fuzz(seed);
    fuzz.run(3_000);
    return fuzz.totals;
  });
  expect(totals[1]).toEqual(totals[0]);
});
