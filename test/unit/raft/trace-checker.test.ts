// The checker of traces, tried with traces that hold to every rule but one. No node takes part.
import { readFileSync, readdirSync } from 'node:fs';
import { describe, expect, test } from 'vitest';
import type { TraceRecord } from '../../simulation/trace/record.ts';
import { HandWrittenTrace, voteFor } from './hand-written-trace.ts';
import { rules, type Rule } from '../../simulation/trace/rules.ts';
import { TraceChecker } from '../../simulation/trace/trace-checker.ts';

const three = () => new HandWrittenTrace().start('n1').start('n2').start('n3');
const heartbeat = { kind: 'heartbeat', term: 1, sequence: 1 } as const;
const heartbeatAnswer = { kind: 'heartbeat-answer', term: 3, sequence: 1 } as const;
const request = { kind: 'vote-request', term: 1, transfer: false } as const;

/** Up to its last record nothing is wrong; the last one breaks this rule. */
const violations: Readonly<Record<Rule, HandWrittenTrace>> = {
  'a trace makes sense': new HandWrittenTrace().write('n1', 0),
  'the term on disk never goes back': three()
    .end('n3')
    .start('n3', { termAtLeast: 5 })
    .write('n3', 5)
    .write('n3', 4),
  'a vote on disk is never changed': three().agree('n1', 'n2', 1).write('n1', 1, 'n1').write('n1', 1, 'n2'),
  'what is on disk survives a restart': three().elect('n1', 'n2', 1).end('n2').start('n2'),
  'a term never goes back': three().elect('n1', 'n2', 1).state('n1', 0),
  'a new term was heard of or campaigned for': three().write('n1', 2),
  'a higher term is taken over': three().receive('n2', 'n1', heartbeatAnswer).state('n1', 0),
  'a vote is on disk before it is sent': three().agree('n1', 'n2', 1).send('n1', 'n2', request),
  'a term is on disk before it is told': three()
    .receive('n1', 'n2', { ...heartbeat, term: 3 })
    .send('n2', 'n1', heartbeatAnswer),
  // It lost its file, was told the terms of all others, and yet votes in one of these once more.
  'one vote per node and term': three()
    .elect('n1', 'n2', 1)
    .end('n2')
    .start('n2', { lost: true, termAtLeast: 1 })
    .add('n2', { kind: 'votes-again', reason: 'every other voter has told its term' })
    .receive('n3', 'n2', request)
    .write('n2', 1, 'n3')
    .send('n2', 'n3', voteFor('n3', 1)),
  'only voters vote': three()
    .start('n4')
    .receive('n1', 'n4', request)
    .write('n4', 1, 'n1')
    .send('n4', 'n1', voteFor('n1', 1)),
  'a candidate campaigns only after a majority agreed': three()
    .write('n1', 1, 'n1')
    .send('n1', 'n2', request),
  'only the leader that is left lifts stickiness': three()
    .agree('n1', 'n2', 1)
    .write('n1', 1, 'n1')
    .send('n1', 'n2', { ...request, transfer: true }),
  'who hears a leader helps nobody to replace it': three()
    .elect('n1', 'n2', 1)
    .tell('n1', 'n2', heartbeat)
    .state('n2', 1)
    .wait(99)
    .send('n2', 'n3', { kind: 'pre-vote-answer', term: 1, round: 2, candidateBoot: 'n3-1', granted: true }),
  'priority 0 never campaigns': three()
    .end('n3')
    .start('n3', { priority: 0 })
    .agree('n3', 'n2', 1)
    .write('n3', 1, 'n3')
    .send('n3', 'n2', request),
  // The same vote twice is one vote.
  'a leader has the votes of a majority': new HandWrittenTrace()
    .startFive()
    .agree('n1', 'n2', 1)
    .agree('n1', 'n3', 1)
    .campaign('n1', 'n2', 1)
    .vote('n2', 'n1', 1)
    .tell('n2', 'n1', voteFor('n1', 1))
    .add('n1', { kind: 'leads', term: 1 }),
  'one leader per term': three()
    .elect('n1', 'n2', 1)
    .start('m1', { generation: 7, voters: ['m1'] })
    .write('m1', 1, 'm1')
    .add('m1', { kind: 'leads', term: 1 }),
  'only who leads sends heartbeats': three().elect('n1', 'n2', 1).state('n1', 1).send('n1', 'n2', heartbeat),
  'votes stay within a generation': three()
    .receive('n1', 'n2', { ...request, generation: 2 })
    .write('n2', 1, 'n1')
    .send('n2', 'n1', voteFor('n1', 1)),
  // n2 and n3 were left behind by a generation that has all its voters, and elect all the same.
  'a removed node never leads': three()
    .end('n1')
    .start('n1', { generation: 2, voters: ['n1'] })
    .wait(1)
    .agree('n3', 'n2', 1)
    .campaign('n3', 'n2', 1)
    .vote('n2', 'n3', 1)
    .add('n3', { kind: 'leads', term: 1 }),
  // Answered, but sent before: what counts is when the heartbeat left.
  'a leader without a majority steps down in time': three()
    .elect('n1', 'n2', 1)
    .send('n1', 'n2', heartbeat)
    .wait(90)
    .tell('n2', 'n1', { ...heartbeatAnswer, term: 1 })
    .wait(11)
    .state('n1', 1, true),
  'a node that lost its vote file does not vote': three()
    .end('n2')
    .start('n2', { lost: true })
    .receive('n1', 'n2', request)
    .write('n2', 1, 'n1')
    .send('n2', 'n1', voteFor('n1', 1)),
  'the fence only rises': three()
    .add('n1', { kind: 'claim', term: 3, taken: true })
    .add('n2', { kind: 'claim', term: 2, taken: true }),
  'one node holds the fence of a term': three()
    .add('n1', { kind: 'claim', term: 3, taken: true })
    .add('n2', { kind: 'claim', term: 3, taken: true }),
  'no write of an older term lands after a newer claim': three()
    .add('n1', { kind: 'claim', term: 1, taken: true }, { kind: 'store', term: 1, taken: true })
    .add('n2', { kind: 'claim', term: 2, taken: true })
    .add('n1', { kind: 'store', term: 1, taken: true }),
};

