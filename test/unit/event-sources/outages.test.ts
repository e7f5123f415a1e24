// Outages of ten minutes and of an hour, with the clock wound on: a mapping goes on by itself, asks at a bounded rate
// meanwhile, and holds no more than it may.
import { afterEach, beforeEach, describe, expect, it, vi } from 'vitest';
import { startRabbitmqMapping } from '../../../emulator/event-sources/rabbitmq.ts';
import type { openQueueFeed } from '../../../emulator/event-sources/rabbitmq-feed.ts';
import { createLogger } from '../../../runtime/logger.ts';
import { answered, failed, SimulatedFunction, SimulatedQueue } from './simulated-queue.ts';

const minutes = 60_000;
const second = 1_000;
beforeEach(() => void vi.useFakeTimers({ toFake: ['setTimeout', 'clearTimeout', 'performance'] }));
afterEach(() => void vi.useRealTimers());

function start(invoke: SimulatedFunction, openFeed: typeof openQueueFeed) {
  return startRabbitmqMapping({
    mapping: { function: 'deliver', queue: 'items', batchSize: 100, windowMs: 0, functionTimeoutS: 1 },
    broker: {
      url: 'amqps://127.0.0.1:1/',
      credentials: () => Promise.reject(new Error('not asked for')),
      ca: '',
    },
    invoke,
    logger: createLogger({ process: 'test', write: () => undefined }),
    openFeed,
  });
}

describe('outages', () => {
  it('the broker is gone for ten minutes: it is asked every three seconds, and consumed from within three of its return', async () => {
    const queue = new SimulatedQueue();
    let [isUp, connects] = [false, 0];
    const invoke = new SimulatedFunction(() => answered);
    const source = start(invoke, () => {
      connects++;
      return isUp ? queue.open() : Promise.reject(new Error('connect ECONNREFUSED'));
    });
    await vi.advanceTimersByTimeAsync(10 * minutes);
    expect(connects).toBeGreaterThan(150);
    expect(connects).toBeLessThan(10 * 20 + 10);
    queue.publish('a');
    isUp = true;
    await vi.advanceTimersByTimeAsync(3 * second);
    expect(invoke.invocations).toEqual([['a']]);
    expect(queue.unacknowledged).toBe(0);
    await source.close();
  });

  it('a function fails for ten minutes: some forty tries of the same batch, which is handled within 15 s of its recovery', async () => {
    const queue = new SimulatedQueue();
    let works = false;
    const invoke = new SimulatedFunction(() => (works ? answered : failed));
    const source = start(invoke, queue.open);
    queue.publish('a', 'b');
    await vi.advanceTimersByTimeAsync(10 * minutes);
    expect(invoke.invocations.length).toBeGreaterThan(30);
    expect(invoke.invocations.length).toBeLessThan(60);
    expect(new Set(invoke.invocations.map(String))).toEqual(new Set(['a,b']));
    expect(queue.unacknowledged).toBe(2);
    works = true;
    await vi.advanceTimersByTimeAsync(15 * second);
    expect(queue.unacknowledged).toBe(0);
    await source.close();
  });

  it('a mapping asks the broker for two batches and no more, and for 20,000 messages at the most', async () => {
    const prefetches: number[] = [];
    const queue = new SimulatedQueue();
    for (const batchSize of [1, 100, 10_000]) {
      const source = startRabbitmqMapping({
        mapping: { function: 'deliver', queue: 'items', batchSize, windowMs: 0, functionTimeoutS: 1 },
        broker: {
          url: 'amqps://127.0.0.1:1/',
          credentials: () => Promise.reject(new Error('unused')),
          ca: '',
        },
        invoke: new SimulatedFunction(() => answered),
        logger: createLogger({ process: 'test', write: () => undefined }),
        openFeed: (_broker, { prefetch }) => {
          prefetches.push(prefetch);
          return queue.open();
        },
      });
      await vi.advanceTimersByTimeAsync(second);
      await source.close();
    }
    expect(prefetches).toEqual([2, 200, 20_000]);
  });
});
