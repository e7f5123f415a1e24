// What more partitions of `items` bring, one item a message: a backlog drained by the whole path, and by mappings alone in
// front of a function that takes its time without using a processor, as one does whose leader is far or slow. One system
// with four mappings serves all turns, since the publisher decides how many of them have work.
import { itemPartitionOf } from '../contracts/item-partitions.ts';
import { rabbitmqEventSources } from '../contracts/topology.ts';
import { startRabbitmqMapping } from '../emulator/event-sources/rabbitmq.ts';
import { inParallel } from '../runtime/in-parallel.ts';
import { createLogger } from '../runtime/logger.ts';
import { eventually } from '../test/support/running-system.ts';
import { startBenchSystem, type BenchSystem } from './bench-system.ts';
import { measured, median, round, type Bench, type Result } from './bench.ts';
import { benchSource, pageMessage } from './item-messages.ts';
import { drainByPath } from './pipeline-peers.ts';
import { publishesInFlight, rate } from './pipeline-stages.ts';

const curve = [1, 2, 4];
const [{ batchSize }] = rabbitmqEventSources;
const shape = { items: 20_000, itemsPerPage: 1, itemsPerBatch: batchSize };
const invocationMs = 100;
const drainedWithinMs = 120_000;

export const bench: Bench = async ({ rounds }) => {
  const system = await startBenchSystem(['--item-partitions', String(Math.max(...curve))]);
  let intake = 1;
  const path = curve.map((): number[] => []);
  const slow = curve.map((): number[] => []);
  try {
    // The first turn warms every process up and counts for nothing.
    await drainByPath(system, { ...shape, partitions: Math.max(...curve) }, intake++);
    for (let turn = 0; turn < rounds; turn++)
      for (const [place, partitions] of curve.entries()) {
        path[place]?.push(await drainByPath(system, { ...shape, partitions }, intake++));
        slow[place]?.push(await drainBySlowFunction(system, partitions));
      }
  } finally {
    await system.close();
  }
  return [
    ...results('drain of a backlog by the whole path', path),
    ...results(`drain by mappings whose function takes ${invocationMs} ms`, slow),
  ];
};

/** Each beside one partition in the same run. */
function results(what: string, rates: readonly (readonly number[])[]): Result[] {
  const [one = Number.NaN, ...more] = rates.map((turns) => median(turns));
  const named = (partitions: number | undefined) =>
    `${what}, ${partitions} partition${partitions === 1 ? '' : 's'}`;
  return [
    measured(named(1), 'items/s', one),
    ...more.map((ours, place) => ({
      what: named(curve[place + 1]),
      unit: 'items/s',
      ours: round(ours),
      peer: round(one),
      ratio: round(ours / one, 2),
      goal: null,
      met: null,
    })),
  ];
}

async function drainBySlowFunction(system: BenchSystem, partitions: number): Promise<number> {
  const names = Array.from({ length: partitions }, (_, partition) => `bench-partition-${partition}`);
  const channel = await system.admin.createChannel();
  try {
    for (const name of names)
      await channel.assertQueue(name, { durable: true, arguments: { 'x-queue-type': 'quorum' } });
    await inParallel(
      Array.from({ length: shape.items }, (_, page) => page),
      publishesInFlight,
      (page) => {
        const routingKey =
          names[itemPartitionOf({ source: benchSource, sku: `sku-${page}` }, partitions)] ?? '';
        return system.publisher.publish({
          ...pageMessage({ intake: 1, page, itemsPerPage: 1 }),
          exchange: '',
          routingKey,
        });
      },
    );
    return await rate(shape.items, () => drain(system, names));
  } finally {
    for (const name of names) await channel.deleteQueue(name);
    await channel.close();
  }
}

async function drain(system: BenchSystem, names: readonly string[]): Promise<void> {
  const mappings = names.map((queue) =>
    startRabbitmqMapping({
      mapping: { function: 'slow', queue, batchSize, windowMs: 0, functionTimeoutS: 60 },
      broker: system.broker,
      logger: createLogger({ process: 'bench', write: () => undefined }),
      invoke: {
        invoke: async () => {
          await new Promise((resolve) => setTimeout(resolve, invocationMs));
          return { kind: 'answered', payload: null };
        },
        sendEvent: () => Promise.resolve({ kind: 'answered', payload: null }),
        close: () => Promise.resolve(),
      },
    }),
  );
  try {
    await eventually(
      'all items handled',
      () => Promise.resolve(mappings.reduce((sum, mapping) => sum + mapping.counts().handled, 0)),
      (handled) => handled >= shape.items,
      drainedWithinMs,
    );
  } finally {
    await Promise.all(mappings.map((mapping) => mapping.close()));
  }
}
