// What finds a safeguard of the path missing: a test, or a short chaos run whose verdict names what it breaks.
import { join } from 'node:path';
import { foundByTest, mutantEnv } from '../../simulation/mutations/found-by-test.ts';
import { mutatedCopy, type MutatedCopy } from '../../simulation/mutations/mutated-copy.ts';
import { untouched } from '../../simulation/mutations/take-out.ts';
import { runProcess } from '../../support/run-process.ts';
import type { Invariant } from '../checker.ts';
import { pathMutations, type PathMutation } from './mutations.ts';

const copied = { below: '.', copied: ['contracts', 'runtime', 'nodes', 'functions', 'emulator', 'test'] };
const testing = { project: 'integration', withinMs: 240_000 };
/** One seed may miss what another hits: a fault has to come while a batch is under way. */
const seeds = [1, 2, 3] as const;
const chaosWithinMs = 480_000;
/** The longest that a finder takes. */
export const foundWithinMs =
  Math.max(testing.withinMs + chaosWithinMs, seeds.length * chaosWithinMs) + 60_000;

/** @returns null when nothing found it. @throws Error when it could not be tried. */
export async function finderOf(mutation: PathMutation): Promise<string | null> {
  await using copy = await mutatedCopy(mutation, copied);
  if (mutation.by === 'test') return await foundByTest(copy, { ...testing, files: [mutation.test] });
  for (const seed of seeds) {
    const { findings, broken } = await chaosRun(copy, seed);
    const found = findings.find(({ invariant }) => mutation.breaks.includes(invariant));
    if (found)
      return `chaos with seed ${seed}: ${found.invariant}, ${found.violations} times: ${found.shortest.what}`;
    if (broken !== null) throw new Error(`a chaos run of a mutated copy did not end: ${broken}`);
  }
  return null;
}

/** The tests, and one run: with the invariants held, whatever a mutation's run breaks was broken by it. */
export async function control(): Promise<string | null> {
  await using copy = await mutatedCopy(untouched, copied);
  const files = new Set(pathMutations.flatMap((mutation) => (mutation.by === 'test' ? [mutation.test] : [])));
  const failed = await foundByTest(copy, { ...testing, files: [...files] });
  if (failed !== null) return failed;
  const { findings, broken } = await chaosRun(copy, seeds[0]);
  return findings[0]?.shortest.what ?? broken;
}

interface Report {
  readonly findings: readonly {
    readonly invariant: Invariant;
    readonly violations: number;
    readonly shortest: { readonly what: string };
  }[];
  readonly broken: string | null;
}
async function chaosRun({ folder }: MutatedCopy, seed: number): Promise<Report> {
  const options = `--seed ${seed} --minutes 0.5 --messages 20000 --broker development --json`;
  const { stdout, stderr } = await runProcess(
    [join(folder, 'test/chaos/main.ts'), '--folder', join(folder, `chaos-${seed}`), ...options.split(' ')],
    { env: mutantEnv, cwd: folder, withinMs: chaosWithinMs },
  );
  if (stdout === '') throw new Error(`a chaos run of a mutated copy gave no report: ${stderr}`);
  return JSON.parse(stdout) as Report;
}