function check(records: readonly TraceRecord[]): TraceChecker {
  const checker = new TraceChecker();
  for (const record of records) checker.take(record);
  return checker;
}

describe('the checker of traces', () => {
  test('an election, a silence and the election that follows hold to every rule', () => {
    const trace = three()
      .elect('n1', 'n2', 1)
      .tell('n1', 'n2', heartbeat)
      .state('n2', 1)
      .wait(100)
      .state('n1', 1)
      .agree('n3', 'n2', 2)
      .campaign('n3', 'n2', 2)
      .vote('n2', 'n3', 2)
      .add('n3', { kind: 'leads', term: 2 });
    expect(check(trace.records)).toMatchObject({ elections: 2, excused: 0 });
  });

  test.each(Object.keys(rules) as Rule[])('misses: %s', (rule) => {
    const { records } = violations[rule];
    check(records.slice(0, -1));
    expect(() => check(records)).toThrow(`${rule}: `);
  });

  test('what a file took with it that nobody else knows is excused, and counted', () => {
    const trace = three()
      .elect('n1', 'n2', 1)
      .end('n2')
      .start('n2', { lost: true, termAtLeast: 1 })
      .add('n2', { kind: 'votes-again', reason: 'followed n1 for 10 timeouts' })
      .agree('n3', 'n2', 1)
      .campaign('n3', 'n2', 1)
      .vote('n2', 'n3', 1)
      .add('n3', { kind: 'leads', term: 1 });
    expect(check(trace.records).excused).toBe(1);
  });

  /** n2 campaigned, lost its file with its own vote in it, was told the terms of all others, and votes in that term again. */
  const votesAgain = (campaigned: HandWrittenTrace): HandWrittenTrace =>
    campaigned
      .end('n2')
      .start('n2', { lost: true })
      .add('n2', { kind: 'votes-again', reason: 'every other voter has told its term' })
      .agree('n1', 'n2', 1)
      .campaign('n1', 'n2', 1)
      .vote('n2', 'n1', 1);
  const alone = () => three().agree('n2', 'n3', 1).campaign('n2', 'n3', 1);

  test('a candidate’s own vote that was lost before anybody wrote its term elects nobody, and is excused', () => {
    expect(() => check(votesAgain(alone()).records)).not.toThrow();
  });

  test('but not one that somebody supported', () => {
    const supported = votesAgain(alone().vote('n3', 'n2', 1));
    expect(() => check(supported.records)).toThrow('one vote per node and term: ');
  });

  test('a vote that was a majority by itself is excused before its node votes again: those who came since need it not', () => {
    const grown = new HandWrittenTrace()
      .start('n1', { voters: ['n1'], learners: [] })
      .write('n1', 1, 'n1')
      .add('n1', { kind: 'leads', term: 1 })
      .end('n1');
    const voters = { generation: 3, voters: ['n1', 'n2', 'n3'], learners: [] };
    const later = (lost: HandWrittenTrace) =>
      lost
        .start('n2', voters)
        .start('n3', voters)
        .agree('n2', 'n3', 1)
        .campaign('n2', 'n3', 1)
        .vote('n3', 'n2', 1)
        .add('n2', { kind: 'leads', term: 1 });
    const two = { generation: 2, voters: ['n1', 'n2'], learners: [] };
    expect(check(later(grown.start('n1', { ...two, lost: true, unknowable: true })).records).excused).toBe(1);
  });

  test('shares no code with the core: it imports its own folder alone', () => {
    const folder = new URL('../../simulation/trace/', import.meta.url);
    const sources = readdirSync(folder).map((name) => readFileSync(new URL(name, folder), 'utf8'));
    const imported = sources.flatMap((source) =>
      [...source.matchAll(/from '([^']+)'/g)].map(([, from]) => from),
    );
    expect(imported.length).toBeGreaterThan(3);
    for (const from of imported) expect(from).toMatch(/^(?:\.\/[a-z-]+\.ts|node:[a-z]+)$/);
  });
});
