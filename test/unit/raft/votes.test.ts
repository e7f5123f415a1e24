// Who gets a vote, and whose vote counts: one node, input by input. Rules as in Ongaro's dissertation, sections 3 and 9.6.
import { describe, expect, test } from 'vitest';
import { Node } from './node.ts';

const request = { kind: 'vote-request', transfer: false } as const;
const found = (term: number, votedFor: string | null) =>
  ({ kind: 'found', persisted: { term, votedFor } }) as const;

describe('votes', () => {
  test('a refusal is noted once per candidate, term and rule, also when candidates ask in turn', () => {
    const node = new Node();
    node.heartbeat('b', 1, 1);
    const asked = (from: string, term: number) =>
      node.receive(from, { kind: 'pre-vote-request', term, round: 1 }) && node.notes();
    expect(asked('c', 2)).toMatchObject([{ kind: 'vote-refused', candidate: 'c', rule: 'leader-is-alive' }]);
    expect(asked('b', 2)).toMatchObject([{ candidate: 'b' }]);
    for (let time = 0; time < 5; time++) {
      expect(asked('c', 2)).toEqual([]);
      expect(asked('b', 2)).toEqual([]);
    }
    expect(asked('c', 3)).toMatchObject([{ candidate: 'c', term: 3 }]);
  });

  test('a vote is written before it is sent', () => {
    const node = new Node();
    node.receive('b', { ...request, term: 3 });
    expect(node.effects[0]).toEqual({ kind: 'persist', persisted: { term: 3, votedFor: 'b' } });
    expect(node.effects[1]).toMatchObject({
      kind: 'send',
      to: 'b',
      message: { kind: 'vote-answer', term: 3, granted: true, candidateBoot: 'boot-b' },
    });
  });

  test('a vote given before a restart binds after it; the same candidate gets the same answer', () => {
    const node = new Node({ recovered: found(3, 'b') });
    node.receive('c', { ...request, term: 3 });
    expect(node.sent('vote-answer')).toMatchObject([{ granted: false, rule: 'already-voted' }]);
    node.receive('b', { ...request, term: 3 });
    expect(node.sent('vote-answer')).toMatchObject([{ granted: true }]);
    expect(node.kinds()).not.toContain('persist');
  });

  test('a lower term is refused with the higher one', () => {
    const node = new Node({ recovered: found(9, null) });
    node.receive('b', { ...request, term: 8 });
    expect(node.sent('vote-answer')).toMatchObject([{ granted: false, rule: 'term-too-low', term: 9 }]);
  });

  test('who hears a leader helps nobody to replace it, and does not even take over the term', () => {
    const node = new Node();
    node.heartbeat('b', 1, 1);
    node.now += 99;
    node.receive('c', { ...request, term: 2 });
    expect(node.sent('vote-answer')).toMatchObject([{ granted: false, rule: 'leader-is-alive', term: 1 }]);
    node.now += 1;
    node.receive('c', { ...request, term: 2 });
    expect(node.sent('vote-answer')).toMatchObject([{ granted: true, term: 2 }]);
  });

  test('an election that the old leader asked for is not held up by its being alive', () => {
    const node = new Node();
    node.heartbeat('b', 1, 1);
    node.receive('c', { ...request, term: 2, transfer: true });
    expect(node.sent('vote-answer')).toMatchObject([{ granted: true, term: 2 }]);
  });

  // Seed 541491680: its vote was good for nothing any more, and it forgot the leader that it followed.
  test('the same request is late when the term has its leader: it is refused, and the leader stays known', () => {
    const node = new Node();
    node.heartbeat('b', 1, 1);
    node.heartbeat('c', 2, 1);
    node.receive('c', { ...request, term: 2, transfer: true });
    expect(node.sent('vote-answer')).toMatchObject([{ granted: false, rule: 'leader-is-alive' }]);
    expect(node.view.leader).toBe('c');
  });

  test('another generation and a learner are refused by name, and their terms are not taken over', () => {
    const node = new Node();
    node.receive('b', { ...request, term: 5, generation: 2 });
    expect(node.sent('vote-answer')).toMatchObject([{ rule: 'other-generation' }]);
    node.receive('l', { ...request, term: 5 });
    expect(node.sent('vote-answer')).toMatchObject([{ rule: 'not-a-voter' }]);
    node.receive('stranger', { ...request, term: 5 });
    expect(node.effects).toEqual([]);
    expect(node.view.term).toBe(0);
  });

  test('a pre-vote promises nothing: nothing is written, the term stays', () => {
    const node = new Node();
    node.receive('b', { kind: 'pre-vote-request', term: 4, round: 1 });
    expect(node.kinds()).toEqual(['pre-vote-answer']);
    expect(node.sent('pre-vote-answer')).toMatchObject([{ granted: true, term: 0, round: 1 }]);
    expect(node.view.term).toBe(0);
  });

  test('a full disk: no vote, no campaign, nothing forgotten; and voting again when it can write', () => {
    const node = new Node();
    node.receive('b', { ...request, term: 3 });
    node.feed({ kind: 'persist-failed', reason: 'ENOSPC' });
    node.receive('b', { ...request, term: 3 });
    expect(node.sent('vote-answer')).toMatchObject([{ granted: false, rule: 'cannot-persist' }]);
    node.wait(1_000);
    expect(node.sent('pre-vote-request')).toEqual([]);
    node.feed({ kind: 'persist-recovered' });
    node.receive('c', { ...request, term: 3 });
    expect(node.sent('vote-answer')).toMatchObject([{ granted: false, rule: 'already-voted' }]);
  });
});

