// How long a start waits for a leader: not for ever, but for as long as people need to give nodes back their votes.
import { afterEach, beforeEach, expect, test, vi } from 'vitest';
import { LeaderWatch } from '../../../emulator/launcher/leader-watch.ts';
import type { SystemEvent } from '../../../emulator/launcher/system-event.ts';

let told: SystemEvent[];
let leaders: LeaderWatch;
let lost: string[];
let ended: Error | undefined;
beforeEach(() => {
  vi.useFakeTimers();
  [told, lost, ended] = [[], [], undefined];
  leaders = new LeaderWatch((event) => void told.push(event));
});
afterEach(() => void vi.useRealTimers());

const elected = () =>
  leaders
    .elected({
      withinMs: 30_000,
      nodes: () => [{ name: 'node-1', kind: 'node', restarts: 0, lastEnd: null } as never],
      abstaining: async () => lost,
      goOn: () => {
        if (ended) throw ended;
      },
    })
    .then(
      () => 'elected',
      (error: unknown) => String(error),
    );

test('without a leader it ends after its time, and says so', async () => {
  const result = elected();
  await vi.advanceTimersByTimeAsync(30_100);
  expect(await result).toMatch('no node was elected within 30 s');
});

test('where nodes lost their vote files it names them, again when it is others, and waits for who recovers them', async () => {
  lost = ['node-1', 'node-2'];
  const result = elected();
  await vi.advanceTimersByTimeAsync(60_000);
  lost = ['node-2'];
  await vi.advanceTimersByTimeAsync(60_000);
  expect(told).toEqual([
    { event: 'votes-missing', nodes: ['node-1', 'node-2'] },
    { event: 'votes-missing', nodes: ['node-2'] },
  ]);
  leaders.read(
    JSON.stringify({
      version: 1,
      at: '2026-01-01T00:00:00.000Z',
      process: 'node-1',
      event: true,
      type: 'fence.claimed',
      node: 'node-1',
      term: 3,
      tookMs: 1,
    }),
  );
  await vi.advanceTimersByTimeAsync(100);
  expect(await result).toBe('elected');
});

test('it ends with the system', async () => {
  lost = ['node-1'];
  const result = elected();
  await vi.advanceTimersByTimeAsync(40_000);
  ended = new Error('it was ended');
  await vi.advanceTimersByTimeAsync(100);
  expect(await result).toMatch('it was ended');
});
