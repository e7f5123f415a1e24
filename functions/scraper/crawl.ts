// One crawl of one source: lease, pages, messages for what changed, state kept at the leader, the crawl file at
// the end. Everything outside comes in as ports. A page that fails never ends a crawl; a lost lease does.
import { detailText } from '../../contracts/event.ts';
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
import { oneAtATime } from '../../runtime/one-at-a-time.ts';
import type { BrokerClient } from '../../runtime/rabbitmq.ts';
import { childTraceparent, newTraceparent } from '../../runtime/trace.ts';
import type { LeaderClient } from '../leader-client.ts';
import { createEventReporter, type EventReporter } from '../report-events.ts';
import { CrawlPaused } from './crawl-paused.ts';
import { CrawlProgress, newRecord, type Entry, type UnpackedLease } from './crawl-progress.ts';
import { extractItems, unansweredWords } from './extract-items.ts';
import type { Deposit } from './deposit.ts';
import type { PageFetcher } from './fetch-page.ts';
import { packState, unpackState } from './pack-state.ts';
import { createPoliteSite, type PoliteSite, type Visited } from './polite-site.ts';
import { createPublisher, splitItems, type Publisher } from './publish-pages.ts';

export interface CrawlPorts {
  readonly leader: Pick<LeaderClient, 'call'>;
  readonly broker: Pick<BrokerClient, 'publish' | 'depth'>;
  readonly fetcher: PageFetcher;
  readonly deposit: (file: Deposit) => Promise<void>;
  readonly logger: Logger;
}
export interface CrawlSettings {
  readonly owner: string;
  /** performance.now() by which everything has to be stored. */
  readonly deadline: number;
  readonly source?: string | undefined;
  /** Number of partitions of the queue `items`. */
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
      /** How long the shop wants to be left alone; 0 when it is not the shop that made it pause. */
      readonly waitMs: number;
      readonly counts: CrawlUpdate['counts'];
    };

const leaseMs = 60_000;
const renewEveryMs = 15_000; // Three times may fail before another takes over.
const storeEveryMsMin = 10_000;
const storeEveryMsMax = 40_000;
const callMs = 15_000;
// Each request, message and upload ends by its time before the end of the run: a run that is killed on the way keeps its lease
// from others and forgets what it published since the last store.
const readReserveMs = 10_000;
const storeReserveMs = 5_000;

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
  return await new Crawl(ports, settings, { ...lease, state }).run();
}

/** One run of a crawl, under its lease. */
class Crawl {
  readonly #ports: CrawlPorts;
  readonly #settings: CrawlSettings;
  readonly #crawlId: string;
  readonly #source: ShopSource;
  readonly #intake: number;
  readonly #readUntil: number;
  readonly #sendUntil: number;
  readonly #trace = newTraceparent();
  readonly #progress: CrawlProgress;
  readonly #site: PoliteSite;
  readonly #publisher: Publisher;
  readonly #events: EventReporter;
  #storedAt = -Infinity;
  #storeEveryMs = storeEveryMsMin;
  #lost: Failure | undefined;
  /** What went wrong with a page, the first of each kind: it could not be read, not as it should be, or led to nothing. */
  readonly #first: { failure?: string; flaw?: string; barren?: string } = {};

