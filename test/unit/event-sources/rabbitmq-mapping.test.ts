// The rules of a RabbitMQ mapping, against a queue and a function in memory.
import { afterEach, describe, expect, it } from 'vitest';
import type { BatonEvent } from '../../../contracts/event.ts';
import { startRabbitmqMapping, type EventSource } from '../../../emulator/event-sources/rabbitmq.ts';
import type { BackOff } from '../../../runtime/waiting.ts';
import { createLogger } from '../../../runtime/logger.ts';
import { answered, failed, SimulatedFunction, SimulatedQueue, unavailable } from './simulated-queue.ts';

const opened: EventSource[] = [];
afterEach(async () => {
  await Promise.all(opened.splice(0).map((source) => source.close()));
});

function start(
  queue: SimulatedQueue,
  invoke: SimulatedFunction,
  {
    backOff = { firstMs: 10, msMax: 40 },
    ...about
  }: { batchSize?: number; windowMs?: number; triesMax?: number; backOff?: BackOff } = {},
) {
  const events: BatonEvent[] = [];
  const logger = createLogger({ process: 'test', write: () => undefined });
  logger.onEvent((event) => events.push(event));
  const source = startRabbitmqMapping({
    mapping: {
      function: 'deliver',
      queue: 'items',
      batchSize: 100,
      windowMs: 0,
      functionTimeoutS: 1,
      ...about,
    },
    broker: {
      url: 'amqps://127.0.0.1:1/',
      credentials: () => Promise.reject(new Error('not asked for')),
      ca: '',
    },
    invoke,
    logger,
    backOff,
    openFeed: queue.open,
  });
  opened.push(source);
  return { source, events };
}

function later(): { promise: Promise<void>; resolve: () => void } {
  let resolve = (): void => undefined;
  const promise = new Promise<void>((done) => {
    resolve = done;
  });
  return { promise, resolve };
}

