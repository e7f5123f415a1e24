// `node test/simulation/mutations/main.ts [name ...]`: takes out every safeguard in turn and shows what finds it missing.
// Exit code 0: each one was missed by something, and nothing by anything. 1: not so. 2: no such safeguard.
import { foundByClusters } from './found-by-clusters.ts';
import { foundByTest } from './found-by-test.ts';
import { coreMutations, testedMutations, type CoreMutation, type TestedMutation } from './mutations.ts';
import { coreOf, mutatedCopy } from './mutated-copy.ts';
import { takeOut, untouched } from './take-out.ts';

const testing = { project: 'unit', withinMs: 120_000 };

async function finderOf(mutation: CoreMutation | TestedMutation): Promise<string | null> {
  await using copy = await mutatedCopy(mutation);
  return mutation.kind === 'tested'
    ? await foundByTest(copy, { ...testing, files: [mutation.test] })
    : foundByClusters(await coreOf(copy));
}

async function control(): Promise<string | null> {
  await using copy = await mutatedCopy(untouched);
  const files = [...new Set(testedMutations.map(({ test }) => test))];
  return foundByClusters(await coreOf(copy)) ?? (await foundByTest(copy, { ...testing, files }));
}

// What it waits for ends with it.
process.once('SIGTERM', () => process.exit(1));
process.exitCode = await takeOut(
  { mutations: [...coreMutations, ...testedMutations], finderOf, control },
  process.argv.slice(2),
);
