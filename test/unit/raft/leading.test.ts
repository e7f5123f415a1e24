// Leading, losing it and handing it on: single nodes and small clusters of the election core.
import { describe, expect, test } from 'vitest';
import { productionCore as core } from '../../simulation/core.ts';
import { claims } from '../../simulation/claims.ts';
import { databaseLost, handOver } from '../../simulation/scenarios.ts';
import type { Note } from '../../../nodes/raft/types.ts';
import { Node } from './node.ts';

describe('quorum', () => {
  test('a leader that nobody answers for one timeout stops leading, however late its timer', () => {
    for (const lateMs of [0, 10_000]) {
      const node = new Node().lead();
      expect(node.view.role.kind).toBe('leader');
      node.wait(99);
      expect(node.view.role.kind).toBe('leader');
      node.wait(1 + lateMs);
      expect(node.view.role.kind).toBe('follower');
      expect(node.sent('heartbeat')).toEqual([]);
    }
  });

  test('an acknowledgement counts from when its heartbeat was sent, not from when it came', () => {
    const node = new Node().lead();
    node.wait(20);
    const [sent] = node.sent('heartbeat');
    node.now += 70;
    node.acknowledge('b', { sequence: sent?.sequence ?? 0, sentAt: sent?.sentAt ?? 0 });
    node.wait(29);
    expect(node.view.role.kind).toBe('leader');
    node.wait(1);
    expect(node.view.role.kind).toBe('follower');
  });

  test('once two heartbeats went without a majority, a leader asks three times as often, until it is answered', () => {
    const node = new Node().lead();
    let last = { sequence: 0, sentAt: 0 };
    const beatsIn = (ms: number): number => {
      const before = last.sequence;
      for (let turn = 0; turn < ms; turn++) {
        node.wait(1);
        last = node.sent('heartbeat')[0] ?? last;
      }
      return last.sequence - before;
    };
    beatsIn(60);
    expect(beatsIn(30)).toBe(4);
    node.acknowledge('b', { sequence: last.sequence, sentAt: last.sentAt });
    expect(beatsIn(40)).toBe(2);
    expect(node.view.role.kind).toBe('leader');
  });

  test('answers that waited in the socket are all heard before the quorum is counted', () => {
    const node = new Node().lead();
    node.wait(20);
    const [early] = node.sent('heartbeat');
    node.wait(20);
    const [late] = node.sent('heartbeat');
    if (!early || !late) throw new Error('no heartbeats');
    node.now += 95; // Stood still: more than a timeout after the first of the two, less than one after the other.
    node.feed({ kind: 'health', health: { fit: true, reason: null, databaseReachable: true, lagMs: 95 } });
    node.acknowledge('b', { sequence: early.sequence, sentAt: early.sentAt });
    node.acknowledge('b', { sequence: late.sequence, sentAt: late.sentAt });
    node.wait(0);
    expect(node.view.role.kind).toBe('leader');
    node.wait(5);
    expect(node.view.role.kind).toBe('follower');
  });

  test('a leader that woke too late sends nothing before the count, whatever waited in its socket', () => {
    const node = new Node().lead();
    node.now += 150;
    node.heartbeat('c', 0, 1);
    expect(node.sent('heartbeat')).toEqual([]);
    node.wait(0);
    expect(node.sent('heartbeat')).toEqual([]);
    expect(node.view.role.kind).toBe('follower');
  });

  test('the answers of learners do not count', () => {
    const node = new Node().lead();
    node.wait(20);
    const [sent] = node.sent('heartbeat');
    node.acknowledge('l', { sequence: sent?.sequence ?? 0, sentAt: sent?.sentAt ?? 0 });
    node.wait(80);
    expect(node.view.role.kind).toBe('follower');
  });

  test('a higher term, a refused fence and a second leader of the same term each end leadership', () => {
    const deposed = new Node().lead();
    deposed.receive('c', { kind: 'term-request', term: 5, nonce: 1 });
    expect(deposed.view).toMatchObject({ term: 5, role: { kind: 'follower' } });
    const refused = new Node().lead();
    refused.feed({ kind: 'fence-refused', databaseTerm: 57 });
    expect(refused.view).toMatchObject({ term: 57, role: { kind: 'follower' } });
    const doubled = new Node().lead();
    doubled.heartbeat('c', 1, 1);
    expect(doubled.view.role.kind).toBe('follower');
    const untouched = new Node().lead();
    untouched.feed({ kind: 'fence-refused', databaseTerm: 0 });
    expect(untouched.view).toMatchObject({ term: 1, role: { kind: 'leader' } });
  });
});