describe('RabbitMQ mapping', () => {
  it('window 0: what arrives while an invocation runs is the next batch, one execution at a time', async () => {
    const queue = new SimulatedQueue();
    const first = later();
    const invoke = new SimulatedFunction(async (number) => {
      if (number === 1) await first.promise;
      return answered;
    });
    start(queue, invoke);
    queue.publish('a');
    await expect.poll(() => invoke.invocations.length).toBe(1);
    queue.publish('b', 'c');
    queue.publish('d');
    expect(queue.unacknowledged).toBe(4);
    first.resolve();
    await expect.poll(() => queue.unacknowledged).toBe(0);
    expect(invoke.invocations).toEqual([['a'], ['b', 'c', 'd']]);
    expect(invoke.runningMax).toBe(1);
  });

  it('a batch is no larger than its size', async () => {
    const queue = new SimulatedQueue();
    const invoke = new SimulatedFunction(() => answered);
    queue.publish('a', 'b', 'c', 'd', 'e');
    start(queue, invoke, { batchSize: 2 });
    await expect.poll(() => queue.unacknowledged).toBe(0);
    expect(invoke.invocations).toEqual([['a', 'b'], ['c', 'd'], ['e']]);
  });

  it('a window gathers until it is over', async () => {
    const queue = new SimulatedQueue();
    const invoke = new SimulatedFunction(() => answered);
    start(queue, invoke, { windowMs: 500, batchSize: 3 });
    const began = performance.now();
    queue.publish('a');
    setTimeout(() => queue.publish('b'), 50);
    await expect.poll(() => invoke.invocations.length, { interval: 5 }).toBe(1);
    expect(performance.now() - began).toBeGreaterThan(490);
    expect(invoke.invocations).toEqual([['a', 'b']]);
  });

  it('a full batch does not wait for its window', async () => {
    const queue = new SimulatedQueue();
    const invoke = new SimulatedFunction(() => answered);
    start(queue, invoke, { windowMs: 60_000, batchSize: 3 });
    queue.publish('c', 'd', 'e');
    await expect.poll(() => invoke.invocations).toEqual([['c', 'd', 'e']]);
  });

  it('a function error leaves the whole batch unacknowledged, and it is invoked again as it was', async () => {
    const queue = new SimulatedQueue();
    const invoke = new SimulatedFunction((number) => (number < 4 ? failed : answered));
    queue.publish('a', 'b');
    const { source } = start(queue, invoke);
    await expect.poll(() => queue.unacknowledged).toBe(0);
    expect(invoke.invocations).toEqual(Array.from({ length: 4 }, () => ['a', 'b']));
    expect(source.counts()).toEqual({ invocations: 4, handled: 2, failures: 3, refused: 0 });
  });

  it('without a bound a batch fails 30 times and is still there', async () => {
    const queue = new SimulatedQueue();
    const invoke = new SimulatedFunction((number) => (number < 30 ? failed : answered));
    queue.publish('a');
    start(queue, invoke);
    await expect.poll(() => queue.unacknowledged).toBe(0);
    expect(invoke.invocations).toHaveLength(30);
    expect(queue.waiting).toEqual([]);
  });

  it('with 6 tries the batch goes back to its queue after the sixth', async () => {
    const queue = new SimulatedQueue();
    const invoke = new SimulatedFunction(() => failed);
    queue.publish('a', 'b');
    start(queue, invoke, { triesMax: 6 });
    await expect.poll(() => queue.waiting.length).toBe(2);
    expect(invoke.invocations).toHaveLength(6);
  });

  it('a function that cannot be called does not count as a try', async () => {
    const queue = new SimulatedQueue();
    const invoke = new SimulatedFunction((number) => (number < 10 ? unavailable : answered));
    queue.publish('a');
    start(queue, invoke, { triesMax: 2 });
    await expect.poll(() => queue.unacknowledged).toBe(0);
    expect(queue.waiting).toEqual([]);
    expect(invoke.invocations).toHaveLength(10);
  });

  it('6 MB bound an invocation, and a message that alone is larger is refused, said, and blocks nobody', async () => {
    const queue = new SimulatedQueue();
    const invoke = new SimulatedFunction(() => answered);
    const twoMb = Buffer.alloc(2 * 1024 * 1024, 'x'); // 2.67 MB in base64: two fit, three do not.
    queue.publish(twoMb, twoMb, twoMb, Buffer.alloc(4.6 * 1024 * 1024, 'y'), 'after');
    const { events } = start(queue, invoke);
    await expect.poll(() => queue.unacknowledged).toBe(0);
    expect(invoke.invocations.map((batch) => batch.length)).toEqual([2, 1, 1]);
    expect(Math.max(...invoke.bytes)).toBeLessThanOrEqual(6 * 1024 * 1024);
    expect(invoke.invocations[2]).toEqual(['after']);
    expect(queue.refused).toEqual([4]);
    expect(events).toMatchObject([{ type: 'message.dead-lettered', code: 'MESSAGE_TOO_LARGE' }]);
  });

  it('a connection that breaks during an invocation: it is waited for, then everything comes again', async () => {
    const queue = new SimulatedQueue();
    const first = later();
    const invoke = new SimulatedFunction(async (number) => {
      if (number === 1) await first.promise;
      return answered;
    });
    queue.publish('a', 'b');
    start(queue, invoke);
    await expect.poll(() => invoke.invocations.length).toBe(1);
    queue.breakConnection();
    expect(queue.waiting).toHaveLength(2);
    first.resolve();
    await expect.poll(() => queue.waiting.length + queue.unacknowledged).toBe(0);
    expect(invoke.invocations).toEqual([
      ['a', 'b'],
      ['a', 'b'],
    ]);
    expect(invoke.runningMax).toBe(1);
  });

  it('closing while a batch keeps failing ends at once and loses nothing', async () => {
    const queue = new SimulatedQueue();
    const invoke = new SimulatedFunction(() => failed);
    queue.publish('a', 'b');
    const { source } = start(queue, invoke, { backOff: { firstMs: 60_000, msMax: 60_000 } });
    await expect.poll(() => invoke.invocations.length).toBe(1);
    const began = performance.now();
    await source.close();
    expect(performance.now() - began).toBeLessThan(5_000);
    expect(queue.waiting).toHaveLength(2);
  });
});
