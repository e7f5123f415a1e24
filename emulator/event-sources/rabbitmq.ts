// Amazon MQ for RabbitMQ -> Lambda: one mapping from one queue to one function, after AWS's rules: one execution at a
// time, a batch size and window, 6 MB an invocation, and on a function error the whole batch again. It never looks
// into a message. Source: https://docs.aws.amazon.com/lambda/latest/dg/with-mq.html
//
// What AWS does after failed invocations its documents leave open. Here the batch stays unacknowledged and is invoked
// again, with growing pauses and without end; with `triesMax` it goes back to its queue after so many, where the
// queue's delivery limit counts it.
import { vhostOf, type BrokerAddress } from '../../runtime/amqps.ts';
import { describeError } from '../../runtime/failure.ts';
import type { Logger } from '../../runtime/logger.ts';
import { backOffMs, pause, type BackOff } from '../../runtime/waiting.ts';
import { accountId } from '../local-aws.ts';
import { requestBytesMax } from '../lambda/limits.ts';
import { type InvokeClient, type InvokeOutcome } from './invoke-client.ts';
import { openQueueFeed, type Delivery, type QueueFeed } from './rabbitmq-feed.ts';
import { eventJson, recordsThatFit, type EventOrigin } from './rabbitmq-event-body.ts';

export interface RabbitmqMapping {
  readonly function: string;
  readonly queue: string;
  /** 1 to 10,000 */
  readonly batchSize: number;
  /** 0 to 300,000. With 0 a batch is what has arrived while the one before ran: no timer adds to the delay. */
  readonly windowMs: number;
  readonly functionTimeoutS: number;
  /** Undefined: without end. */
  readonly triesMax?: number | undefined;
}
export interface MappingCounts {
  readonly invocations: number;
  /** Number of messages that a function has handled. */
  readonly handled: number;
  readonly failures: number;
  readonly refused: number;
}
export interface EventSource {
  readonly name: string;
  counts(): MappingCounts;
  /** Lets a running invocation end for a moment; what is not acknowledged goes back to the queue. */
  close(): Promise<void>;
}

const brokerArn = `arn:aws:mq:local:${accountId}:broker:baton:b-00000000-0000-0000-0000-000000000000`;
const connectBackOff: BackOff = { firstMs: 100, msMax: 3_000 };
const retryBackOff: BackOff = { firstMs: 200, msMax: 15_000 };
/** A second batch waits in memory while the first runs; more would only be taken from other consumers. */
const prefetchBatches = 2;
const prefetchMax = 20_000;
const answerMarginMs = 40_000; // For a cold start and a place in the host's queue, beside the function's own time.
const closeGraceMs = 2_000;

export function startRabbitmqMapping({
  mapping,
  broker,
  invoke,
  logger,
  backOff = retryBackOff,
  openFeed = openQueueFeed,
}: {
  mapping: RabbitmqMapping;
  broker: BrokerAddress;
  invoke: InvokeClient;
  logger: Logger;
  backOff?: BackOff;
  /** Tests put a queue of their own here. */
  openFeed?: typeof openQueueFeed;
}): EventSource {
  const origin: EventOrigin = { arn: brokerArn, queue: mapping.queue, vhost: vhostOf(broker.url) };
  const name = `${mapping.queue} -> ${mapping.function}`;
  const counts = { invocations: 0, handled: 0, failures: 0, refused: 0 };
  /** No new batch. */
  const stopping = new AbortController();
  /** Not even the running one. */
  const cut = new AbortController();
  const running = run();

  async function run(): Promise<void> {
    for (let tries = 0; !stopping.signal.aborted;) {
      let feed: QueueFeed | undefined;
      try {
        feed = await openFeed(broker, {
          queue: mapping.queue,
          prefetch: Math.min(prefetchMax, mapping.batchSize * prefetchBatches),
          onProblem: (error) => logger.warn(`${name}: ${describeError(error)}`),
        });
        logger.info(`${name}: consuming`);
        tries = 0;
        await consume(feed);
      } catch (error) {
        tries++;
        logger.warn(`${name}: no consumer: ${describeError(error)}`);
      } finally {
        await feed?.close();
      }
      await pause(backOffMs(connectBackOff, Math.max(1, tries)), stopping.signal);
    }
  }

  async function consume(feed: QueueFeed): Promise<void> {
    for (;;) {
      const batch = await nextBatch(feed);
      if (batch.length === 0) return;
      await handle(feed, batch);
    }
  }

  /** Empty when the feed is gone or the mapping stops. */
  async function nextBatch(feed: QueueFeed): Promise<Delivery[]> {
    let dueAt: number | undefined;
    for (;;) {
      if (feed.gone.aborted || stopping.signal.aborted) return [];
      if (feed.buffer.length === 0) {
        dueAt = undefined;
        await feed.changed(60_000, stopping.signal);
        continue;
      }
      dueAt ??= performance.now() + mapping.windowMs;
      const count = recordsThatFit(
        origin,
        feed.buffer.map(({ bytes }) => bytes),
        { bytesMax: requestBytesMax, countMax: mapping.batchSize },
      );
      if (count === 0) {
        refuseFirst(feed);
        continue;
      }
      const waitMs = dueAt - performance.now();
      if (count === mapping.batchSize || count < feed.buffer.length || waitMs <= 0)
        return feed.buffer.splice(0, count);
      await feed.changed(waitMs, stopping.signal);
    }
  }

  /** AWS drops what no invocation can carry. Here it goes where the queue sends its dead letters, and is not lost. */
  function refuseFirst(feed: QueueFeed): void {
    const delivery = feed.buffer.shift();
    if (!delivery) return;
    counts.refused++;
    feed.refuse(delivery);
    const reason = `${delivery.bytes} bytes as an event, Lambda takes ${requestBytesMax}`;
    logger.emit({
      type: 'message.dead-lettered',
      queue: mapping.queue,
      messageId: delivery.messageId ?? '(none)',
      code: 'MESSAGE_TOO_LARGE',
      reason,
    });
  }

  async function handle(feed: QueueFeed, batch: readonly Delivery[]): Promise<void> {
    const last = batch.at(-1);
    if (!last) return;
    const event = eventJson(
      origin,
      batch.map(({ json }) => json),
    );
    const over = AbortSignal.any([feed.gone, stopping.signal]);
    for (let failures = 0, tries = 1; ; tries++) {
      // One execution at a time: even when the broker is gone, the running one is waited for.
      const outcome: InvokeOutcome = await invoke.invoke(mapping.function, event, {
        timeoutMs: mapping.functionTimeoutS * 1000 + answerMarginMs,
        signal: cut.signal,
      });
      counts.invocations++;
      if (outcome.kind === 'answered') {
        counts.handled += batch.length;
        feed.acknowledgeUpTo(last);
        return;
      }
      counts.failures++;
      if (over.aborted) return;
      const pauseMs = backOffMs(backOff, tries);
      logger.warn(
        `${name}: try ${tries} of ${batch.length} message(s) failed, again in ${pauseMs} ms: ${outcome.reason}`,
      );
      if (outcome.kind === 'function-error' && ++failures === mapping.triesMax) {
        feed.giveBack(batch);
        await pause(pauseMs, over);
        return;
      }
      await pause(pauseMs, over);
      if (over.aborted) return;
    }
  }

  return {
    name,
    counts: () => ({ ...counts }),
    async close() {
      stopping.abort();
      const timer = setTimeout(() => cut.abort(), closeGraceMs);
      await running;
      clearTimeout(timer);
    },
  };
}
