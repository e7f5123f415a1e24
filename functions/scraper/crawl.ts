// One crawl of one source: lease, pages, messages for what changed, state kept at the leader, the crawl file at
// the end. Everything outside comes in as ports. A page that fails never ends a crawl; a lost lease does.
import { crawlFileName } from '../../contracts/file.ts';
import {
  crawlLeaseSchema,
  routes,
  packedStateLengthMax,
  type CrawlUpdate,
} from '../../contracts/node-api.ts';
import type { ShopSource } from '../../contracts/source.ts';
import type { ItemContent } from '../../contracts/item.ts';
import { itemQueueNames } from '../../contracts/item-partitions.ts';
import { scraperPausesAtDepth } from '../../contracts/topology.ts';
import { describeError, Failure } from '../../runtime/failure.ts';
import type { Logger } from '../../runtime/logger.ts';
import type { BrokerClient } from '../../runtime/rabbitmq.ts';
import { childTraceparent, newTraceparent } from '../../runtime/trace.ts';
import type { LeaderClient } from '../leader-client.ts';
import { createEventReporter } from '../report-events.ts';
import { CrawlProgress, newRecord, type Entry, type UnpackedLease } from './crawl-progress.ts';
import { extractItems } from './extract-items.ts';
import type { PageFetcher } from './fetch-page.ts';
import { packState, unpackState } from './pack-state.ts';
import { Pause } from './pause.ts';
import { createPoliteSite } from './polite-site.ts';
import { createPublisher, splitItems } from './publish-pages.ts';

export interface CrawlPorts {
  readonly leader: Pick<LeaderClient, 'call'>;
  readonly broker: Pick<BrokerClient, 'publish' | 'depth'>;
  readonly fetcher: PageFetcher;
  readonly deposit: (file: { name: string; bytes: Buffer }) => Promise<void>;
  readonly logger: Logger;
}
export interface CrawlSettings {
  readonly owner: string;
  /** performance.now() by which everything has to be stored. */
  readonly deadline: number;
  readonly source?: string | undefined;
  /** Of the queue `items`. */
  readonly itemPartitions?: number;
}
export type CrawlOutcome =
  | { readonly kind: 'idle' }
  | {
      /** `lost`: the lease is another's, or nobody could be told; the stored state is what goes on. */
      readonly kind: 'finished' | 'paused' | 'lost';
      readonly source: string;
      readonly intake: number;
      readonly reason: string | undefined;
      /** The shop wants to be left alone for so long; 0 when it is not the shop that made it pause. */
      readonly waitMs: number;
      readonly counts: CrawlUpdate['counts'];
    };

const leaseMs = 60_000;
const renewEveryMs = 15_000; // Three times may fail before another takes over.
const storeEveryMsMin = 10_000;
const storeEveryMsMax = 40_000;
const callMs = 15_000;
/** Kept back for the last time, and for the crawl file. */
const reserveMs = 8_000;

/** Takes the next crawl that is due and works on it until it is finished, has to pause, or is lost. */
export async function crawlNext(ports: CrawlPorts, settings: CrawlSettings): Promise<CrawlOutcome> {
  const { owner, source, deadline } = settings;
  const answer = await ports.leader.call(
    {
      method: 'POST',
      path: routes.crawls,
      json: { owner, leaseMs, ...(source === undefined ? {} : { source }) },
      timeoutMs: callMs,
    },
    { deadline: Math.min(deadline, performance.now() + callMs) },
  );
  if (answer.status === 204 || answer.json === undefined) return { kind: 'idle' };
  const lease = crawlLeaseSchema.parse(answer.json);
  const state = lease.state === null ? null : await unpackState(lease.state);
  return await crawl(ports, settings, { ...lease, state });
}

