// The loop around the election core: order of effects, a disk that fails, timers that come late. The core here is
// a script: it answers each input with the effects the test gave it, and throws at one it was not told about.
import { afterEach, beforeEach, expect, test, vi } from 'vitest';
import { MainThreadWatch } from '../../../nodes/raft-thread/main-thread-watch.ts';
import { RaftLoop } from '../../../nodes/raft-thread/loop.ts';
import { Standstills, type Standstill } from '../../../nodes/raft-thread/standstills.ts';
import type { RaftProblem } from '../../../nodes/raft-thread/messages.ts';
import type { Effect, Input, Message, Recovered, RoleView } from '../../../nodes/raft/types.ts';

const voteRequest: Message = { kind: 'vote-request', term: 5, generation: 1, transfer: false };
const heartbeat: Message = {
  kind: 'heartbeat',
  term: 5,
  generation: 1,
  sequence: 1,
  sentAt: 0,
  order: [],
  probe: 0,
};
const boot = 'ab'.repeat(16);
const follower: RoleView = { kind: 'follower', leader: null };

type Scripted = { role?: RoleView; effects?: readonly Effect[] };
function scripted(
  answers: (input: Input) => Scripted | undefined,
  { recovered = { kind: 'first' }, drain }: { recovered?: Recovered; drain?: () => Promise<void> } = {},
) {
  const log: string[] = [];
  const inputs: Input[] = [];
  const disk = { full: false, takesMs: 0 };
  const written: unknown[] = [];
  const clock = { aheadMs: 0 };
  const standstills: Standstill[] = [];
  const loop = new RaftLoop<RoleView>({
    core: {
      initial: follower,
      step: (state, input) => {
        inputs.push(input);
        log.push(`input ${input.kind}`);
        const answer = answers(input);
        if (!answer) throw new Error(`the script has no answer to ${input.kind}`);
        return { state: answer.role ?? state, effects: answer.effects ?? [] };
      },
      view: (state) => ({ role: state, term: 5 }),
    },
    recovered,
    seed: 1,
    heartbeatMs: 50,
    now: () => performance.now() + clock.aheadMs,
    persist: (record) => {
      clock.aheadMs += disk.takesMs;
      if (disk.full) throw new Error('ENOSPC: no space left on device');
      written.push(record);
      log.push(`persist ${record.term}`);
    },
    send: (to, message) => log.push(`send ${message.kind} to ${to}`),
    drain: drain ?? (() => Promise.resolve()),
    onRole: ({ role }) => log.push(`role ${role.kind}`),
    onNote: ({ kind }) => log.push(`note ${kind}`),
    onLeader: (leader) => log.push(`leader ${leader?.peer ?? 'none'}`),
    count: () => undefined,
    onStandstill: ({ of, ms }) => standstills.push({ of, ms }),
  });
  return { loop, log, inputs, disk, written, clock, standstills };
}

beforeEach(() => vi.useFakeTimers());
afterEach(() => vi.useRealTimers());

const campaign: readonly Effect[] = [
  { kind: 'persist', persisted: { term: 5, votedFor: 'node-1' } },
  { kind: 'send', to: 'node-2', message: voteRequest },
  { kind: 'role', role: { kind: 'candidate' }, term: 5, reason: 'timeout' },
];

test('loop: effects are carried out in their order, the vote on disk before the message', () => {
  const { loop, log } = scripted(() => ({ role: { kind: 'candidate' }, effects: campaign }));
  loop.start();
  expect(log).toEqual(['input start', 'persist 5', 'send vote-request to node-2', 'role candidate']);
  loop.close();
});

test('loop: when the disk is full nothing after the vote happens, the core is told once, and again when it has room', async () => {
  const { loop, log, disk, written } = scripted((input) =>
    input.kind === 'start' ? { role: { kind: 'candidate' }, effects: campaign } : { effects: [] },
  );
  disk.full = true;
  loop.start();
  expect(log).toEqual(['input start', 'input persist-failed']);
  await vi.advanceTimersByTimeAsync(1_000);
  expect(log.filter((line) => line === 'input persist-failed')).toHaveLength(1);
  expect(log.some((line) => line.startsWith('send'))).toBe(false);
  disk.full = false;
  await vi.advanceTimersByTimeAsync(300);
  // What was owed, so that the disk is never behind what the core holds in memory.
  expect(written).toEqual([{ term: 5, votedFor: 'node-1', abstaining: false }]);
  expect(log).toContain('input persist-recovered');
  loop.close();
});

test('loop: a core that asks for a write again and again while the disk is full does not spin', async () => {
  const { loop, log, disk } = scripted(() => ({ effects: campaign }));
  disk.full = true;
  loop.start();
  await vi.advanceTimersByTimeAsync(500);
  expect(log.length).toBeLessThan(50);
  loop.close();
});

test('loop: leadership given up in a step whose write failed is told all the same', () => {
  const { loop, log, disk } = scripted((input) => {
    if (input.kind === 'start')
      return {
        role: { kind: 'leader' },
        effects: [{ kind: 'role', role: { kind: 'leader' }, term: 5, reason: 'elected' }],
      };
    return {
      role: follower,
      effects: [
        { kind: 'persist', persisted: { term: 6, votedFor: null } },
        { kind: 'role', role: follower, term: 6, reason: 'higher term' },
      ],
    };
  });
  loop.start();
  disk.full = true;
  loop.fenceRefused(6);
  expect(log).toContain('role follower');
  expect(loop.view.role).toEqual(follower);
  loop.close();
});