describe('explanations', () => {
  test('a leadership that ends says by which rule and where it is argued', () => {
    const rulesOf = (node: Node) =>
      node.notes().flatMap((note) => ('rule' in note ? [`${note.rule} ${note.section}`] : []));
    const deaf = new Node().lead();
    deaf.wait(100);
    expect(rulesOf(deaf)).toEqual(['quorum-lost 6.2']);
    const deposed = new Node().lead();
    deposed.receive('c', { kind: 'term-request', term: 5, nonce: 1 });
    expect(deposed.notes()).toMatchObject([
      { kind: 'stepped-down', term: 1, rule: 'higher-term', section: '3.3' },
    ]);
    const fenced = new Node().lead();
    fenced.feed({ kind: 'fence-refused', databaseTerm: 57 });
    expect(rulesOf(fenced)).toEqual(['fence-refused README: the database has the last word']);
    const doubled = new Node().lead();
    doubled.heartbeat('c', 1, 1);
    expect(rulesOf(doubled)).toEqual(['second-leader README: a lost vote file']);
    const full = new Node().lead();
    full.feed({ kind: 'persist-failed', reason: 'ENOSPC' });
    expect(rulesOf(full)).toEqual(['cannot-persist 3.8']);
  });

  test('a leadership that is handed over says so twice: the transfer is done, and the leader has left', () => {
    const node = new Node().lead();
    node.acknowledge('b', { sequence: 1, sentAt: node.now });
    node.feed({ kind: 'transfer', target: 'b', reason: 'deploy' });
    node.receive('b', { kind: 'vote-request', term: 2, transfer: true });
    expect(node.notes()).toMatchObject([
      { kind: 'transfer', outcome: 'done', target: 'b', reason: 'deploy', section: '3.10' },
      { kind: 'stepped-down', term: 1, rule: 'transferred', section: '3.10' },
    ]);
  });

  test('a refused vote names its rule and section', () => {
    const node = new Node();
    node.heartbeat('b', 1, 1);
    node.receive('c', { kind: 'vote-request', transfer: false, term: 2 });
    expect(node.notes()).toMatchObject([{ kind: 'vote-refused', rule: 'leader-is-alive', section: '4.2.3' }]);
  });
});

describe('followers', () => {
  const order = { order: ['c', 'a'] };

  test('rank k campaigns k spacings after the timeout: 12 ms apart at 100 ms', () => {
    const node = new Node();
    node.heartbeat('b', 1, 1, order);
    node.wait(111);
    expect(node.sent('pre-vote-request')).toEqual([]);
    expect(node.view.leader).toBeNull();
    node.wait(1);
    expect(node.sent('pre-vote-request')).toHaveLength(2);
  });

  test('evidence of death: rank k campaigns after k spacings; of another boot or term it says nothing', () => {
    const node = new Node();
    node.heartbeat('b', 1, 1, order);
    node.feed({ kind: 'evidence', leader: 'b', leaderBoot: 'boot-other', term: 1 });
    node.feed({ kind: 'evidence', leader: 'b', leaderBoot: 'boot-b', term: 2 });
    expect(node.view.leader).toBe('b');
    node.feed({ kind: 'evidence', leader: 'b', leaderBoot: 'boot-b', term: 1 });
    expect(node.view.leader).toBeNull();
    node.wait(11);
    expect(node.sent('pre-vote-request')).toEqual([]);
    node.wait(1);
    expect(node.sent('pre-vote-request')).toHaveLength(2);
  });

  test('evidence is taken back by a heartbeat that echoes the later probe, and by no earlier one', () => {
    const node = new Node();
    node.heartbeat('b', 1, 1, order);
    node.feed({ kind: 'evidence', leader: 'b', leaderBoot: 'boot-b', term: 1 });
    const probe = node.sent('heartbeat-answer')[0]?.probe ?? -1;
    node.heartbeat('b', 1, 2, { ...order, probe: probe - 1 });
    expect(node.view.leader).toBeNull();
    node.heartbeat('b', 1, 3, { ...order, probe });
    expect(node.view.leader).toBe('b');
    node.feed({ kind: 'evidence', leader: 'b', leaderBoot: 'boot-b', term: 1 });
    expect(node.view.leader).toBe('b');
  });

  test('heartbeats that come twice or late change nothing', () => {
    const node = new Node();
    node.heartbeat('b', 1, 5);
    node.now += 90;
    for (const sequence of [5, 4]) expect(node.heartbeat('b', 1, sequence)).toEqual([]);
    node.wait(10);
    expect(node.view.leader).toBeNull();
  });

  test('a leader of an older term learns of the newer one', () => {
    const node = new Node({ recovered: { kind: 'found', persisted: { term: 4, votedFor: null } } });
    node.heartbeat('b', 3, 1);
    expect(node.sent('heartbeat-answer')).toMatchObject([{ term: 4 }]);
    expect(node.view.leader).toBeNull();
  });
});

describe('clusters', () => {
  test.each(claims)('$claim', ({ holds }) => {
    expect(holds(core)).toBe(true);
  });
});

