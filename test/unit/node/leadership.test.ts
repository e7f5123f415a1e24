// Writes while leadership changes: those under way end before it is handed over, new ones wait for who leads next, and a
// hand-over that comes to nothing is taken back.
import { setTimeout as sleep } from 'node:timers/promises';
import { beforeEach, describe, expect, test } from 'vitest';
import { Leadership } from '../../../nodes/leadership.ts';
import type { RaftThread } from '../../../nodes/raft-thread/thread.ts';
import type { ClaimResult } from '../../../nodes/store.ts';
import { Failure } from '../../../runtime/failure.ts';
import { simulatedRaft } from '../../integration/node/simulated-edges.ts';

type Result = Awaited<ReturnType<RaftThread['transfer']>>;

/** For what has to run out; a slow machine must not come to the end of the other one. */
const little = 20;
const long = 60_000;
const members = ['node-1', 'node-2', 'node-3'].map((id) => ({
  id,
  udp: '127.0.0.1:1',
  internalUrl: `https://${id}:7443`,
  publicUrl: `https://${id}`,
  voter: true,
}));

let leadership: Leadership;
let become: ReturnType<typeof simulatedRaft>['become'];
let asked: string[];
let settle: (result: Result) => void;
let claim: () => Promise<ClaimResult>;
let refused: readonly number[];

beforeEach(() => lead(long));
async function lead(patienceMs: number): Promise<void> {
  const simulated = simulatedRaft();
  become = simulated.become;
  refused = simulated.refused;
  asked = [];
  claim = async () => ({ kind: 'claimed' });
  const raft: RaftThread = {
    ...simulated.raft,
    transfer: (target) => {
      asked.push(target ?? 'first in rank');
      return new Promise((resolve) => (settle = resolve));
    },
  };
  leadership = new Leadership({
    nodeId: 'node-1',
    bootId: '0'.repeat(32),
    members,
    raft,
    claim: () => claim(),
    emit: () => undefined,
    repeatClaimMs: 10,
    patienceMs,
  });
  become({ kind: 'leader' }, 3);
  await turn();
}
const turn = () => new Promise((resolve) => setImmediate(resolve));
const write = () => leadership.write('test', async (term) => term);
const failureOf = (attempt: Promise<unknown>) => attempt.catch((error: unknown) => error);

describe('handing leadership over', () => {
  test('a write under way ends first, and nothing is asked of the others before', async () => {
    await lead(little);
    let finish = (): void => undefined;
    const underWay = leadership.write('slow', () => new Promise<void>((resolve) => (finish = resolve)));
    const moved = leadership.transfer('node-2', 'test');
    await turn();
    expect(asked).toEqual([]);
    await expect(write()).rejects.toMatchObject({ code: 'NO_LEADER' });
    finish();
    await underWay;
    await turn();
    expect(asked).toEqual(['node-2']);
    become({ kind: 'follower', leader: 'node-2' }, 4);
    settle({ kind: 'done' });
    expect(await moved).toEqual({ kind: 'done', leader: 'node-2' });
    expect(leadership.state).toMatchObject({ kind: 'following', term: 4 });
  });

  test('who leads in the end is told, whoever it was meant for', async () => {
    const moved = leadership.transfer('node-2', 'test');
    await turn();
    become({ kind: 'follower', leader: null }, 4);
    settle({ kind: 'done' });
    await turn();
    become({ kind: 'follower', leader: 'node-3' }, 4);
    expect(await moved).toEqual({ kind: 'done', leader: 'node-3' });
  });

  test('when nobody takes over, the leader takes writes again, in its term', async () => {
    const moved = leadership.transfer(null, 'test');
    await turn();
    settle({ kind: 'failed', reason: 'one timeout' });
    expect(await moved).toEqual({ kind: 'failed', reason: 'one timeout' });
    expect(await write()).toBe(3);
  });

  test('when another took over meanwhile, a late “failed” brings nothing back', async () => {
    await lead(little);
    const moved = leadership.transfer(null, 'test');
    await turn();
    become({ kind: 'follower', leader: null }, 4);
    settle({ kind: 'failed', reason: 'quorum lost' });
    await moved;
    await expect(write()).rejects.toMatchObject({ code: 'NO_LEADER' });
  });

  test('a drain that outlasts the patience of writes leaves them their patience with the election', async () => {
    const patienceMs = 200;
    await lead(patienceMs);
    let finish = (): void => undefined;
    const underWay = leadership.write('slow', () => new Promise<void>((resolve) => (finish = resolve)));
    const moved = leadership.transfer('node-2', 'test');
    await sleep(patienceMs + 50);
    finish();
    await underWay;
    await turn();
    become({ kind: 'follower', leader: null }, 4);
    settle({ kind: 'done' });
    const sentAway = failureOf(write());
    await turn();
    become({ kind: 'follower', leader: 'node-2' }, 5);
    expect(await moved).toEqual({ kind: 'done', leader: 'node-2' });
    expect(await sentAway).toMatchObject({ code: 'NOT_LEADER', details: { leader: { nodeId: 'node-2' } } });
  });

  test('a node that ends meanwhile does not keep the one who asked from his answer', async () => {
    let finish = (): void => undefined;
    const underWay = leadership.write('slow', () => new Promise<void>((resolve) => (finish = resolve)));
    const moved = leadership.transfer('node-2', 'test');
    const ended = leadership.resign('SIGTERM');
    finish();
    await underWay;
    await turn();
    expect(asked).toEqual(['node-2', 'first in rank']);
    settle({ kind: 'done' });
    void moved;
    await ended;
  });

  test('a leader that cannot claim the fence hands over too, and claims on when nobody takes it', async () => {
    claim = () => Promise.reject(new Failure('DATABASE_UNAVAILABLE', 'away'));
    become({ kind: 'leader' }, 5);
    await turn();
    const failed = leadership.transfer('node-2', 'test');
    await turn();
    expect(asked).toEqual(['node-2']);
    settle({ kind: 'failed', reason: 'one timeout' });
    expect(await failed).toEqual({ kind: 'failed', reason: 'one timeout' });
    claim = async () => ({ kind: 'claimed' });
    expect(await write()).toBe(5);
  });

  test('one at a time', async () => {
    const moved = leadership.transfer('node-2', 'test');
    await turn();
    await expect(leadership.transfer('node-3', 'test')).rejects.toMatchObject({ code: 'NO_LEADER' });
    settle({ kind: 'failed', reason: 'one timeout' });
    await moved;
    expect(asked).toEqual(['node-2']);
  });

  test('who does not lead hands nothing over', async () => {
    become({ kind: 'follower', leader: null }, 4);
    await expect(leadership.transfer(null, 'test')).rejects.toMatchObject({ code: 'NO_LEADER' });
    expect(asked).toEqual([]);
  });
});

