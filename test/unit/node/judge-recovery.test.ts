// When a node may be given a new vote file by hand, and with which term.
import { describe, expect, test } from 'vitest';
import {
  judgeRecovery,
  recoveryText,
  type Heard,
  type Recovery,
  type RecoveryFacts,
} from '../../../nodes/identity/judge-recovery.ts';

const voter = (id: string) => ({ id, voter: true });
const answers = (id: string, term: number, over: Partial<Heard['answer'] & object> = {}): Heard => ({
  id,
  answer: { term, leader: null, abstaining: false, ...over },
  file: undefined,
});
const silent = (id: string, fileTerm?: number): Heard => ({
  id,
  answer: undefined,
  file: fileTerm === undefined ? undefined : { term: fileTerm },
});
/** node-3 lost its file, node-2 is gone, node-1 runs and has nobody to elect with. */
const facts: RecoveryFacts = {
  nodeId: 'node-3',
  generation: 4,
  members: [voter('node-1'), voter('node-2'), voter('node-3')],
  voteFile: undefined,
  recorded: {
    nodes: ['node-1', 'node-2', 'node-3'].map((id) => ({ id, generation: 4, term: 2 })),
    fenceTerm: 5,
  },
  own: undefined,
  others: [answers('node-1', 6), silent('node-2')],
};
const judge = (over: Partial<RecoveryFacts> = {}): Recovery => judgeRecovery({ ...facts, ...over });
const refusal = (over: Partial<RecoveryFacts>): string => {
  const recovery = judge(over);
  return recovery.kind === 'refused' ? recovery.reason : `not refused: term ${recovery.term}`;
};
const possible = (over: Partial<RecoveryFacts> = {}): Extract<Recovery, { kind: 'possible' }> => {
  const recovery = judge(over);
  if (recovery.kind === 'refused') throw new Error(recovery.reason);
  return recovery;
};

describe('recovery by hand: refused', () => {
  test('when the vote file is whole', () => {
    expect(refusal({ voteFile: { term: 6, abstaining: false } })).toMatch(
      /vote file of node-3 is whole \(term 6\)/,
    );
  });
  test('when the node runs and votes, whatever lies in its folder', () => {
    expect(refusal({ own: { term: 6, leader: null, abstaining: false } })).toMatch(/node-3 runs and votes/);
  });
  test('when the node never ran: its first start needs nobody', () => {
    const nodes = facts.recorded.nodes.filter(({ id }) => id !== 'node-3');
    expect(refusal({ recorded: { nodes, fenceTerm: 5 } })).toMatch(/never ran/);
  });
  test('when it is configured for another generation than it last ran in, which may have another majority', () => {
    expect(refusal({ generation: 5 })).toMatch(/last ran in generation 4 .* configured for 5/);
  });
  test('for a learner, and for somebody who is no member', () => {
    const members = [voter('node-1'), voter('node-2'), { id: 'node-3', voter: false }];
    expect(refusal({ members })).toMatch(/no voter/);
    expect(refusal({ nodeId: 'node-9' })).toMatch(/no voter/);
  });
  test('when somebody leads: following for ten timeouts is enough', () => {
    const others = [answers('node-1', 6, { leader: 'node-2' }), silent('node-2')];
    expect(refusal({ others })).toMatch(/node-2 leads, says node-1/);
  });
  test('when every other voter runs and votes: their answers are enough', () => {
    expect(refusal({ others: [answers('node-1', 6), answers('node-2', 6)] })).toMatch(
      /every other voter runs and votes/,
    );
  });
  test('for a single voter, whom nobody keeps from voting', () => {
    expect(refusal({ members: [voter('node-3')], others: [] })).toMatch(/every other voter/);
  });
  test('a learner that is away changes none of that', () => {
    const members = [...facts.members, { id: 'node-4', voter: false }];
    const others = [answers('node-1', 6), answers('node-2', 6), silent('node-4')];
    expect(refusal({ members, others })).toMatch(/every other voter/);
  });
});

describe('recovery by hand: the term is the highest one that anything at hand knows of', () => {
  const recordedIn = (id: string, term: number): RecoveryFacts['recorded'] => ({
    fenceTerm: 5,
    nodes: facts.recorded.nodes.map((node) => (node.id === id ? { ...node, term } : node)),
  });
  test.each<[string, Partial<RecoveryFacts>]>([
    ['the fence', { recorded: { ...facts.recorded, fenceTerm: 9 } }],
    ['a member as it started last', { recorded: recordedIn('node-2', 9) }],
    [
      'a member that was removed since',
      {
        recorded: {
          fenceTerm: 5,
          nodes: [...facts.recorded.nodes, { id: 'node-7', generation: 3, term: 9 }],
        },
      },
    ],
    ['a member that answers', { others: [answers('node-1', 9), silent('node-2')] }],
    [
      'a member that abstains, too',
      { others: [answers('node-1', 9, { abstaining: true }), silent('node-2')] },
    ],
    ['the vote file of one that does not answer', { others: [answers('node-1', 6), silent('node-2', 9)] }],
    ['what it learned itself since the loss', { voteFile: { term: 9, abstaining: true } }],
    ['what it says while it abstains', { own: { term: 9, leader: null, abstaining: true } }],
  ])('%s', (_where, over) => {
    expect(possible(over).term).toBe(9);
  });
});

describe('recovery by hand: whoever goes on vouches', () => {
  test('for each voter that can neither be asked nor looked up, by name', () => {
    const { unheard } = possible();
    expect(unheard).toEqual(['node-2']);
    const text = recoveryText('node-3', possible());
    expect(text).toContain('every process of node-2 that ran until now has ended');
    expect(text).toContain('it votes from term 7 on');
    expect(text).toContain('database: term 5 was claimed last');
  });
  test('for nobody when all are accounted for: by an answer, by a vote file, or as having lost its own', () => {
    const others = [answers('node-1', 6, { abstaining: true }), silent('node-2', 4)];
    expect(possible({ others }).unheard).toEqual([]);
    expect(recoveryText('node-3', possible({ others }))).toContain('All other voters are accounted for.');
  });
  test('for no learner, which asks for no votes', () => {
    const members = [...facts.members, { id: 'node-4', voter: false }];
    expect(possible({ members, others: [...facts.others, silent('node-4')] }).unheard).toEqual(['node-2']);
  });
});