describe('hand-over', () => {
  test('without a name to the first in rank; to a dead node means to the next that lives', () => {
    const first = handOver(core, () => ({ target: null, dead: [] }));
    expect(first.after).not.toBe(first.before);
    const dead = handOver(core, ([one = '']) => ({ target: one, dead: [one] }));
    expect([dead.before, dead.target]).not.toContain(dead.after);
    expect(dead.tookTimeouts).toBeLessThan(1);
  });

  test('to itself, a stranger, a learner or twice: each fails with its reason', () => {
    const node = new Node().lead();
    const reasonOf = (target: string | null): string => {
      node.feed({ kind: 'transfer', target, reason: 'asked' });
      const note = node.notes()[0];
      return note?.kind === 'transfer' ? `${note.outcome}: ${note.reason}` : '';
    };
    expect(reasonOf('a')).toBe('failed: this node leads already');
    expect(reasonOf('x')).toBe('failed: x is not a member');
    expect(reasonOf('l')).toBe('failed: l is a learner and never leads');
    expect(reasonOf(null)).toBe('failed: no fit voter answers');
    expect(reasonOf('b')).toBe('failed: b has answered never');
    node.acknowledge('b', { sequence: 1, sentAt: node.now, priority: 0 });
    expect(reasonOf('b')).toBe('failed: b has priority 0 and never leads');
    node.acknowledge('c', { sequence: 1, sentAt: node.now });
    expect(reasonOf('c')).toBe('started: asked');
    expect(reasonOf('c')).toBe('failed: leadership is already being handed to c');
  });

  test('to a node without a database: not from a leader that has one, whoever is named', () => {
    const database = (databaseReachable: boolean) => ({
      fit: true,
      reason: null,
      databaseReachable,
      lagMs: 0,
    });
    const asked = (target: string | null, leaderHasOne: boolean): string => {
      const node = new Node().lead();
      node.feed({ kind: 'health', health: database(leaderHasOne) });
      node.acknowledge('b', { sequence: 1, sentAt: node.now, health: database(false) });
      node.feed({ kind: 'transfer', target, reason: 'asked' });
      const note = node.notes()[0];
      return note?.kind === 'transfer' ? `${note.outcome}, ${note.rule}: ${note.reason}` : '';
    };
    expect(asked('b', true)).toBe('failed, unsuitable-target: b has no database, and this node has one');
    expect(asked(null, true)).toBe('failed, unsuitable-target: no fit voter with a database answers');
    expect(asked('b', false)).toBe('started, asked: asked');
    expect(asked(null, false)).toBe('started, asked: asked');
  });

  test('nobody takes over within one timeout: it failed, and the leader leads on', () => {
    const node = new Node().lead();
    node.acknowledge('b', { sequence: 1, sentAt: node.now });
    node.feed({ kind: 'transfer', target: 'b', reason: 'asked' });
    expect(node.sent('transfer-now')).toHaveLength(1);
    const notes: Note[] = [];
    for (let sequence = 2; sequence <= 6; sequence++) {
      node.wait(20);
      notes.push(...node.notes());
      node.acknowledge('b', { sequence, sentAt: node.now });
    }
    const reason = 'b did not take over within one election timeout';
    expect(notes).toEqual([
      { kind: 'transfer', target: 'b', outcome: 'failed', rule: 'one-timeout', section: '3.10', reason },
    ]);
    expect(node.view.role.kind).toBe('leader');
    expect(node.feed({ kind: 'transfer', target: 'b', reason: 'again' })).toContainEqual({
      kind: 'note',
      note: {
        kind: 'transfer',
        target: 'b',
        outcome: 'started',
        rule: 'asked',
        section: '3.10',
        reason: 'again',
      },
    });
  });
});

describe('health', () => {
  const unfit = { fit: false, reason: 'hung', databaseReachable: true, lagMs: 0 };

  test('an unfit leader hands over to a fit follower, and stops leading at once when there is none', () => {
    const alone = new Node().lead();
    alone.feed({ kind: 'health', health: unfit });
    expect(alone.view.role.kind).toBe('follower');
    const heir = new Node().lead();
    heir.acknowledge('c', { sequence: 1, sentAt: heir.now });
    heir.feed({ kind: 'health', health: unfit });
    expect(heir.sent('transfer-now')).toHaveLength(1);
    for (let sequence = 2; sequence <= 7; sequence++) {
      heir.wait(20);
      heir.acknowledge('c', { sequence, sentAt: heir.now });
    }
    expect(heir.view.role.kind).toBe('follower');
  });

  test('a leader that alone lost its database hands over; when all lost it, no term changes', () => {
    const here = databaseLost(core, 'leader');
    expect(here.after).not.toBe(here.before);
    expect(here.terms).toBe(1);
    expect(databaseLost(core, 'everywhere')).toMatchObject({ terms: 0 });
  });
});
