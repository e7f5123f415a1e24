// `node test/chaos/mutations/main.ts [name ...]`: takes out each safeguard of the path in turn and shows what finds it
// missing. Exit code 0: each one was missed. 1: one was not, so nothing checks it. 2: no such safeguard.
import { spawnSync } from 'node:child_process';
import { join } from 'node:path';
import { stripVTControlCharacters } from 'node:util';
import { mutatedCopy, type MutatedCopy } from '../../simulation/mutations/mutated-copy.ts';
import { pathMutations, type PathMutation } from './mutations.ts';

const copied = ['contracts', 'runtime', 'nodes', 'functions', 'emulator', 'test'];
const testWithinMs = 240_000;
/** One seed may miss what another hits: a fault has to come while a batch is under way. */
const seeds = [1, 2, 3];
const chaosWithinMs = 480_000;

// Failing is what a mutant's tests are for: their reports are not the project's.
const { BATON_TEST_REPORTS: _reports, ...env } = process.env;

/** What found it; null: nothing did. */
function finderOf(copy: MutatedCopy, mutation: PathMutation): string | null {
  return mutation.by === 'test' ? foundByTest(copy, mutation.test) : foundByChaos(copy, mutation.breaks);
}

function foundByTest({ folder }: MutatedCopy, test: string): string | null {
  const vitest = join(folder, 'node_modules/vitest/vitest.mjs');
  const run = spawnSync(process.execPath, [vitest, 'run', '--project', 'integration', test], {
    env,
    cwd: folder,
    timeout: testWithinMs,
    encoding: 'utf8',
  });
  if (run.error) throw new Error(`running ${test} in a mutated copy`, { cause: run.error });
  const failed = /^ *FAIL +(?:.*?) > (.*)$/m.exec(stripVTControlCharacters(run.stdout + run.stderr))?.[1];
  if (run.status !== 0 && failed === undefined)
    throw new Error(`${test} does not run in a mutated copy:\n${run.stdout}${run.stderr}`);
  return run.status === 0 ? null : `the test '${failed}'`;
}

function foundByChaos({ folder }: MutatedCopy, breaks: readonly string[]): string | null {
  for (const seed of seeds) {
    const options = `--seed ${seed} --minutes 0.5 --messages 20000 --broker development --json`;
    const run = spawnSync(
      process.execPath,
      [join(folder, 'test/chaos/main.ts'), '--folder', join(folder, `chaos-${seed}`), ...options.split(' ')],
      { env, cwd: folder, timeout: chaosWithinMs, encoding: 'utf8' },
    );
    if (run.error) throw new Error('a chaos run of a mutated copy', { cause: run.error });
    const { findings, broken } = JSON.parse(run.stdout) as {
      findings: { invariant: string; violations: number; shortest: { what: string } }[];
      broken: string | null;
    };
    const found = findings.find(({ invariant }) => breaks.includes(invariant));
    if (found)
      return `chaos with seed ${seed}: ${found.invariant}, ${found.violations} times: ${found.shortest.what}`;
    if (broken !== null) throw new Error(`a chaos run of a mutated copy did not end: ${broken}`);
  }
  return null;
}

async function main(names: readonly string[]): Promise<number> {
  const unknown = names.find((name) => !pathMutations.some(({ safeguard }) => safeguard === name));
  if (unknown !== undefined) {
    console.error(
      `no safeguard is called '${unknown}'. There are:\n${pathMutations.map(({ safeguard }) => safeguard).join('\n')}`,
    );
    return 2;
  }
  let unnoticed = 0;
  for (const mutation of pathMutations) {
    if (names.length > 0 && !names.includes(mutation.safeguard)) continue;
    await using copy = await mutatedCopy(mutation, { below: '.', copied });
    const finder = finderOf(copy, mutation);
    if (finder === null) unnoticed += 1;
    console.log(
      `${finder === null ? 'UNNOTICED' : 'found    '} without '${mutation.safeguard}': ${finder ?? 'nothing failed'}`,
    );
  }
  return unnoticed > 0 ? 1 : 0;
}

process.exitCode = await main(process.argv.slice(2));
