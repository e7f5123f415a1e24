// Lambda handler on a schedule: crawls every source that is due, one after the other, inside its time budget.
// An event `{ "source": "name" }` crawls that source now, due or not. Keeps nothing between invocations.
import { readEnvironment } from '../../runtime/config.ts';
import { createLogger } from '../../runtime/logger.ts';
import { createSecrets } from '../../runtime/secrets.ts';
import { ftpAddressOf } from '../ftp-address.ts';
import { ownerOf, remainingMs, type LambdaContext } from '../lambda-context.ts';
import { lazyBroker } from '../lazy-broker.ts';
import { LeaderClient } from '../leader-client.ts';
import { crawlNext, type CrawlOutcome } from './crawl.ts';
import { depositFile, type Deposit } from './deposit.ts';
import { createPageFetcher } from './fetch-page.ts';

const environment = readEnvironment('scraper', process.env);
const secrets = createSecrets();
const logger = createLogger({ process: 'scraper' });
const leader = new LeaderClient(environment, secrets);

const budgetMsDefault = 60_000; // Where the caller states no remaining time.
const marginMs = 2_000; // Left for the answer itself.
const startMs = 20_000; // With less time left, another crawl would be taken up only to be paused.
const crawlsMax = 100; // In one invocation, so that a source that is due again at once cannot hold it.

const ftp = ftpAddressOf(environment, secrets);

/** Answers what was crawled and how each crawl ended. Throws only when it could not even begin. */
export const handler = async (
  event: unknown,
  context: LambdaContext,
): Promise<{ crawls: readonly CrawlOutcome[] }> => {
  const deadline = performance.now() + remainingMs(context, { elseMs: budgetMsDefault }) - marginMs;
  const broker = lazyBroker(environment, { secrets, logger, name: 'scraper' });
  const fetcher = createPageFetcher({
    privateHosts: environment.BATON_SCRAPE_PRIVATE_HOSTS,
    contact: environment.BATON_SCRAPE_CONTACT,
  });
  const source = requestedSource(event);
  const crawls: CrawlOutcome[] = [];
  try {
    const ports = {
      leader,
      broker: await broker.open(),
      fetcher,
      logger,
      deposit: (file: Deposit) => depositFile(ftp, file),
    };
    const owner = ownerOf('scraper', context);
    do {
      const outcome = await crawlNext(ports, {
        owner,
        deadline,
        source,
        itemPartitions: environment.BATON_ITEM_PARTITIONS,
      });
      if (outcome.kind === 'idle') break;
      crawls.push(outcome);
      if (outcome.kind === 'lost' || source !== undefined) break;
      // A pause means that something beyond this source is full, away or out of time, unless its shop sent us away.
      if (outcome.kind === 'paused' && outcome.waitMs === 0) break;
    } while (crawls.length < crawlsMax && performance.now() < deadline - startMs);
    return { crawls };
  } finally {
    await fetcher.close();
    await broker.close();
  }
};

function requestedSource(event: unknown): string | undefined {
  return typeof event === 'object' &&
    event !== null &&
    'source' in event &&
    typeof event.source === 'string' &&
    // EventBridge's own events name their origin in this very field.
    !event.source.startsWith('aws.')
    ? event.source
    : undefined;
}