async function crawl(
  ports: CrawlPorts,
  settings: CrawlSettings,
  lease: UnpackedLease,
): Promise<CrawlOutcome> {
  const { source, intake } = lease;
  const { leader, broker, logger } = ports;
  const { itemPartitions = 1 } = settings;
  const trace = newTraceparent();
  const deadline = settings.deadline - reserveMs;
  const progress = new CrawlProgress(lease);
  const site = createPoliteSite({
    fetcher: ports.fetcher,
    requestEveryMs: source.requestEveryMs,
    deadline,
  });
  const publisher = createPublisher({ broker, source: source.name, intake, trace, deadline, logger });
  const events = createEventReporter(ports);
  let storedAt = -Infinity;
  let storeEveryMs = storeEveryMsMin;
  let lost: Failure | undefined;

  async function update(change: Partial<CrawlUpdate> & Pick<CrawlUpdate, 'status'>): Promise<void> {
    await leader.call(
      {
        method: 'PUT',
        path: routes.crawl(lease.crawlId),
        json: {
          owner: settings.owner,
          leaseMs,
          counts: progress.counts,
          ...change,
        } satisfies CrawlUpdate,
        timeoutMs: callMs,
        traceparent: childTraceparent(trace),
      },
      { deadline: performance.now() + callMs },
    );
  }
  async function store(
    status: CrawlUpdate['status'],
    why: Pick<CrawlUpdate, 'reason' | 'waitMs'> = {},
  ): Promise<void> {
    const startedAt = performance.now();
    const state = {
      running: () => progress.running(),
      paused: () => progress.paused(),
      finished: () => progress.finished(),
    }[status]();
    let packed = await packState(state);
    progress.measured({ packed: packed.sent.zstd.length, plain: packed.length });
    if (packed.sent.zstd.length > packedStateLengthMax) {
      // No page leads so far beyond the limit by itself. The contents are what must not be lost: versions follow from them.
      const incomplete = `the limit of ${packedStateLengthMax} bytes of packed state`;
      packed = await packState({ ...state, incomplete, frontier: [], pages: newRecord() });
    }
    // A large shop takes a second or more, so it is stored less often; the lease is renewed beside that.
    storeEveryMs = Math.min(storeEveryMsMax, Math.max(storeEveryMsMin, 10 * (performance.now() - startedAt)));
    await update({ status, state: packed.sent, ...why });
    storedAt = performance.now();
    await events.report();
  }
  async function renew(): Promise<void> {
    try {
      await update({ status: 'running' });
    } catch (error) {
      if (error instanceof Failure && error.code === 'LEASE_LOST') lost = error;
      else logger.warn(`renewing the lease of ${source.name} failed: ${describeError(error)}`);
    }
  }

  async function crawlPages(): Promise<void> {
    for (;;) {
      if (lost) throw lost;
      // At first too, so that the ordinals about to be used are reserved. And before the next page is chosen: what is stored may
      // have become too much to learn more pages.
      if (progress.isCareful || progress.mustStore || performance.now() - storedAt > storeEveryMs)
        await store('running');
      const entry = progress.next();
      if (!entry) return;
      if (performance.now() > deadline)
        throw new Pause('the time of this run is over', site.waitMs(entry.url));
      await waitForRoom(broker, itemPartitions);
      if (progress.isDeadly(entry)) failPage(entry, 'every run that read it ended without a word');
      else await readPage(entry);
      progress.done(entry);
    }
  }

  /** @throws Pause when the page has to stay in the frontier. */
  async function readPage(entry: Entry): Promise<void> {
    const { url, depth } = entry;
    const known = progress.known(url);
    const answer = await site.visit({ url, validators: progress.validators(url) });
    const fetchedAt = new Date().toISOString();
    switch (answer.kind) {
      case 'postponed':
        throw new Pause(answer.reason, answer.waitMs);
      case 'sent-away':
        if (progress.mayWait(entry)) throw new Pause(answer.reason, answer.waitMs);
        failPage(entry, answer.reason);
        return;
      case 'gone':
        logger.info(`${url} is gone: ${answer.reason}`);
        progress.forget(url);
        return;
      case 'refused':
      case 'failed':
        failPage(entry, answer.reason);
        return;
      case 'not-modified':
        progress.counts.notModified++;
        progress.keep(url);
        if (known) progress.enqueue(known, depth + 1, url);
        return;
      case 'page': {
        progress.counts.pages++;
        const page = extractPage(answer.body, answer.url, source);
        if (typeof page === 'string') {
          failPage(entry, page);
          return;
        }
        const problems = [...(answer.note === undefined ? [] : [answer.note]), ...page.problems];
        if (problems.length > 0) logger.warn(`${url} was read with problems`, { problems });
        await publishChanged(answer.url, fetchedAt, page.items);
        // An item that broke its schema today has not vanished.
        const kept = page.problems.length > 0 ? (known?.skus ?? []) : [];
        const skus = [...new Set([...page.items.map(({ sku }) => sku), ...kept])];
        progress.keepAs(url, {
          ...answer.validators,
          skus,
          links: [...page.links],
          next: page.next,
          ...(page.cut === null ? {} : { cut: page.cut }),
        });
        progress.enqueue(page, depth + 1, answer.url);
        return;
      }
    }
  }

  /** Its known neighbours are read all the same. */
  function failPage({ url, depth }: Entry, reason: string): void {
    progress.counts.failedPages++;
    logger.emit({ type: 'page.failed', source: source.name, url: url.slice(0, 2_000), reason });
    progress.keep(url);
    const known = progress.known(url);
    if (known) progress.enqueue(known, depth + 1, url);
  }

  async function publishChanged(
    url: string,
    fetchedAt: string,
    items: readonly ItemContent[],
  ): Promise<void> {
    const parts = splitItems(progress.changed(items), { source: source.name, partitions: itemPartitions });
    for (const { partition, items: part } of parts) {
      if (progress.mustStore) await store('running');
      const message = progress.number(part);
      await publisher.publishPage({
        page: message.page,
        partition,
        url,
        fetchedAt,
        items: message.items.map(({ content, version }) => progress.toItem(content, version)),
      });
      progress.published(message.items);
    }
  }

  async function finish(): Promise<void> {
    if (progress.incomplete !== undefined)
      logger.warn(`${source.name} was not crawled whole: ${progress.incomplete}; nothing counts as vanished`);
    // With nothing left to read, so that whoever goes on after a death here deposits the same file, not what it reads anew;
    // and whose lease is lost deposits none.
    await store('running');
    const snapshot = progress.snapshot();
    // An empty one would make every item vanish, and is a broken shop or selector far more often than a sale.
    if (snapshot === '') logger.warn(`${source.name} showed no item at all; no crawl file is deposited`);
    else await deposit(crawlFileName({ source: source.name, intake }), snapshot);
    await store('finished', progress.incomplete === undefined ? {} : { reason: progress.incomplete });
  }

  async function deposit(name: string, snapshot: string): Promise<void> {
    try {
      await ports.deposit({ name, bytes: Buffer.from(snapshot) });
    } catch (error) {
      throw new Pause(`the crawl file could not be deposited: ${describeError(error)}`);
    }
    await publisher.publishDeposited(name);
  }

  const outcome = (kind: 'finished' | 'paused' | 'lost', reason?: string, waitMs = 0): CrawlOutcome => {
    const { counts } = progress;
    logger.emit({
      type: 'crawl.changed',
      source: source.name,
      intake,
      status: kind === 'lost' ? 'failed' : kind,
      pages: counts.pages,
      itemsSeen: counts.itemsSeen,
      itemsPublished: counts.itemsPublished,
      reason: reason ?? null,
    });
    return { kind, source: source.name, intake, reason, waitMs, counts };
  };
  let renewing = false;
  const renewal = setInterval(() => {
    if (renewing) return;
    renewing = true;
    void renew().finally(() => (renewing = false));
  }, renewEveryMs);
  try {
    try {
      await crawlPages();
      await finish();
      return outcome('finished', progress.incomplete);
    } catch (error) {
      if (!(error instanceof Pause)) throw error;
      const { waitMs } = error;
      await store('paused', { reason: error.message.slice(0, 1_000), ...(waitMs > 0 ? { waitMs } : {}) });
      return outcome('paused', error.message, waitMs);
    }
  } catch (error) {
    if (error instanceof Failure) return outcome('lost', describeError(error));
    throw error;
  } finally {
    clearInterval(renewal);
    await events.close();
  }
}

/** The sum counts: behind all partitions is the same leader. */
async function waitForRoom(broker: CrawlPorts['broker'], itemPartitions: number): Promise<void> {
  let depths: number[];
  try {
    depths = await Promise.all(itemQueueNames(itemPartitions).map((name) => broker.depth(name)));
  } catch (error) {
    throw new Pause(`the depth of items cannot be read: ${describeError(error)}`);
  }
  const depth = depths.reduce((sum, one) => sum + one, 0);
  if (depth > scraperPausesAtDepth)
    throw new Pause(`${depth} messages wait in items, more than ${scraperPausesAtDepth}`);
}

/** A page so deep or odd that reading it throws is a page that failed. */
function extractPage(html: string, url: string, source: ShopSource) {
  try {
    return extractItems({ html, url, source });
  } catch (error) {
    return `cannot be read: ${describeError(error)}`;
  }
}
