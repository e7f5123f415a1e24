// Draining a backlog, by the whole path and by what else could move or write those messages, on the same broker and leader.
import { describeError } from '../runtime/failure.ts';
import { findRabbitmq } from '../emulator/services/rabbitmq/rabbitmq.ts';
import { eventually } from '../test/support/running-system.ts';
import { lookEveryMs, type BenchSystem } from './bench-system.ts';
import { consumePlainly, consumeWithRascal, type Consumer } from './peers/item-consumers.ts';
import { enableShovel, type Shovel } from './peers/shovel.ts';
import { pagesOf, publishAll, type Shape } from './pipeline-stages.ts';

const emptyWithinMs = 120_000;
const queueOptions = { durable: true, arguments: { 'x-queue-type': 'quorum' } };
export const peerQueue = 'bench-peer';
const targetQueue = 'bench-target';

/** Items a second, from the moment the event sources wake until the last row is committed. */
export async function drainByPath(system: BenchSystem, shape: Shape, intake: number): Promise<number> {
  const before = await system.applied();
  system.signal('event-sources', 'SIGSTOP');
  try {
    await publishAll(system, pagesOf(shape, { intake }));
  } finally {
    system.signal('event-sources', 'SIGCONT');
  }
  // What was delivered ahead, into the paused process, is a part of the backlog like the rest.
  const began = performance.now();
  await system.untilApplied(before + shape.items);
  return shape.items / ((performance.now() - began) / 1_000);
}

export async function withPeerQueue<T>(system: BenchSystem, use: () => Promise<T>): Promise<T> {
  const channel = await system.admin.createChannel();
  await channel.assertQueue(peerQueue, queueOptions);
  try {
    return await use();
  } finally {
    await channel.deleteQueue(peerQueue);
    await channel.close();
  }
}

/** Undefined when the consumer is not installed. */
export async function drainByConsumer(
  system: BenchSystem,
  open: typeof consumePlainly | typeof consumeWithRascal,
  shape: Shape,
  intake: number,
): Promise<number | undefined> {
  return await withPeerQueue(system, async () => {
    await publishAll(system, pagesOf(shape, { intake, queue: peerQueue }));
    const before = await system.applied();
    const consumer: Consumer | undefined = await open(system, peerQueue);
    if (!consumer) return undefined;
    try {
      const began = performance.now();
      await consumer.begin();
      await system.untilApplied(before + shape.items);
      return shape.items / ((performance.now() - began) / 1_000);
    } catch (error) {
      const problem = consumer.problem();
      if (problem === undefined) throw error;
      throw new Error(`${open.name}: ${describeError(problem)}`, { cause: error });
    } finally {
      await consumer.close();
    }
  });
}

/** Undefined on the development broker, which has none. */
export async function openShovel(system: BenchSystem): Promise<Shovel | undefined> {
  return findRabbitmq() ? await enableShovel(system) : undefined;
}

export async function drainByShovel(
  system: BenchSystem,
  shovel: Shovel,
  shape: Shape,
  intake: number,
): Promise<number> {
  return await withPeerQueue(system, async () => {
    const channel = await system.admin.createChannel();
    await channel.assertQueue(targetQueue, queueOptions);
    try {
      await publishAll(system, pagesOf(shape, { intake, queue: peerQueue }));
      const depth = async (): Promise<number> => (await channel.checkQueue(targetQueue)).messageCount;
      await shovel.start({ from: peerQueue, to: targetQueue });
      // Its start is no part of its speed: the clock runs from the first message that was moved.
      await eventually('the first message moved', depth, (count) => count > 0, emptyWithinMs, lookEveryMs);
      const already = await depth();
      const began = performance.now();
      const done = (count: number): boolean => count >= shape.items;
      await eventually('all messages moved', depth, done, emptyWithinMs, lookEveryMs);
      return (shape.items - already) / ((performance.now() - began) / 1_000);
    } finally {
      await shovel.stop();
      await channel.deleteQueue(targetQueue);
      await channel.close();
    }
  });
}
