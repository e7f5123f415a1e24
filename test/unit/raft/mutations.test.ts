// The list of safeguards, without running it (test/long/raft-mutations does): complete, and in step with the sources.
import { cp, mkdtemp, rm } from 'node:fs/promises';
import { existsSync } from 'node:fs';
import { fileURLToPath } from 'node:url';
import { join } from 'node:path';
import { tmpdir } from 'node:os';
import { describe, expect, test } from 'vitest';
import { coreMutations, testedMutations, type NamedRule } from '../../simulation/mutations/mutations.ts';
import { mutate } from '../../simulation/mutations/mutated-copy.ts';
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
    for (const { test: file } of testedMutations) expect(existsSync(join(root, file)), file).toBe(true);
  });

  test.each(mutations)('finds in the sources what it takes out: $safeguard', async (mutation) => {
    const folder = await mkdtemp(join(tmpdir(), 'baton-mutation-'));
    try {
      for (const file of new Set([
        mutation.file,
        ...mutation.edits.map((edit) => edit.file ?? mutation.file),
      ]))
        await cp(join(root, 'nodes', file), join(folder, 'nodes', file));
      await expect(mutate(mutation, join(folder, 'nodes'))).resolves.toBeUndefined();
    } finally {
      await rm(folder, { recursive: true });
    }
  });
});
