// Runs tests in a mutated copy: the first one that fails is what misses the safeguard.
import { join } from 'node:path';
import { stripVTControlCharacters } from 'node:util';
import { runProcess } from '../../support/run-process.ts';
import type { MutatedCopy } from './mutated-copy.ts';

// Failing is what a mutant's tests are for: their reports are not the project's. Nor are they drawn anew.
const { BATON_TEST_REPORTS: _reports, SEED: _seed, ...env } = process.env;
export { env as mutantEnv };

/** @throws Error when they do not run to their end. */
export async function foundByTest(
  { folder }: MutatedCopy,
  { project, files, withinMs }: { project: string; files: readonly string[]; withinMs: number },
): Promise<string | null> {
  const vitest = join(folder, 'node_modules/vitest/vitest.mjs');
  const { status, stdout, stderr } = await runProcess([vitest, 'run', '--project', project, ...files], {
    cwd: folder,
    env,
    withinMs,
  });
  if (status === 0) return null;
  const failed = /^ *FAIL +(?:.*?) > (.*)$/m.exec(stripVTControlCharacters(stdout + stderr))?.[1];
  if (failed === undefined)
    throw new Error(`${files.join(' ')} does not run in a mutated copy:\n${stdout}${stderr}`);
  return `the test '${failed}'`;
}
