// Every safeguard of the election layer, taken out in turn, is missed by a storm, a claim or a test; and nothing is missed
// where nothing was taken out.
import { fileURLToPath } from 'node:url';
import { describe, expect, test } from 'vitest';
import { coreMutations, testedMutations } from '../simulation/mutations/mutations.ts';
import { controlName } from '../simulation/mutations/take-out.ts';
import { runProcess } from '../support/run-process.ts';

const main = fileURLToPath(new URL('../simulation/mutations/main.ts', import.meta.url));

// Processes of their own, side by side: each computes all the time.
describe.concurrent('safeguards of the election layer', () => {
  test('nothing taken out, nothing is found', async () => {
    const { status, stdout, stderr } = await runProcess([main, controlName], { withinMs: 200_000 });
    expect(stdout + stderr).toMatch(/^control/m);
    expect(status).toBe(0);
  });

  test.each([...coreMutations, ...testedMutations].map(({ safeguard }) => safeguard))(
    'taken out, something misses it: %s',
    async (safeguard) => {
      const { status, stdout, stderr } = await runProcess([main, safeguard], { withinMs: 200_000 });
      expect(stdout + stderr).toMatch(/^found/m);
      expect(status).toBe(0);
    },
  );
});
