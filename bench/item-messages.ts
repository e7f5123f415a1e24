// The messages that benchmarks send: pages of made-up items, as the scraper publishes them.
import { createHash } from 'node:crypto';
import { itemVersion, pageMessageIdInput } from '../contracts/ids.ts';
import { itemPageType, itemPageVersion } from '../contracts/item-page.ts';
import { itemPartitionOf } from '../contracts/item-partitions.ts';
import { exchanges, routingKeys } from '../contracts/topology.ts';
import type { Item } from '../contracts/item.ts';
import type { BrokerMessage } from '../runtime/rabbitmq.ts';
import { newTraceparent } from '../runtime/trace.ts';

export const benchSource = 'bench';

/** An item of a page; every intake gives every item a newer version with another price. */
export function benchItem({ intake, ordinal }: { intake: number; ordinal: number }): Item {
  return {
    source: benchSource,
    sku: `sku-${ordinal}`,
    title: `Article ${ordinal}, in a title of the usual length`,
    url: `https://shop.example/p/${ordinal}`,
    imageUrl: null,
    price: intake + (ordinal % 100),
    currency: 'EUR',
    inStock: true,
    stock: ordinal % 50,
    vanished: false,
    version: itemVersion({ intake, ordinal }),
  };
}

export function pageMessage({
  intake,
  page,
  itemsPerPage,
  partitions = 1,
}: {
  intake: number;
  page: number;
  itemsPerPage: number;
  /** With more than one, a page holds one item. */
  partitions?: number;
}): BrokerMessage {
  const items = Array.from({ length: itemsPerPage }, (_, position) =>
    benchItem({ intake, ordinal: page * itemsPerPage + position }),
  );
  const source = benchSource;
  const partition = itemPartitionOf({ source, sku: items[0]?.sku ?? '' }, partitions);
  return {
    exchange: exchanges.main.name,
    routingKey: routingKeys.items(source, partition),
    type: itemPageType,
    messageId: createHash('sha256').update(pageMessageIdInput({ source, intake, page })).digest('hex'),
    body: JSON.stringify({
      version: itemPageVersion,
      source,
      intake,
      page,
      url: `https://shop.example/list/${page}`,
      fetchedAt: new Date().toISOString(),
      traceparent: newTraceparent(),
      items,
    }),
  };
}
