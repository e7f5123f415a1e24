import { describe, expect, it } from 'vitest';
import { Heap } from '../../../emulator/services/dev-broker/heap.ts';
import {
  QueueState,
  type DeathReason,
  type QueueEntry,
} from '../../../emulator/services/dev-broker/queue-state.ts';

type Options = ConstructorParameters<typeof QueueState<QueueEntry>>[0];
const unlimited: Options = { deliveryLimit: undefined, lengthMax: 1_000, overflow: 'reject-publish' };

/** A queue with as many messages as there are times of expiry. */
function queueOf(expiries: (number | undefined)[], options: Partial<Options> = {}): QueueState<QueueEntry> {
  const state = new QueueState<QueueEntry>({ ...unlimited, ...options });
  for (const [index, expiresAt] of expiries.entries()) {
    expect(state.admit()).toBe(true);
    state.arrived({ id: index + 1, expiresAt, returns: 0, redelivered: false });
  }
  return state;
}
const messages = (count: number): undefined[] => Array.from({ length: count }, () => undefined);

function take(state: QueueState<QueueEntry>): QueueEntry {
  const entry = state.take();
  if (!entry) throw new Error('nothing is ready');
  return entry;
}
function deaths(state: QueueState<QueueEntry>): [number, DeathReason][] {
  const all: [number, DeathReason][] = [];
  for (let death = state.nextDeath(); death; death = state.nextDeath()) {
    all.push([death.entry.id, death.reason]);
    state.buried();
  }
  return all;
}

describe('order', () => {
  it('what comes back takes its old place, whatever order it comes back in', () => {
    const state = queueOf(messages(5));
    const taken = [take(state), take(state), take(state)];
    for (const place of [1, 2, 0]) state.giveBack(taken[place]!);
    expect([1, 2, 3, 4, 5].map(() => take(state).id)).toEqual([1, 2, 3, 4, 5]);
    expect(state.take()).toBeUndefined();
  });

  it('a heap gives any order of ids back sorted', () => {
    const heap = new Heap<{ id: number }>();
    // 0..100 in an order without a pattern: 37 is prime to 101.
    for (let step = 0; step < 101; step++) heap.add({ id: (step * 37) % 101 });
    const first = Array.from({ length: 50 }, () => heap.take()?.id);
    expect(first).toEqual(Array.from({ length: 50 }, (_, index) => index));
    for (const id of [7, 3, 200]) heap.add({ id });
    expect(heap.takeAll().map(({ id }) => id)).toEqual([
      3,
      7,
      ...Array.from({ length: 51 }, (_, index) => 50 + index),
      200,
    ]);
    expect(heap.size).toBe(0);
  });
});

describe('returns', () => {
  it('are counted and marked; what never reached a consumer is neither', () => {
    const state = queueOf(messages(1));
    state.untake(take(state));
    expect(take(state)).toMatchObject({ returns: 0, redelivered: false });
    const state2 = queueOf(messages(1));
    state2.giveBack(take(state2));
    expect(take(state2)).toMatchObject({ returns: 1, redelivered: true });
  });

  it('past the delivery limit a message dies; at the limit it is delivered', () => {
    const state = queueOf(messages(1), { deliveryLimit: 2 });
    for (let tries = 0; tries < 3; tries++) state.giveBack(take(state));
    expect(state.take()).toBeUndefined();
    expect(deaths(state)).toEqual([[1, 'delivery_limit']]);
  });

  it('settle a message once: later verdicts on it change nothing', () => {
    const state = queueOf(messages(1));
    const entry = take(state);
    expect(state.acknowledge(entry)).toBe(true);
    expect(state.acknowledge(entry)).toBe(false);
    state.giveBack(entry);
    state.refuse(entry);
    expect([state.readyCount, state.dyingCount]).toEqual([0, 0]);
  });
});

describe('expiry', () => {
  it('looks at the head alone', () => {
    const state = queueOf([100, 300, 200]);
    expect(state.nextExpiry()).toBe(100);
    state.expire(250);
    expect(deaths(state)).toEqual([[1, 'expired']]);
    expect(state.nextExpiry()).toBe(300);
    state.expire(300);
    expect(deaths(state)).toEqual([
      [2, 'expired'],
      [3, 'expired'],
    ]);
  });

  it('does not touch what a consumer has', () => {
    const state = queueOf([100]);
    const entry = take(state);
    state.expire(200);
    expect(state.dyingCount).toBe(0);
    state.giveBack(entry);
    state.expire(200);
    expect(deaths(state)).toEqual([[1, 'expired']]);
  });
});

describe('length', () => {
  it('reject-publish counts what is ready, on its way in, and dying, but not what a consumer has', () => {
    const state = queueOf(messages(2), { lengthMax: 3 });
    expect(state.admit()).toBe(true); // On its way to disk.
    expect(state.admit()).toBe(false);
    const entry = take(state);
    expect(state.admit()).toBe(true);
    expect(state.admit()).toBe(false);
    state.refuse(entry);
    expect(state.admit()).toBe(false);
    const death = state.nextDeath();
    expect(state.admit()).toBe(false);
    state.unburied(death!);
    state.nextDeath();
    state.buried();
    expect(state.admit()).toBe(false); // One ready and two on their way.
    take(state);
    expect(state.admit()).toBe(true);
  });

  it('a queue whose dead nobody takes is full of them', () => {
    const state = queueOf(messages(2), { lengthMax: 2 });
    for (const entry of [take(state), take(state)]) state.refuse(entry);
    expect(state.admit()).toBe(false);
    state.nextDeath();
    expect(state.admit()).toBe(false);
    state.buried();
    expect(state.admit()).toBe(true);
  });

  it('drop-head lets the oldest die', () => {
    const state = queueOf(messages(4), { lengthMax: 2, overflow: 'drop-head' });
    expect(deaths(state)).toEqual([
      [1, 'maxlen'],
      [2, 'maxlen'],
    ]);
    expect(state.readyCount).toBe(2);
  });

  it('what a restart found is kept, even past the limit', () => {
    const state = new QueueState<QueueEntry>({ ...unlimited, lengthMax: 1 });
    for (const id of [1, 2]) state.recovered({ id, expiresAt: undefined, returns: 0, redelivered: true });
    expect(state.readyCount).toBe(2);
    expect(state.admit()).toBe(false);
  });
});

it('dead letters that nobody took come after the others', () => {
  const state = queueOf(messages(2));
  for (const entry of [take(state), take(state)]) state.refuse(entry);
  const first = state.nextDeath();
  expect(first?.entry.id).toBe(1);
  state.unburied(first!);
  expect(deaths(state).map(([id]) => id)).toEqual([2, 1]);
});

it('purge takes what is ready and leaves what a consumer has', () => {
  const state = queueOf(messages(3));
  const held = take(state);
  expect(state.purge().map(({ id }) => id)).toEqual([2, 3]);
  state.giveBack(held);
  expect(take(state).id).toBe(1);
});
