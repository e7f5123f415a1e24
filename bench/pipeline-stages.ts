// Each stage of the path by itself, with the work that the others would hand to it: what the whole path is measured by.
import { itemVersion } from '../contracts/ids.ts';
import { routes, type BatchRequest } from '../contracts/node-api.ts';
import type { Item } from '../contracts/item.ts';
import { openQueueFeed } from '../emulator/event-sources/rabbitmq-feed.ts';
import { createInvokeClient } from '../emulator/event-sources/invoke-client.ts';
import { eventJson, recordJson } from '../emulator/event-sources/rabbitmq-event-body.ts';
import { startRabbitmqMapping } from '../emulator/event-sources/rabbitmq.ts';
import { writeBatch } from '../nodes/database/write-items.ts';
import { inParallel } from '../runtime/in-parallel.ts';
import { createLogger } from '../runtime/logger.ts';
import type { BrokerMessage } from '../runtime/rabbitmq.ts';
import { newTraceparent } from '../runtime/trace.ts';
import type { BenchSystem } from './bench-system.ts';
import { benchItem, pageMessage } from './item-messages.ts';

/** How the items of one measurement travel. */
export interface Shape {
  readonly items: number;
  readonly itemsPerPage: number;
  /** Items that one invocation, and so one request, carries. */
  readonly itemsPerBatch: number;
  readonly partitions?: number;
}
export const publishesInFlight = 200;
const batchesInFlight = 2; // As deliver has them.
const queue = 'bench-stage';

/** Items a second. */
export type StageRates = Readonly<
  Record<'publish' | 'event source' | 'invoke' | 'leader with database' | 'database', number>
>;

export async function measureStages(system: BenchSystem, shape: Shape, intake: number): Promise<StageRates> {
  const { items } = shape;
  const channel = await system.admin.createChannel();
  await channel.assertQueue(queue, { durable: true, arguments: { 'x-queue-type': 'quorum' } });
  try {
    const pages = pagesOf(shape, { intake, queue });
    const publish = await rate(items, () => publishAll(system, pages));
    const eventSource = await rate(items, () => drainIntoNothing(system, shape));
    const leader = await system.leader();
    return {
      publish,
      'event source': eventSource,
      invoke: await rate(items, () => invokeWithoutMessages(system, shape)),
      'leader with database': await rate(items, () => postBatches(system, leader, shape, intake + 1)),
      database: await rate(items, () => writeBatches(system, leader, shape, intake + 2)),
    };
  } finally {
    await channel.deleteQueue(queue);
    await channel.close();
  }
}
/** Intakes that one call of measureStages uses. */
export const intakesPerMeasure = 3;

/** Made before a clock runs: what it costs to make up items is no cost of the path. */
export function pagesOf(
  { items, itemsPerPage, partitions = 1 }: Shape,
  { intake, queue: into }: { intake: number; queue?: string },
): BrokerMessage[] {
  return Array.from({ length: items / itemsPerPage }, (_, page) => {
    const message = pageMessage({ intake, page, itemsPerPage, partitions });
    return into === undefined ? message : { ...message, exchange: '', routingKey: into };
  });
}

export async function publishAll(
  { publisher }: Pick<BenchSystem, 'publisher'>,
  messages: readonly BrokerMessage[],
): Promise<void> {
  await inParallel(messages, publishesInFlight, (message) => publisher.publish(message));
}

/** The mapping with a function that answers at once. */
async function drainIntoNothing(
  system: BenchSystem,
  { items, itemsPerPage, itemsPerBatch }: Shape,
): Promise<void> {
  const done = new AbortController();
  let left = items / itemsPerPage;
  const source = startRabbitmqMapping({
    mapping: {
      function: 'nothing',
      queue,
      batchSize: itemsPerBatch / itemsPerPage,
      windowMs: 0,
      functionTimeoutS: 60,
    },
    broker: system.broker,
    logger: createLogger({ process: 'bench', write: () => undefined }),
    openFeed: async (broker, about) => {
      const feed = await openQueueFeed(broker, about);
      return {
        ...feed,
        acknowledgeUpTo(delivery) {
          feed.acknowledgeUpTo(delivery);
          left = items / itemsPerPage - delivery.deliveryTag;
          if (left <= 0) done.abort();
        },
      };
    },
    invoke: {
      invoke: () => Promise.resolve({ kind: 'answered', payload: null }),
      sendEvent: () => Promise.resolve({ kind: 'answered', payload: null }),
      close: () => Promise.resolve(),
    },
  });
  await new Promise<void>((resolve) => {
    done.signal.addEventListener('abort', () => resolve());
  });
  await source.close();
}

/** Invoke API, Lambda host and function, with events as long as those of the path but of no queue: nothing is delivered. */
async function invokeWithoutMessages(
  system: BenchSystem,
  { items, itemsPerPage, itemsPerBatch }: Shape,
): Promise<void> {
  const message = pageMessage({ intake: 1, page: 1, itemsPerPage });
  const record = recordJson({
    content: Buffer.from(message.body),
    redelivered: false,
    properties: { ...message },
  });
  const padding = 'x'.repeat((record.length * itemsPerBatch) / itemsPerPage);
  const event = eventJson({ arn: padding, queue: 'none', vhost: '/' }, []);
  const invoke = createInvokeClient(system.running.ready.lambda);
  try {
    for (let sent = 0; sent < items; sent += itemsPerBatch) {
      const outcome = await invoke.invoke('deliver', event, { timeoutMs: 60_000 });
      if (outcome.kind !== 'answered') throw new Error(`invoking deliver: ${outcome.reason}`);
    }
  } finally {
    await invoke.close();
  }
}

async function postBatches(
  system: BenchSystem,
  { internalUrl }: { internalUrl: string },
  shape: Shape,
  intake: number,
): Promise<void> {
  await inParallel(batchesOf(shape, intake), batchesInFlight, async (items) => {
    await system.http.call(internalUrl, {
      method: 'POST',
      path: routes.batches,
      json: { items },
      timeoutMs: 30_000,
    });
  });
}

async function writeBatches(
  system: BenchSystem,
  { term }: { term: number },
  shape: Shape,
  intake: number,
): Promise<void> {
  await inParallel(batchesOf(shape, intake), batchesInFlight, async (items) => {
    await writeBatch(system.database, term, items);
  });
}

type Entry = BatchRequest['items'][number] & { item: Item };
function* batchesOf({ items, itemsPerBatch }: Shape, intake: number): Generator<Entry[]> {
  for (let first = 0; first < items; first += itemsPerBatch)
    yield Array.from({ length: itemsPerBatch }, (_, position) => entryOf(intake, first + position));
}
export function entryOf(intake: number, ordinal: number): Entry {
  return {
    messageId: `bench-${itemVersion({ intake, ordinal })}`,
    traceparent: newTraceparent(),
    item: benchItem({ intake, ordinal }),
  };
}

/** How many of these a second. */
export async function rate(count: number, work: () => Promise<void>): Promise<number> {
  const began = performance.now();
  await work();
  return count / ((performance.now() - began) / 1_000);
}