describe('a fence that does not hold this term', () => {
  const stale = (databaseTerm: number) =>
    leadership.write('test', async () => {
      throw new Failure('STALE_TERM', 'ordered by the test', { details: { databaseTerm } });
    });

  test('behind it (a promoted standby lost the claim, or a backup was restored): it is claimed again, and writes go on', async () => {
    await lead(5_000);
    let claims = 0;
    claim = async () => {
      claims += 1;
      return { kind: 'claimed' };
    };
    await expect(stale(2)).rejects.toMatchObject({ code: 'STALE_TERM' });
    expect(await write()).toBe(3);
    expect({ claims, refused }).toEqual({ claims: 1, refused: [] });
    // Refused before that claim, and told of it.
    await expect(stale(3)).rejects.toMatchObject({ code: 'STALE_TERM' });
    expect(await write()).toBe(3);
    expect({ claims, refused }).toEqual({ claims: 2, refused: [] });
  });

  test('ahead of it, or held by somebody else: raft is told, and nothing is claimed', async () => {
    claim = async () => ({ kind: 'refused', databaseTerm: 3 });
    await expect(stale(4)).rejects.toMatchObject({ code: 'STALE_TERM' });
    expect(leadership.state).toEqual({ kind: 'waiting', term: 3 });
    expect(refused).toEqual([4]);
    await lead(long);
    claim = async () => ({ kind: 'refused', databaseTerm: 3 });
    await expect(stale(2)).rejects.toMatchObject({ code: 'STALE_TERM' });
    await turn();
    expect(refused).toEqual([3]);
  });
});

describe('a write while nobody can say who writes', () => {
  test('waits for this node to be elected and to claim, and is written in the new term', async () => {
    let answer = (_result: ClaimResult): void => undefined;
    claim = () => new Promise((resolve) => (answer = resolve));
    become({ kind: 'follower', leader: null }, 4);
    const written = write();
    become({ kind: 'leader' }, 5);
    await turn();
    answer({ kind: 'claimed' });
    expect(await written).toBe(5);
  });

  test('hears of another leader as soon as this node does', async () => {
    become({ kind: 'follower', leader: null }, 4);
    const sentAway = failureOf(write());
    become({ kind: 'follower', leader: 'node-2' }, 5);
    expect(await sentAway).toMatchObject({
      code: 'NOT_LEADER',
      details: { leader: { nodeId: 'node-2', term: 5 } },
    });
  });

  test('is refused after a while, and from then on at once', async () => {
    await lead(little);
    become({ kind: 'follower', leader: null }, 4);
    const since = performance.now();
    await expect(write()).rejects.toMatchObject({ code: 'NO_LEADER' });
    expect(performance.now() - since).toBeGreaterThanOrEqual(little - 1);
    let refused = false;
    write().catch(() => (refused = true));
    await turn();
    expect(refused).toBe(true);
  });

  test('is refused at once when 16 wait already', async () => {
    become({ kind: 'follower', leader: null }, 4);
    const answers: string[] = [];
    const writes = Array.from({ length: 17 }, (_, index) =>
      write().then(
        () => answers.push(`${index} written`),
        () => answers.push(`${index} refused`),
      ),
    );
    await turn();
    expect(answers).toEqual(['16 refused']);
    become({ kind: 'leader' }, 5);
    await Promise.all(writes);
    expect(answers.filter((answer) => answer.endsWith('written'))).toHaveLength(16);
  });

  test('at a node that ends, is sent away at once, and hears who leads as soon as that is known', async () => {
    const ended = leadership.resign('SIGTERM');
    expect(await failureOf(write())).toMatchObject({ code: 'NO_LEADER' });
    await turn();
    become({ kind: 'follower', leader: null }, 4);
    settle({ kind: 'done' });
    become({ kind: 'follower', leader: 'node-2' }, 4);
    expect(await failureOf(write())).toMatchObject({
      code: 'NOT_LEADER',
      details: { leader: { nodeId: 'node-2' } },
    });
    await ended;
    expect(leadership.state).toMatchObject({ kind: 'resigned' });
  });

  test('and nobody is named while the node that ends still leads', async () => {
    void leadership.resign('SIGTERM');
    expect(leadership.leader()).toBeUndefined();
    await expect(write()).rejects.toMatchObject({ code: 'NO_LEADER' });
  });
});
