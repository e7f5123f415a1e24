// A page of items said over RabbitMQ as a crawl says it, without a crawl: whatever becomes of it is what the test asks for.
import { readFile } from 'node:fs/promises';
import { join } from 'node:path';
import type { Item } from '../../contracts/item.ts';
import { createPublisher } from '../../functions/scraper/publish-pages.ts';
import { createLogger } from '../../runtime/logger.ts';
import { connectBroker, type BrokerClient } from '../../runtime/rabbitmq.ts';
import { newTraceparent } from '../../runtime/trace.ts';
import type { RunningSystem } from './running-system.ts';

const logger = createLogger({ process: 'test', write: () => undefined });

const withinMs = 10_000;

/** Confirmed. @returns when the page was fetched. @throws CrawlPaused when the broker does not take it. */
export async function publishPage(
  broker: Pick<BrokerClient, 'publish'>,
  {
    items,
    intake = 1,
    page = 0,
    partition = 0,
    url = 'https://shop.example/',
    trace = newTraceparent(),
  }: {
    /** Of one source. */
    items: readonly [Item, ...Item[]];
    intake?: number;
    /** With source and intake it makes the id of the message. */
    page?: number;
    partition?: number;
    url?: string;
    trace?: string;
  },
): Promise<string> {
  const fetchedAt = new Date().toISOString();
  const [{ source }] = items;
  const publisher = createPublisher({
    broker,
    source,
    intake,
    trace,
    deadline: performance.now() + withinMs,
    logger,
  });
  await publisher.publishPage({ page, partition, url, fetchedAt, items: [...items] });
  return fetchedAt;
}

/**
 * A source whose items are published by hand: the leader takes those of intakes that it has handed out, and these are.
 * Entered again, it stays as it is.
 */
export async function enterSourceByHand(
  system: Pick<RunningSystem, 'change' | 'query'>,
  name: string,
  intakes = 1,
): Promise<void> {
  await system.change('PUT', `/sources/${name}`, { kind: 'partner', name });
  await system.query(
    `UPDATE sources SET last_intake = greatest(last_intake, ${intakes}) WHERE name = '${name}'`,
  );
}

/** As whoever may publish and consume. */
export async function connectToBrokerOf(system: RunningSystem): Promise<BrokerClient> {
  const { services } = await system.status();
  return connectBroker({
    url: services.find(({ kind }) => kind === 'broker')?.address ?? '',
    credentials: () => system.secret('broker.json'),
    ca: await readFile(join(system.folder, '.baton', 'tls', 'ca.pem'), 'utf8'),
    name: 'test',
  });
}
