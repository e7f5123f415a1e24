// When the leader takes dead letters, and when it leaves them: what comes back too often is dropped by RabbitMQ.
import { expect, test } from 'vitest';
import { createCollector } from '../../../nodes/dead-letters/collect.ts';

function world() {
  const seen = { takes: 0, now: 0, open: 0, databaseFails: false };
  const collect = createCollector({
    store: {
      keepDeadLetters: () => Promise.resolve(),
      openDeadLetters: () =>
        seen.databaseFails ? Promise.reject(new Error('away')) : Promise.resolve({ items: seen.open }),
    },
    broker: {
      take: () => {
        seen.takes += 1;
        return Promise.resolve(0);
      },
    },
    now: () => seen.now,
  });
  return { seen, collect };
}

test('a database that is away is not given letters to give back: each try waits longer, up to ten minutes', async () => {
  const { seen, collect } = world();
  seen.databaseFails = true;
  const tries: number[] = [];
  for (; seen.now < 4 * 3_600_000; seen.now += 1_000) await collect(1).catch(() => void tries.push(seen.now));
  expect(seen.takes).toBe(0);
  expect(tries.slice(0, 5)).toEqual([0, 1_000, 3_000, 7_000, 15_000]);
  expect((tries.at(-1) ?? 0) - (tries.at(-2) ?? 0)).toBe(600_000);
  // It comes back: the next try takes, and the ones after it wait no longer.
  seen.databaseFails = false;
  seen.now += 600_000;
  await collect(1);
  await collect(1);
  expect(seen.takes).toBe(2 * 3);
});

test('above its bound the rest stays in the queues, and it says so', async () => {
  const { seen, collect } = world();
  seen.open = 200_000;
  await expect(collect(1)).rejects.toMatchObject({ code: 'BUSY' });
  expect(seen.takes).toBe(0);
});
