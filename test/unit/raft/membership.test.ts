// Which starts keep all running generations neighbours, and what goes wrong without that: whole clusters and the rule alone.
import { describe, expect, test } from 'vitest';
import { admit, type MembershipRecord } from '../../../nodes/raft/membership.ts';
import { productionCore as core, type Core } from '../../simulation/core.ts';
import { planStorm } from '../../simulation/draw-plan.ts';
import { runStorm } from '../../simulation/storm.ts';
import { threeGenerations, votesOfTheRemoved } from '../../simulation/scenarios.ts';

const letters = (text: string): string[] => text.split('');
function recordOf(
  nodes: Readonly<Record<string, readonly [generation: number, term: number]>>,
  voters: Readonly<Record<number, string>>,
): MembershipRecord {
  return {
    nodes: new Map(Object.entries(nodes).map(([id, [generation, term]]) => [id, { generation, term }])),
    votersOf: new Map(
      Object.entries(voters).map(([generation, text]) => [Number(generation), letters(text)]),
    ),
    fenceTerm: 0,
  };
}
const start = (id: string, generation: number, voters: string) => ({
  id,
  generation,
  voters: letters(voters),
});
function reasonOf(...[request, record]: Parameters<typeof admit>): string {
  const admission = admit(request, record);
  return admission.kind === 'refused' ? admission.reason : '';
}

describe('admission', () => {
  const three = recordOf({ a: [1, 5], b: [1, 6], c: [1, 6] }, { 1: 'abc' });

  test('the first start of all, the next generation and a restart are admitted, with the highest term recorded', () => {
    expect(admit(start('a', 1, 'abc'), recordOf({}, {}))).toEqual({ kind: 'admitted', termAtLeast: 0 });
    expect(admit(start('d', 2, 'abcd'), three)).toEqual({ kind: 'admitted', termAtLeast: 6 });
    expect(admit(start('b', 1, 'cba'), { ...three, fenceTerm: 8 })).toEqual({
      kind: 'admitted',
      termAtLeast: 8,
    });
  });

  test('a fall, a jump, two voters at once and other voters under a known number are refused by name', () => {
    const four = recordOf({ a: [2, 0], b: [1, 0], c: [1, 0] }, { 1: 'abc', 2: 'abcd' });
    expect(reasonOf(start('a', 1, 'abc'), four)).toMatch(/has run in 2: the generation never falls/);
    expect(reasonOf(start('d', 3, 'abcd'), three)).toMatch(/go to 2 first/);
    expect(reasonOf(start('d', 2, 'abcde'), three)).toMatch(/change one voter at a time/);
    expect(reasonOf(start('d', 1, 'abd'), three)).toMatch(/the next number/);
  });

  test('whoever runs more than one generation behind, or ahead, is named', () => {
    const behind = recordOf({ a: [2, 0], b: [2, 0], c: [1, 0], d: [2, 0] }, { 1: 'abc', 2: 'abcd' });
    expect(reasonOf(start('e', 3, 'abcde'), behind)).toMatch(/but c runs or last ran in 1/);
    const ahead = recordOf({ a: [3, 0] }, { 1: 'abc', 2: 'abcd', 3: 'abcde' });
    expect(reasonOf(start('b', 1, 'abc'), ahead)).toMatch(/a has gone on to 3/);
  });

  test('a node that was removed, or never ran, holds nobody up', () => {
    const shrunk = recordOf({ a: [3, 0], b: [3, 0], c: [1, 0] }, { 1: 'abcd', 2: 'abd', 3: 'ab' });
    expect(reasonOf(start('a', 4, 'a'), shrunk)).toBe('');
  });
});

describe('three generations', () => {
  const lenient: Core = { ...core, admit: () => ({ kind: 'admitted', termAtLeast: 0 }) };

  test('alive at once they elect two leaders in one term; the admission keeps the third from starting', () => {
    expect(threeGenerations(lenient)).toMatchObject({ claim: 'one leader per term' });
    expect(threeGenerations(core)).toBeNull();
  });

  test('one after the other they do too, unless the terms of the removed were recorded', () => {
    const forgetful: Core = {
      ...core,
      admit: (request, record) => {
        const admission = admit(request, record);
        return admission.kind === 'admitted' ? { ...admission, termAtLeast: 0 } : admission;
      },
    };
    expect(votesOfTheRemoved(forgetful)).toMatchObject({ claim: 'one leader per term' });
    expect(votesOfTheRemoved(core)).toBeNull();
  });
});

test('rolling changes 3-4-5-4-3 under faults: every claim holds, and the last generation has one leader', () => {
  let rolled = 0;
  for (let seed = 1; rolled < 12; seed++) {
    const plan = planStorm(seed);
    if (plan.generations.length !== 5) continue;
    rolled += 1;
    const result = runStorm(plan, core);
    expect(result.violation, `storm ${seed}`).toBeNull();
    expect(result.seen.get('operator start')).toBeGreaterThanOrEqual(12);
  }
});
