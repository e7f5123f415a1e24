// What a crawl says over RabbitMQ: a message for each page with its changed items, split by partition and where it grows too
// large, and one when its file is deposited. Confirmed, and repeated under the same id while the run has time.
import { hash } from 'node:crypto';
import { fileCommandType, fileCommandVersion, type FileCommand } from '../../contracts/file-command.ts';
import { pageMessageIdInput } from '../../contracts/ids.ts';
import {
  itemPageFilledBytesMax,
  itemPageType,
  itemPageVersion,
  itemsPerPageMax,
  type ItemPage,
} from '../../contracts/item-page.ts';
import { itemPartitionOf } from '../../contracts/item-partitions.ts';
import type { Item, ItemContent } from '../../contracts/item.ts';
import { exchanges, messageHeaders, routingKeys } from '../../contracts/topology.ts';
import { describeError } from '../../runtime/failure.ts';
import type { Logger } from '../../runtime/logger.ts';
import type { BrokerClient } from '../../runtime/rabbitmq.ts';
import { childTraceparent } from '../../runtime/trace.ts';
import { backOffMs, pause } from '../../runtime/waiting.ts';
import { CrawlPaused } from './crawl-paused.ts';

export interface PublisherOptions {
  readonly broker: Pick<BrokerClient, 'publish'>;
  readonly source: string;
  readonly intake: number;
  /** traceparent of the crawl; each message gets a child of it. */
  readonly trace: string;
  /** performance.now() by which every try ends. */
  readonly deadline: number;
  readonly logger: Logger;
}

const publishMs = 10_000;
const publishTries = 3;
const publishBackOff = { firstMs: 400, msMax: 800 };

export function createPublisher({ broker, source, intake, trace, deadline, logger }: PublisherOptions) {
  /** @throws CrawlPaused when the broker does not take it, or the time is over. */
  async function publish(message: {
    routingKey: string;
    type: string;
    messageId: string;
    body: ItemPage | FileCommand;
  }): Promise<void> {
    for (let attempt = 1; ; attempt++) {
      const leftMs = deadline - performance.now();
      if (leftMs <= 0) throw new CrawlPaused('the time of this run is over');
      try {
        await broker.publish(
          {
            ...message,
            exchange: exchanges.main.name,
            body: JSON.stringify(message.body),
            headers: {
              [messageHeaders.traceparent]: message.body.traceparent,
              [messageHeaders.publishedAt]: Date.now(),
            },
          },
          { timeoutMs: Math.min(publishMs, leftMs) },
        );
        return;
      } catch (error) {
        // The same message id for every try: one whose confirm was lost may have arrived.
        logger.warn(`publishing ${message.messageId} failed, try ${attempt}: ${describeError(error)}`);
        const pauseMs = backOffMs(publishBackOff, attempt);
        if (attempt >= publishTries || performance.now() + pauseMs >= deadline)
          throw new CrawlPaused(`the broker does not take messages: ${describeError(error)}`);
        await pause(pauseMs);
      }
    }
  }

  return {
    async publishPage({
      page,
      partition,
      url,
      fetchedAt,
      items,
    }: {
      page: number;
      /** Partition of all its items. */
      partition: number;
      url: string;
      fetchedAt: string;
      items: Item[];
    }): Promise<void> {
      await publish({
        routingKey: routingKeys.items(source, partition),
        type: itemPageType,
        messageId: hash('sha256', pageMessageIdInput({ source, intake, page })),
        body: {
          version: itemPageVersion,
          source,
          intake,
          page,
          url: url.slice(0, 2_000),
          fetchedAt,
          traceparent: childTraceparent(trace),
          items,
        },
      });
    },
    async publishDeposited(name: string): Promise<void> {
      await publish({
        routingKey: routingKeys.files('deposited'),
        type: fileCommandType,
        messageId: hash('sha256', `deposited\n${name}`),
        body: {
          version: fileCommandVersion,
          traceparent: childTraceparent(trace),
          kind: 'deposited',
          name,
        },
      });
    },
  };
}
export type Publisher = ReturnType<typeof createPublisher>;

/** Parts that fit into a message each, their items of one partition. */
export function* splitItems(
  items: readonly ItemContent[],
  { source, partitions }: { source: string; partitions: number },
): Generator<{ partition: number; items: ItemContent[] }> {
  const byPartition = Map.groupBy(items, ({ sku }) => itemPartitionOf({ source, sku }, partitions));
  for (const [partition, some] of byPartition)
    for (const part of fitting(some)) yield { partition, items: part };
}

function* fitting(items: readonly ItemContent[]): Generator<ItemContent[]> {
  let part: ItemContent[] = [];
  let bytes = 0;
  for (const item of items) {
    const size = Buffer.byteLength(JSON.stringify(item)) + 200;
    if (part.length > 0 && (part.length >= itemsPerPageMax || bytes + size > itemPageFilledBytesMax)) {
      yield part;
      part = [];
      bytes = 0;
    }
    part.push(item);
    bytes += size;
  }
  if (part.length > 0) yield part;
}