test('loop: a lost vote file stays marked as lost in every record until the node votes again', () => {
  const { loop, written } = scripted(
    (input) => {
      if (input.kind === 'start')
        return { effects: [{ kind: 'persist', persisted: { term: 3, votedFor: null } }] };
      return { effects: [{ kind: 'note', note: { kind: 'voting-again', reason: 'followed a leader' } }] };
    },
    { recovered: { kind: 'lost', term: 0 } },
  );
  loop.start();
  expect(loop.view.abstaining).toBe(true);
  loop.transfer(null, 'any input');
  expect(loop.view.abstaining).toBe(false);
  expect(written).toEqual([
    { term: 3, votedFor: null, abstaining: true },
    { term: 3, votedFor: null, abstaining: false },
  ]);
  loop.close();
});

test('loop: a timer that comes late is believed only after the socket was drained', async () => {
  const order: string[] = [];
  const { loop, inputs } = scripted(
    (input) => {
      order.push(input.kind);
      return { effects: [{ kind: 'wake', at: performance.now() + 100 }] };
    },
    {
      drain: async () => {
        order.push('drain');
        await Promise.resolve();
        loop.message({ from: 'node-2', fromBoot: boot, message: heartbeat });
      },
    },
  );
  loop.start();
  await vi.advanceTimersByTimeAsync(110);
  expect(order).toEqual(['start', 'timer']);
  // The thread stands still: the clock goes on, the timers do not.
  vi.setSystemTime(Date.now());
  const now = performance.now();
  vi.spyOn(performance, 'now').mockImplementation(() => now + 200);
  await vi.advanceTimersByTimeAsync(101);
  expect(order.slice(2, 4)).toEqual(['drain', 'message']);
  expect(inputs.at(-1)?.kind).toBe('message');
  vi.restoreAllMocks();
  loop.close();
});

test('loop: a death counts only for the boot that leads this term', () => {
  const { loop, inputs, log } = scripted((input) =>
    input.kind === 'message' ? { role: { kind: 'follower', leader: 'node-2' } } : {},
  );
  loop.start();
  loop.death({ peer: 'node-2', boot });
  loop.message({ from: 'node-2', fromBoot: boot, message: heartbeat });
  loop.death({ peer: 'node-3', boot });
  loop.death({ peer: 'node-2', boot: 'cd'.repeat(16) });
  expect(inputs.map(({ kind }) => kind)).toEqual(['start', 'message']);
  loop.death({ peer: 'node-2', boot });
  expect(inputs.at(-1)).toMatchObject({ kind: 'evidence', leader: 'node-2', leaderBoot: boot, term: 5 });
  expect(log).toContain('leader node-2');
  loop.close();
});

test('main thread watch: unfit after the limit, fit again when it moves, and never blamed for a stall of both', () => {
  const pulse = new SharedArrayBuffer(4);
  const counter = new Int32Array(pulse);
  const watch = new MainThreadWatch({ pulse, limitMs: 1_000, checkEveryMs: 50, now: 0 });
  watch.reported({ databaseReachable: true, fit: true, reason: null });
  let now = 0;
  const pass = (ms: number, alive: boolean) => {
    let health = watch.check(now);
    for (const end = now + ms; now < end;) {
      now += 50;
      if (alive) Atomics.add(counter, 0, 1);
      health = watch.check(now);
    }
    return health;
  };
  expect(pass(3_000, true)).toMatchObject({ fit: true, lagMs: 0 });
  expect(pass(950, false)).toMatchObject({ fit: true, lagMs: 950 });
  expect(pass(150, false)).toMatchObject({ fit: false, databaseReachable: false });
  expect(pass(50, true)).toMatchObject({ fit: true, databaseReachable: true });
  now += 60_000;
  expect(watch.check(now)).toMatchObject({ fit: true, lagMs: 100 });
});

test('loop: it tells how long the disk took for a vote', () => {
  const { loop, disk, standstills } = scripted(() => ({ effects: campaign }));
  disk.takesMs = 400;
  loop.start();
  expect(standstills).toEqual([{ of: 'disk', ms: 400 }]);
  loop.close();
});

test('loop: it tells how late its timer came', async () => {
  const { loop, clock, standstills } = scripted(() => ({
    effects: [{ kind: 'wake', at: performance.now() + 50 }],
  }));
  loop.start();
  clock.aheadMs = 320;
  await vi.advanceTimersByTimeAsync(50);
  expect(standstills).toEqual([{ of: 'thread', ms: 320 }]);
  loop.close();
});

test('standstills: one of a whole election timeout is told with its cause, and the next after ten seconds', () => {
  const told: RaftProblem[] = [];
  let now = 0;
  const standstills = new Standstills({
    electionTimeoutMs: 300,
    now: () => now,
    tell: (problem) => told.push(problem),
  });
  standstills.note({ of: 'disk', ms: 299 });
  expect(told).toEqual([]);
  standstills.note({ of: 'disk', ms: 412.4 });
  standstills.note({ of: 'thread', ms: 5_000 });
  expect(told).toHaveLength(1);
  expect(told[0]).toMatchObject({ code: 'raft.slow-disk' });
  expect(told[0]?.detail).toContain('412 ms');
  now = 10_000;
  standstills.note({ of: 'thread', ms: 5_000 });
  expect(told[1]).toMatchObject({ code: 'raft.stood-still' });
  expect(told[1]?.detail).toContain('5000 ms');
});