describe('candidates', () => {
  const rule = { granted: true, rule: 'granted' } as const;
  function candidateOfFive(): Node {
    const node = new Node({ voters: ['a', 'b', 'c', 'd', 'e'] });
    node.wait(200);
    const { round } = node.sent('pre-vote-request')[0] ?? { round: 0 };
    for (const from of ['b', 'c'])
      node.receive(from, { kind: 'pre-vote-answer', term: 0, round, candidateBoot: 'boot-a', ...rule });
    expect(node.view).toMatchObject({ role: { kind: 'candidate' }, term: 1 });
    return node;
  }

  test('its own vote is written before it asks', () => {
    expect(candidateOfFive().kinds().slice(0, 2)).toEqual(['persist', 'vote-request']);
  });

  test('one vote that arrives five times counts once', () => {
    const node = candidateOfFive();
    const vote = { kind: 'vote-answer', term: 1, candidateBoot: 'boot-a', ...rule } as const;
    for (let copy = 0; copy < 5; copy++) node.receive('b', vote);
    expect(node.view.role.kind).toBe('candidate');
    node.receive('c', vote);
    expect(node.view.role.kind).toBe('leader');
  });

  test('votes for an earlier boot, of another term or from a learner do not count', () => {
    const node = candidateOfFive();
    for (const from of ['b', 'c', 'd'])
      node.receive(from, { kind: 'vote-answer', term: 1, candidateBoot: 'boot-before', ...rule });
    for (const from of ['b', 'c', 'd'])
      node.receive(from, { kind: 'vote-answer', term: 0, candidateBoot: 'boot-a', ...rule });
    node.receive('l', { kind: 'vote-answer', term: 1, candidateBoot: 'boot-a', ...rule });
    expect(node.view.role.kind).toBe('candidate');
  });

  test('a refused pre-candidate asks again after 5 ms', () => {
    const node = new Node();
    node.wait(200);
    expect(node.sent('pre-vote-request')).toHaveLength(2);
    expect(node.effects.at(-1)).toEqual({ kind: 'wake', at: 205 });
    node.wait(5);
    expect(node.sent('pre-vote-request')).toHaveLength(2);
  });

  test('a single voter leads at once; learners, priority 0 and the unfit never ask', () => {
    expect(new Node({ voters: ['a'], learners: [] }).view).toMatchObject({
      role: { kind: 'leader' },
      term: 1,
    });
    const learner = new Node({ id: 'l' });
    const never = new Node({ priority: 0 });
    const unfit = new Node();
    unfit.feed({ kind: 'health', health: { fit: false, reason: 'hung', databaseReachable: true, lagMs: 0 } });
    for (const node of [learner, never, unfit])
      for (let round = 0; round < 20; round++)
        expect(node.wait(100).filter(({ kind }) => kind === 'send')).toEqual([]);
    expect(learner.view.role).toEqual({ kind: 'learner', leader: null });
  });
});

describe('a lost vote file', () => {
  const lost = { recovered: { kind: 'lost', term: 0 } } as const;
  const answer = { kind: 'term-answer', askerBoot: 'boot-a' } as const;

  test('no vote until every other voter told its term; then the highest, with its vote spent', () => {
    const node = new Node(lost);
    const [asked] = node.sent('term-request');
    const nonce = asked?.nonce ?? -1;
    node.receive('b', { ...answer, term: 7, nonce });
    node.receive('c', { ...answer, term: 4, nonce: nonce + 1 });
    node.receive('c', { ...answer, term: 4, nonce, askerBoot: 'boot-before' });
    expect(node.view.abstaining).toBe(true);
    node.receive('c', { ...request, term: 8 });
    expect(node.sent('vote-answer')).toMatchObject([{ granted: false, rule: 'abstaining' }]);
    node.receive('c', { ...answer, term: 8, nonce });
    expect(node.view).toMatchObject({ abstaining: false, term: 8 });
    expect(node.effects[0]).toEqual({ kind: 'persist', persisted: { term: 8, votedFor: 'a' } });
    node.receive('c', { ...request, term: 8 });
    expect(node.sent('vote-answer')).toMatchObject([{ granted: false, rule: 'already-voted' }]);
    node.receive('c', { ...request, term: 9 });
    expect(node.sent('vote-answer')).toMatchObject([{ granted: true }]);
  });

  test('it votes again after it followed one leader for ten timeouts, not sooner', () => {
    const node = new Node(lost);
    for (let sequence = 1; sequence <= 50; sequence++) {
      node.heartbeat('b', 5, sequence);
      expect(node.view.abstaining).toBe(true);
      node.wait(20);
    }
    node.heartbeat('b', 5, 51);
    expect(node.view.abstaining).toBe(false);
  });

  test('one that lost its own does not answer: what it forgot is what the other needs to know', () => {
    const node = new Node(lost);
    node.receive('b', { kind: 'term-request', term: 0, nonce: 1 });
    expect(node.sent('term-answer')).toEqual([]);
  });
});