  constructor(ports: CrawlPorts, settings: CrawlSettings, lease: UnpackedLease) {
    const { crawlId, source, intake } = lease;
    this.#ports = ports;
    this.#settings = settings;
    this.#crawlId = crawlId;
    this.#source = source;
    this.#intake = intake;
    this.#readUntil = settings.deadline - readReserveMs;
    this.#sendUntil = settings.deadline - storeReserveMs;
    this.#progress = new CrawlProgress(lease);
    this.#site = createPoliteSite({
      fetcher: ports.fetcher,
      requestEveryMs: source.requestEveryMs,
      deadline: this.#readUntil,
    });
    this.#publisher = createPublisher({
      broker: ports.broker,
      source: source.name,
      intake,
      trace: this.#trace,
      deadline: this.#sendUntil,
      logger: ports.logger,
    });
    this.#events = createEventReporter(ports);
  }

  /** Once. @throws what is no Failure: a promise of ours that was broken. */
  async run(): Promise<CrawlOutcome> {
    const renew = oneAtATime(() => this.#renew());
    const renewal = setInterval(() => void renew(), renewEveryMs);
    try {
      return await this.#finishOrPause();
    } catch (error) {
      if (error instanceof Failure) return this.#end('lost', { reason: describeError(error) });
      throw error;
    } finally {
      clearInterval(renewal);
      await this.#events.close();
    }
  }

  async #finishOrPause(): Promise<CrawlOutcome> {
    try {
      await this.#readPages();
      await this.#finish();
      return this.#end('finished', { reason: this.#progress.incomplete });
    } catch (error) {
      if (!(error instanceof CrawlPaused)) throw error;
      const { message: reason, waitMs } = error;
      await this.#store('paused', { reason: reason.slice(0, 1_000), ...(waitMs > 0 ? { waitMs } : {}) });
      return this.#end('paused', { reason, waitMs });
    }
  }

  async #readPages(): Promise<void> {
    const progress = this.#progress;
    for (;;) {
      if (this.#lost) throw this.#lost;
      // At first too, so that the ordinals about to be used are reserved. And before the next page is chosen: what is stored
      // may have become too much to learn more pages.
      const isDue = performance.now() - this.#storedAt > this.#storeEveryMs;
      if (isDue || progress.mustStore || progress.isCareful) await this.#store('running');
      const entry = progress.next();
      if (!entry) return;
      if (performance.now() > this.#readUntil)
        throw new CrawlPaused('the time of this run is over', this.#site.waitMs(entry.url));
      await waitForRoom(this.#ports.broker, this.#partitions);
      if (progress.isDeadly(entry)) this.#failPage(entry, 'every run that read it ended without a word');
      else await this.#readPage(entry);
      progress.done(entry);
    }
  }

  /** @throws CrawlPaused when the page has to stay in the frontier. */
  async #readPage(entry: Entry): Promise<void> {
    const { url } = entry;
    const answer = await this.#site.visit({ url, validators: this.#progress.validators(url) });
    switch (answer.kind) {
      case 'page':
        return await this.#takePage(entry, answer);
      case 'not-modified':
        this.#progress.counts.notModified++;
        this.#progress.keep(entry);
        return;
      case 'gone':
        this.#ports.logger.info(`${url} is gone: ${answer.reason}`);
        this.#first.barren ??= `${url}: ${answer.reason}`;
        this.#progress.forget(url);
        return;
      case 'refused':
      case 'failed':
        this.#failPage(entry, answer.reason);
        return;
      case 'postponed':
        throw new CrawlPaused(answer.reason, answer.waitMs);
      case 'sent-away':
        if (this.#progress.mayWait(entry)) throw new CrawlPaused(answer.reason, answer.waitMs);
        this.#failPage(entry, answer.reason);
        return;
    }
  }

  async #takePage(entry: Entry, answer: Extract<Visited, { kind: 'page' }>): Promise<void> {
    const fetchedAt = new Date().toISOString();
    const page = extractPage(answer.body, answer.url, this.#source);
    if (typeof page === 'string') return this.#failPage(entry, page);
    const lost = this.#progress.lost(entry.url, page);
    if (lost !== undefined) return this.#failPage(entry, unansweredWords(lost, this.#source));
    this.#progress.counts.pages++;
    const problems = [
      ...(answer.note === undefined ? [] : [answer.note]),
      ...page.problems,
      ...page.unanswered.map((name) => unansweredWords(name, this.#source)),
    ];
    if (problems.length > 0) {
      this.#ports.logger.warn(`${entry.url} was read with problems`, { problems });
      this.#first.flaw ??= `${entry.url}: ${problems[0]}`;
    }
    if (page.items.length + page.links.length === 0 && page.next === null)
      this.#first.barren ??= `${entry.url}: it shows no item, and no link that is followed`;
    await this.#publishChanged(answer.url, fetchedAt, page.items);
    // An item that broke its schema today has not vanished.
    const kept = page.problems.length > 0 ? (this.#progress.known(entry.url)?.skus ?? []) : [];
    this.#progress.keepAs(entry.url, {
      ...(answer.url === entry.url ? {} : { at: answer.url }),
      ...answer.validators,
      skus: [...new Set([...page.items.map(({ sku }) => sku), ...kept])],
      links: [...page.links],
      next: page.next,
      ...(page.cut === null ? {} : { cut: page.cut }),
      ...(page.unanswered.length === 0 ? {} : { unanswered: [...page.unanswered] }),
    });
    this.#progress.enqueue(page, entry.depth + 1, answer.url);
  }

  /** What it led to is read all the same. */
  #failPage(entry: Entry, reason: string): void {
    this.#progress.counts.failedPages++;
    this.#first.failure ??= `${entry.url}: ${reason}`;
    this.#ports.logger.emit({
      type: 'page.failed',
      source: this.#source.name,
      url: entry.url.slice(0, 2_000),
      reason,
    });
    this.#progress.keep(entry);
  }

  async #publishChanged(url: string, fetchedAt: string, items: readonly ItemContent[]): Promise<void> {
    const parts = splitItems(this.#progress.changed(items), {
      source: this.#source.name,
      partitions: this.#partitions,
    });
    for (const { partition, items: part } of parts) {
      if (this.#progress.mustStore) await this.#store('running');
      const message = this.#progress.number(part);
      await this.#publisher.publishPage({
        page: message.page,
        partition,
        url,
        fetchedAt,
        items: message.items.map(({ content, version }) => this.#progress.toItem(content, version)),
      });
      this.#progress.published(message.items);
    }
  }

  async #finish(): Promise<void> {
    const { logger } = this.#ports;
    const { name } = this.#source;
    const { incomplete } = this.#progress;
    if (incomplete !== undefined)
      logger.warn(`${name} was not crawled whole: ${incomplete}; nothing counts as vanished`);
    // With nothing left to read, so that whoever goes on after a death here deposits the same file, not what it reads anew;
    // and whose lease is lost deposits none.
    await this.#store('running');
    const snapshot = this.#progress.snapshot();
    // An empty one would make every item vanish, and is a broken shop or selector far more often than a sale.
    if (snapshot === '') logger.warn(`${name} showed no item at all; no crawl file is deposited`);
    else await this.#deposit(crawlFileName({ source: name, intake: this.#intake }), snapshot);
    await this.#store('finished', incomplete === undefined ? {} : { reason: incomplete });
  }

  async #deposit(name: string, snapshot: string): Promise<void> {
    try {
      await this.#ports.deposit({ name, bytes: Buffer.from(snapshot), deadline: this.#sendUntil });
    } catch (error) {
      throw new CrawlPaused(`the crawl file could not be deposited: ${describeError(error)}`);
    }
    await this.#publisher.publishDeposited(name);
  }

  async #store(
    status: CrawlUpdate['status'],
    why: Pick<CrawlUpdate, 'reason' | 'waitMs'> = {},
  ): Promise<void> {
    const startedAt = performance.now();
    const state = this.#progress[status]();
    let packed = await packState(state);
    this.#progress.measured({ packed: packed.sent.zstd.length, plain: packed.length });
    if (packed.sent.zstd.length > packedStateLengthMax) {
      // No page leads so far beyond the limit by itself. The contents are what must not be lost: versions follow from them.
      const incomplete = `the limit of ${packedStateLengthMax} bytes of packed state`;
      packed = await packState({ ...state, incomplete, frontier: [], pages: newRecord() });
    }
    // A large shop takes a second or more, so it is stored less often; the lease is renewed beside that.
    const tookMs = performance.now() - startedAt;
    this.#storeEveryMs = Math.min(storeEveryMsMax, Math.max(storeEveryMsMin, 10 * tookMs));
    await this.#update({ status, state: packed.sent, ...why });
    this.#storedAt = performance.now();
    await this.#events.report();
  }

  async #renew(): Promise<void> {
    try {
      await this.#update({ status: 'running' });
    } catch (error) {
      if (error instanceof Failure && error.code === 'LEASE_LOST') this.#lost = error;
      else
        this.#ports.logger.warn(`renewing the lease of ${this.#source.name} failed: ${describeError(error)}`);
    }
  }

  async #update(change: Partial<CrawlUpdate> & Pick<CrawlUpdate, 'status'>): Promise<void> {
    await this.#ports.leader.call(
      {
        method: 'PUT',
        path: routes.crawl(this.#crawlId),
        json: {
          owner: this.#settings.owner,
          leaseMs,
          counts: this.#progress.counts,
          ...(this.#problem === undefined ? {} : { problem: this.#problem }),
          ...change,
        } satisfies CrawlUpdate,
        timeoutMs: callMs,
        traceparent: childTraceparent(this.#trace),
      },
      { deadline: Math.min(this.#settings.deadline, performance.now() + callMs) },
    );
  }

  #end(
    kind: 'finished' | 'paused' | 'lost',
    { reason, waitMs = 0 }: { reason: string | undefined; waitMs?: number },
  ): CrawlOutcome {
    const { counts } = this.#progress;
    this.#ports.logger.emit({
      type: 'crawl.changed',
      source: this.#source.name,
      intake: this.#intake,
      status: kind,
      pages: counts.pages,
      failedPages: counts.failedPages,
      itemsSeen: counts.itemsSeen,
      itemsPublished: counts.itemsPublished,
      reason: reason ?? null,
      problem: this.#problem ?? null,
    });
    return { kind, source: this.#source.name, intake: this.#intake, reason, waitMs, counts };
  }

  get #problem(): string | undefined {
    const { failure, flaw, barren } = this.#first;
    // A page that leads to nothing is one of many in a shop that shows items elsewhere.
    const problem = failure ?? flaw ?? (this.#progress.counts.itemsSeen === 0 ? barren : undefined);
    return problem === undefined ? undefined : detailText(problem);
  }
  get #partitions(): number {
    return this.#settings.itemPartitions ?? 1;
  }
}

/** The sum counts: behind all partitions is the same leader. */
async function waitForRoom(broker: CrawlPorts['broker'], itemPartitions: number): Promise<void> {
  let depths: number[];
  try {
    depths = await Promise.all(itemQueueNames(itemPartitions).map((name) => broker.depth(name)));
  } catch (error) {
    throw new CrawlPaused(`the depth of items cannot be read: ${describeError(error)}`);
  }
  const depth = depths.reduce((sum, one) => sum + one, 0);
  if (depth > scraperPausesAtDepth)
    throw new CrawlPaused(`${depth} messages wait in items, more than ${scraperPausesAtDepth}`);
}

/** A page so deep or odd that reading it throws is a page that failed. */
function extractPage(html: string, url: string, source: ShopSource) {
  try {
    return extractItems({ html, url, source });
  } catch (error) {
    return `cannot be read: ${describeError(error)}`;
  }
}
