// The lists of safeguards, without running them (test/long/raft-mutations and path-mutations do): complete, and in step with
// the sources. And what counts as a find, without which they would say nothing.
import { cp, mkdtemp, rm } from 'node:fs/promises';
import { existsSync } from 'node:fs';
import { fileURLToPath } from 'node:url';
import { join } from 'node:path';
import { tmpdir } from 'node:os';
import { afterEach, beforeEach, describe, expect, test, vi } from 'vitest';
import { coreMutations, testedMutations, type NamedRule } from '../../simulation/mutations/mutations.ts';
import { foundByClusters } from '../../simulation/mutations/found-by-clusters.ts';
import { mutate } from '../../simulation/mutations/mutated-copy.ts';
import { controlName, takeOut, untouched } from '../../simulation/mutations/take-out.ts';
import { productionCore } from '../../simulation/core.ts';
import { pathMutations } from '../../chaos/mutations/mutations.ts';
import { sections } from '../../../nodes/raft/rules.ts';

const root = fileURLToPath(new URL('../../../', import.meta.url));
const mutations = [...coreMutations, ...testedMutations];
const names = [...mutations, ...pathMutations].map(({ safeguard }) => safeguard);
/** Not safeguards: what happened when nothing stood in the way. */
const outcomes: readonly NamedRule[] = ['granted', 'asked', 'transferred'];

describe('the list of safeguards', () => {
  test('has a mutation for each rule that a refusal, a lost leadership or a failed hand-over names', () => {
    const guarded = new Set(mutations.flatMap(({ rules = [] }) => rules));
    const open = Object.keys(sections).filter((rule) => !outcomes.includes(rule as NamedRule));
    expect(open.filter((rule) => !guarded.has(rule as NamedRule))).toEqual([]);
  });

  test.each([
    'persist before send',
    'PreVote',
    'CheckQuorum',
    'stickiness',
    'a vote that arrives twice counts once',
    'the fence is held FOR SHARE',
    'replay window',
    'late-timer guard',
    'rank fall-back: who is not first in rank campaigns too',
  ])('has: %s', (safeguard) => {
    expect(names.filter((name) => name === safeguard)).toHaveLength(1);
  });

  test('names each once, and each test that has to find one is there', () => {
    expect(new Set(names).size).toBe(names.length);
    const tests = [...testedMutations, ...pathMutations].flatMap((mutation) =>
      'test' in mutation ? [mutation.test] : [],
    );
    for (const file of tests) expect(existsSync(join(root, file)), file).toBe(true);
  });

  test.each([
    ...mutations.map((mutation) => ({ ...mutation, below: 'nodes' })),
    ...pathMutations.map((mutation) => ({ ...mutation, below: '.' })),
  ])('finds in the sources what it takes out: $safeguard', async ({ below, ...mutation }) => {
    const folder = await mkdtemp(join(tmpdir(), 'baton-mutation-'));
    try {
      for (const file of new Set([
        mutation.file,
        ...mutation.edits.map((edit) => edit.file ?? mutation.file),
      ]))
        await cp(join(root, below, file), join(folder, below, file));
      await expect(mutate(mutation, join(folder, below))).resolves.toBeUndefined();
    } finally {
      await rm(folder, { recursive: true });
    }
  });
});

describe('what counts as a find', () => {
  test('a core that does not even run is no find', () => {
    const core = {
      ...productionCore,
      step: () => {
        throw new TypeError('it was not imported');
      },
    };
    expect(() => foundByClusters(core)).toThrow('it was not imported');
  });

  const list = (found: Record<string, string>) => ({
    mutations: [{ ...untouched, safeguard: 'a vote' }],
    finderOf: async ({ safeguard }: { safeguard: string }) => found[safeguard] ?? null,
    control: async () => found[controlName] ?? null,
  });
  beforeEach(() => {
    for (const said of ['log', 'error'] as const) vi.spyOn(console, said).mockReturnValue();
  });
  afterEach(() => vi.restoreAllMocks());
  test.each([
    ['a safeguard that is missed', { 'a vote': 'a test' }, [], 0],
    ['a safeguard that nothing misses', {}, ['a vote'], 1],
    ['a find where nothing was taken out', { 'a vote': 'a test', [controlName]: 'a flaky test' }, [], 1],
    ['a safeguard of another name', { 'a vote': 'a test' }, ['a veto'], 2],
  ])('%s ends with its exit code', async (_what, found, names, code) => {
    expect(await takeOut(list(found), names)).toBe(code);
  });
});
