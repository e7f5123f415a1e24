// Handing leadership over under writes: those under way end first, new ones are turned away, and a hand-over that comes
// to nothing is taken back.
import { beforeEach, describe, expect, test } from 'vitest';
import { Leadership } from '../../../nodes/leadership.ts';
import type { RaftThread } from '../../../nodes/raft-thread.ts';
import { simulatedRaft } from '../../integration/node/simulated-edges.ts';

type Result = Awaited<ReturnType<RaftThread['transfer']>>;

let leadership: Leadership;
let become: ReturnType<typeof simulatedRaft>['become'];
let asked: string[];
let settle: (result: Result) => void;

beforeEach(async () => {
  const simulated = simulatedRaft();
  become = simulated.become;
  asked = [];
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
    members: [],
    raft,
    claim: async () => ({ kind: 'claimed' }),
    emit: () => undefined,
    repeatClaimMs: 10,
  });
  become({ kind: 'leader' }, 3);
  await turn();
});
const turn = () => new Promise((resolve) => setImmediate(resolve));
const write = () => leadership.write('test', async (term) => term);

describe('handing leadership over', () => {
  test('a write under way ends first, and nothing is asked of the others before', async () => {
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
    expect(await moved).toEqual({ kind: 'done' });
    expect(leadership.state).toMatchObject({ kind: 'following', term: 4 });
  });

  test('when nobody takes over, the leader takes writes again, in its term', async () => {
    const moved = leadership.transfer(null, 'test');
    await turn();
    settle({ kind: 'failed', reason: 'one timeout' });
    expect(await moved).toEqual({ kind: 'failed', reason: 'one timeout' });
    expect(await write()).toBe(3);
  });

  test('when another took over meanwhile, a late “failed” brings nothing back', async () => {
    const moved = leadership.transfer(null, 'test');
    await turn();
    become({ kind: 'follower', leader: null }, 4);
    settle({ kind: 'failed', reason: 'quorum lost' });
    await moved;
    await expect(write()).rejects.toMatchObject({ code: 'NO_LEADER' });
  });

  test('who does not lead hands nothing over', async () => {
    become({ kind: 'follower', leader: null }, 4);
    await expect(leadership.transfer(null, 'test')).rejects.toMatchObject({ code: 'NO_LEADER' });
    expect(asked).toEqual([]);
  });
});
