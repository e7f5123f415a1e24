// Every safeguard of the path from publish to row and mail, taken out in turn, is missed by a chaos run or a test.
import { spawnSync } from 'node:child_process';
import { fileURLToPath } from 'node:url';
import { expect, test } from 'vitest';
import { pathMutations } from '../chaos/mutations/mutations.ts';

const main = fileURLToPath(new URL('../chaos/mutations/main.ts', import.meta.url));

// Each by itself: a chaos run takes over a minute, and up to three seeds are tried.
test.each(pathMutations.map(({ safeguard }) => safeguard))(
  'taken out, something misses it: %s',
  (safeguard) => {
    const run = spawnSync(process.execPath, [main, safeguard], { encoding: 'utf8', timeout: 590_000 });
    expect(run.stdout + run.stderr).toMatch(/^found/m);
    expect(run.status).toBe(0);
  },
);
