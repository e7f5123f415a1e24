// `node test/simulation/mutations/main.ts [name ...]`: takes out every safeguard in turn and shows what finds it missing.
// Exit code 0: each one was missed by something. 1: one was not, so nothing checks it. 2: no such safeguard.
import { spawnSync } from 'node:child_process';
import { stripVTControlCharacters } from 'node:util';
import { join } from 'node:path';
import type { Core } from '../core.ts';
import { claims } from '../claims.ts';
import { planStorm } from '../draw-plan.ts';
import { runStorm } from '../storm.ts';
import { coreMutations, testedMutations, type CoreMutation, type TestedMutation } from './mutations.ts';
import { coreOf, mutatedCopy, type MutatedCopy } from './mutated-copy.ts';

/** Within so many storms, of the seeds from 1 on, a missing safeguard has to show. */
const seedsMax = 500;
const testWithinMs = 60_000;

/** What found it; null: nothing did. */
function foundByClusters(core: Core): string | null {
  const broken = claims.find(({ holds }) => !holds(core));
  if (broken) return `the claim '${broken.claim}'`;
  for (let seed = 1; seed <= seedsMax; seed++) {
    const { violation } = runStorm(planStorm(seed), core);
    if (violation) return `seed ${seed} of at most ${seedsMax}: ${violation.claim}`;
  }
  return null;
}

function foundByTest({ folder }: MutatedCopy, { test }: TestedMutation): string | null {
  const vitest = join(folder, 'node_modules/vitest/vitest.mjs');
  // Failing is what a mutant's tests are for: their reports are not the project's.
  const { BATON_TEST_REPORTS: _reports, ...env } = process.env;
  const run = spawnSync(process.execPath, [vitest, 'run', '--project', 'unit', test], {
    env,
    cwd: folder,
    timeout: testWithinMs,
    encoding: 'utf8',
  });
  if (run.error) throw new Error(`running ${test} in a mutated copy`, { cause: run.error });
  const failed = /^ *(?:FAIL) +(?:.*?) > (.*)$/m.exec(stripVTControlCharacters(run.stdout + run.stderr))?.[1];
  if (run.status !== 0 && failed === undefined)
    throw new Error(`${test} does not run in a mutated copy:\n${run.stdout}${run.stderr}`);
  return run.status === 0 ? null : `the test '${failed}'`;
}

async function finderOf(mutation: CoreMutation | TestedMutation): Promise<string | null> {
  await using copy = await mutatedCopy(mutation);
  if (mutation.kind === 'tested') return foundByTest(copy, mutation);
  try {
    return foundByClusters(await coreOf(copy));
  } catch (error) {
    // A scenario that cannot even find its leader.
    return error instanceof Error ? `an error: ${error.message}` : String(error);
  }
}

async function main(names: readonly string[]): Promise<number> {
  const all = [...coreMutations, ...testedMutations];
  const unknown = names.find((name) => !all.some(({ safeguard }) => safeguard === name));
  if (unknown !== undefined) {
    console.error(
      `no safeguard is called '${unknown}'. There are:\n${all.map(({ safeguard }) => safeguard).join('\n')}`,
    );
    return 2;
  }
  let unnoticed = 0;
  for (const mutation of all) {
    if (names.length > 0 && !names.includes(mutation.safeguard)) continue;
    const finder = await finderOf(mutation);
    if (finder === null) unnoticed += 1;
    console.log(
      `${finder === null ? 'UNNOTICED' : 'found    '} without '${mutation.safeguard}': ${finder ?? 'nothing failed'}`,
    );
  }
  return unnoticed > 0 ? 1 : 0;
}

process.exitCode = await main(process.argv.slice(2));
