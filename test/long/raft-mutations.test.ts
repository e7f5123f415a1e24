// Every safeguard of the election layer, taken out in turn, is missed by a storm, a claim or a test.
import { spawnSync } from 'node:child_process';
import { fileURLToPath } from 'node:url';
import { expect, test } from 'vitest';
import { coreMutations, testedMutations } from '../simulation/mutations/mutations.ts';

test('each safeguard that is taken out of the source is found missing by something', () => {
  const main = fileURLToPath(new URL('../simulation/mutations/main.ts', import.meta.url));
  const run = spawnSync(process.execPath, [main], { encoding: 'utf8', timeout: 500_000 });
  expect(run.stdout + run.stderr).not.toContain('UNNOTICED');
  expect(run.status).toBe(0);
  const found = run.stdout.split('\n').filter((line) => line.startsWith('found'));
  expect(found).toHaveLength(coreMutations.length + testedMutations.length);
});
