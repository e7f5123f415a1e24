// Every safeguard of the election layer, taken out in turn, is missed by a storm, a claim or a test.
import { spawnSync } from 'node:child_process';
import { fileURLToPath } from 'node:url';
import { expect, test } from 'vitest';
import { coreMutations, testedMutations } from '../simulation/mutations/mutations.ts';

const main = fileURLToPath(new URL('../simulation/mutations/main.ts', import.meta.url));

test.each([...coreMutations, ...testedMutations].map(({ safeguard }) => safeguard))(
  'taken out, something misses it: %s',
  (safeguard) => {
    const run = spawnSync(process.execPath, [main, safeguard], { encoding: 'utf8', timeout: 200_000 });
    expect(run.stdout + run.stderr).toMatch(/^found/m);
    expect(run.status).toBe(0);
  },
);
