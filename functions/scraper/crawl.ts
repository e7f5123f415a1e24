// One crawl of one source: lease, pages, messages for what changed, state kept at the leader, the crawl file at
// the end. Everything outside comes in as ports. A page that fails never ends a crawl; a lost lease does.
//
// What keeps versions unique: the stored state always says ordinals further on than any that were used, so a
// worker that takes over after a crash never gives a version to other content (VERSION_REUSED).
import { createHash } from 'node:crypto';
import { crawlFileName } from '../../contracts/file.ts';
import { fileCommandType, fileCommandVersion, type FileCommand } from '../../contracts/file-command.ts';
import { itemVersion, pageMessageIdInput } from '../../contracts/ids.ts';
import {
  itemPageBytesMax,
  itemPageType,
  itemPageVersion,
  itemsPerPageMax,
  type ItemPage,
} from '../../contracts/item-page.ts';
import type { Item, ItemContent } from '../../contracts/item.ts';
import {
  crawlLeaseSchema,
  routes,
  type CrawlLease,
  type CrawlState,
  type CrawlUpdate,
} from '../../contracts/node-api.ts';
import type { ShopSource } from '../../contracts/source.ts';
import {
  exchanges,
  messageHeaders,
  queues,
  routingKeys,
  scraperPausesAtDepth,
} from '../../contracts/topology.ts';
import type { BatonEvent } from '../../contracts/event.ts';
import { describeError, Failure } from '../../runtime/failure.ts';
import type { InternalAnswer, InternalRequest } from '../../runtime/internal-http.ts';
import type { Logger } from '../../runtime/logger.ts';
import { childTraceparent, newTraceparent } from '../../runtime/trace.ts';
import { extractItems } from './extract-items.ts';
import type { PageFetcher } from './fetch-page.ts';
import { createPoliteSite, type Visited } from './polite-site.ts';

export interface CrawlPorts {
  readonly leader: {
    call(what: InternalRequest, options: { deadline: number }): Promise<InternalAnswer>;
  };
  readonly broker: {
    publish(
      message: {
        exchange: string;
        routingKey: string;
        type: string;
        messageId: string;
        body: string;
        headers?: Record<string, string | number>;
      },
      options?: { timeoutMs?: number },
    ): Promise<void>;
    depth(queue: string): Promise<number>;
  };
  readonly fetcher: PageFetcher;
  readonly deposit: (file: { name: string; bytes: Buffer }) => Promise<void>;
  readonly logger: Logger;
}
export interface CrawlSettings {
  readonly owner: string;
  /** performance.now() by which everything has to be stored. */
  readonly deadline: number;
  readonly source?: string | undefined;
}
export type CrawlOutcome =
  | { readonly kind: 'idle' }
  | {
      /** `lost`: the lease is another's, or nobody could be told; the stored state is what goes on. */
      readonly kind: 'finished' | 'paused' | 'lost';
      readonly source: string;
      readonly intake: number;
      readonly reason: string | undefined;
      readonly counts: CrawlUpdate['counts'];
    };

const leaseMs = 60_000;
const saveEveryMs = 10_000; // A sixth of the lease: five saves may fail before another takes over.
const callMs = 15_000;
const publishMs = 10_000;
const publishTries = 3;
/** Kept back for the last save, and for the crawl file. */
const reserveMs = 8_000;
const messagesPerSave = 64;
const ordinalsPerSave = messagesPerSave * itemsPerPageMax;
const stateBytesMax = 3_500_000; // The leader takes 4 MB.
const messageBytesMax = itemPageBytesMax - 64 * 1024; // Leaves room for the envelope.
const eventsMax = 200;

/** Takes the next crawl that is due and works on it until it is finished, has to pause, or is lost. */
export async function crawlNext(ports: CrawlPorts, settings: CrawlSettings): Promise<CrawlOutcome> {
  const answer = await ports.leader.call(
    {
      method: 'POST',
      path: routes.crawls,
      json: {
        owner: settings.owner,
        leaseMs,
        ...(settings.source === undefined ? {} : { source: settings.source }),
      },
      timeoutMs: callMs,
    },
    { deadline: Math.min(settings.deadline, performance.now() + callMs) },
  );
  if (answer.status === 204 || answer.json === undefined) return { kind: 'idle' };
  return await crawl(ports, settings, crawlLeaseSchema.parse(answer.json));
}

class Pause extends Error {}

async function crawl(ports: CrawlPorts, settings: CrawlSettings, lease: CrawlLease): Promise<CrawlOutcome> {
  const { source, intake } = lease;
  const { logger } = ports;
  const trace = newTraceparent();
  const counts = { pages: 0, notModified: 0, failedPages: 0, itemsSeen: 0, itemsPublished: 0 };
  const state = beginState(lease);
  const visited = new Set(state.visited);
  const queued = new Set([...visited, ...state.frontier.map(({ url }) => url)]);
  const seen = new Set([...visited].flatMap((url) => state.pages[url]?.skus ?? []));
  const hosts = new Set(source.startUrls.map((url) => new URL(url).host));
  const site = createPoliteSite({
    fetcher: ports.fetcher,
    requestEveryMs: source.requestEveryMs,
    deadline: settings.deadline - reserveMs,
  });
  let savedAt = performance.now();
  let messagesSinceSave = 0;
  let stateBytes = Buffer.byteLength(JSON.stringify(state));
  let incomplete: string | undefined;
  const events: BatonEvent[] = [];
  const stopListening = logger.onEvent((event) => {
    if (event.type === 'page.failed' && events.length < eventsMax) events.push(event);
  });

  async function save(status: CrawlUpdate['status'], stored: CrawlState): Promise<void> {
    await ports.leader.call(
      {
        method: 'PUT',
        path: routes.crawl(lease.crawlId),
        json: { owner: settings.owner, leaseMs, state: stored, status, counts } satisfies CrawlUpdate,
        timeoutMs: callMs,
        traceparent: childTraceparent(trace),
      },
      { deadline: performance.now() + callMs },
    );
    savedAt = performance.now();
    messagesSinceSave = 0;
    await reportEvents();
  }
  const current = (): CrawlState => ({ ...state, visited: [...visited] });
  const saveRunning = () =>
    save('running', {
      ...current(),
      nextPage: state.nextPage + messagesPerSave,
      nextOrdinal: state.nextOrdinal + ordinalsPerSave,
    });

  /** Best effort: what cannot be shown live is in the log all the same. */
  async function reportEvents(): Promise<void> {
    const batch = events.splice(0);
    if (batch.length === 0) return;
    await ports.leader
      .call(
        { method: 'POST', path: routes.events, json: { events: batch }, timeoutMs: 2_000 },
        { deadline: performance.now() + 2_000 },
      )
      .catch((error: unknown) => logger.debug(`events were not taken: ${describeError(error)}`));
  }

  function enqueue(links: readonly string[], depth: number, from: string): void {
    const here = new URL(from).host;
    for (const url of links) {
      const host = URL.parse(url)?.host;
      if (host === undefined || (host !== here && !hosts.has(host)) || queued.has(url)) continue;
      if (queued.size >= source.pagesMax) {
        incomplete ??= `the limit of ${source.pagesMax} pages`;
        return;
      }
      queued.add(url);
      state.frontier.push({ url, depth });
    }
  }

  /** What could not be read today is unknown, not vanished: the page counts as it was. */
  function failPage(url: string, reason: string): void {
    counts.failedPages++;
    logger.emit({ type: 'page.failed', source: source.name, url: url.slice(0, 2_000), reason });
    keepPage(url);
  }
  function keepPage(url: string): void {
    const known = state.pages[url];
    for (const sku of known?.skus ?? []) {
      if (!seen.has(sku)) counts.itemsSeen++;
      seen.add(sku);
    }
  }

  async function publishChanged(page: { url: string; items: readonly ItemContent[] }): Promise<void> {
    const changed = page.items.flatMap((content) => {
      const hash = hashContent(content);
      return state.contents[content.sku]?.hash === hash ? [] : [{ content, hash }];
    });
    for (const chunk of chunks(changed)) {
      if (messagesSinceSave >= messagesPerSave) await saveRunning();
      messagesSinceSave++;
      const ordinal = state.nextPage++;
      const versioned = chunk.map(({ content, hash }) => ({
        content,
        hash,
        version: itemVersion({ intake, ordinal: state.nextOrdinal++ }),
      }));
      const traceparent = childTraceparent(trace);
      const body: ItemPage = {
        version: itemPageVersion,
        source: source.name,
        intake,
        page: ordinal,
        url: page.url.slice(0, 2_000),
        fetchedAt: new Date().toISOString(),
        traceparent,
        items: versioned.map(({ content, version }) => toItem(content, source, version)),
      };
      await publish({
        routingKey: routingKeys.items(source.name),
        type: itemPageType,
        messageId: sha256(pageMessageIdInput({ source: source.name, intake, page: ordinal })),
        body: JSON.stringify(body),
        traceparent,
      });
      for (const { content, hash, version } of versioned) {
        const entry = { hash, version, content };
        stateBytes += Buffer.byteLength(JSON.stringify(entry)) + content.sku.length;
        state.contents[content.sku] = entry;
      }
      counts.itemsPublished += versioned.length;
    }
  }

  /** The same message id for every try: a try whose confirm was lost may have arrived. */
  async function publish(message: {
    routingKey: string;
    type: string;
    messageId: string;
    body: string;
    traceparent: string;
  }): Promise<void> {
    const { traceparent, ...rest } = message;
    for (let attempt = 1; ; attempt++) {
      try {
        await ports.broker.publish(
          { ...rest, exchange: exchanges.main.name, headers: { [messageHeaders.traceparent]: traceparent } },
          { timeoutMs: publishMs },
        );
        return;
      } catch (error) {
        logger.warn(`publishing ${message.messageId} failed, try ${attempt}: ${describeError(error)}`);
        if (attempt >= publishTries || performance.now() > settings.deadline - reserveMs)
          throw new Pause(`the broker does not take messages: ${describeError(error)}`);
        await new Promise((resolve) => setTimeout(resolve, 200 * 2 ** attempt));
      }
    }
  }

  async function waitForRoom(): Promise<void> {
    let depth: number;
    try {
      depth = await ports.broker.depth(queues.items.name);
    } catch (error) {
      throw new Pause(`the depth of ${queues.items.name} cannot be read: ${describeError(error)}`);
    }
    if (depth > scraperPausesAtDepth)
      throw new Pause(`${depth} messages wait in ${queues.items.name}, more than ${scraperPausesAtDepth}`);
  }

  /** @throws Pause when the page has to stay in the frontier. */
  async function readPage({ url, depth }: { url: string; depth: number }): Promise<void> {
    const known = state.pages[url];
    const usable = known?.skus.every((sku) => state.contents[sku] !== undefined) === true;
    const answer: Visited = await site.visit({ url, validators: usable ? known : undefined });
    switch (answer.kind) {
      case 'postponed':
        throw new Pause(answer.reason);
      case 'gone':
        logger.info(`${url} is gone: ${answer.reason}`);
        delete state.pages[url];
        return;
      case 'refused':
      case 'failed':
        failPage(url, answer.reason);
        // Its known neighbours are read all the same.
        enqueue(known?.next ? [known.next, ...known.links] : (known?.links ?? []), depth + 1, url);
        return;
      case 'not-modified':
        counts.notModified++;
        keepPage(url);
        if (known) enqueue(known.next === null ? known.links : [known.next, ...known.links], depth + 1, url);
        return;
      case 'page': {
        counts.pages++;
        const page = extractPage(answer.body, answer.url, source);
        if (typeof page === 'string') return failPage(url, page);
        const problems = [...(answer.note === undefined ? [] : [answer.note]), ...page.problems];
        if (problems.length > 0) logger.warn(`${url} was read with problems`, { problems });
        // The first page of a crawl to name an item decides, or two pages that differ would publish it each time.
        const fresh = page.items.filter(({ sku }) => !seen.has(sku));
        await publishChanged({ url: answer.url, items: fresh });
        // An item that broke its schema today has not vanished.
        const kept = page.problems.length > 0 ? (known?.skus ?? []) : [];
        const skus = [...new Set([...page.items.map(({ sku }) => sku), ...kept])].filter(
          (sku) => state.contents[sku] !== undefined,
        );
        const entry = { ...answer.validators, skus, links: [...page.links], next: page.next };
        stateBytes += Buffer.byteLength(JSON.stringify(entry)) + url.length;
        state.pages[url] = entry;
        keepPage(url);
        enqueue(page.next === null ? page.links : [page.next, ...page.links], depth + 1, answer.url);
        return;
      }
    }
  }

  async function crawlPages(): Promise<void> {
    // First, so that the ordinals about to be used are reserved.
    await saveRunning();
    for (let entry = state.frontier[0]; entry; entry = state.frontier[0]) {
      if (stateBytes > stateBytesMax) {
        incomplete ??= `the limit of ${stateBytesMax} bytes of state`;
        state.frontier = [];
        break;
      }
      if (performance.now() > settings.deadline - reserveMs) throw new Pause('the time of this run is over');
      if (performance.now() - savedAt > saveEveryMs) await saveRunning();
      await waitForRoom();
      await readPage(entry);
      state.frontier.shift();
      visited.add(entry.url);
    }
  }

  async function finish(): Promise<void> {
    if (incomplete !== undefined) {
      logger.warn(`${source.name} was not crawled whole: ${incomplete}; nothing counts as vanished`);
      for (const sku of Object.keys(state.contents)) seen.add(sku);
    }
    const contents = Object.fromEntries(Object.entries(state.contents).filter(([sku]) => seen.has(sku)));
    // An empty snapshot would make every item vanish, and is a broken shop or selector far more often than a sale.
    if (seen.size > 0) await depositSnapshot(contents);
    else logger.warn(`${source.name} showed no item at all; no crawl file is deposited`);
    const pages = Object.fromEntries(Object.entries(state.pages).filter(([url]) => visited.has(url)));
    await save('finished', {
      ...state,
      frontier: [],
      visited: [],
      nextPage: 0,
      nextOrdinal: 0,
      contents,
      pages,
    });
  }

  async function depositSnapshot(contents: CrawlState['contents']): Promise<void> {
    const name = crawlFileName({ source: source.name, intake });
    const lines = Object.keys(contents)
      .sort()
      .flatMap((sku) => {
        const entry = contents[sku];
        return entry === undefined
          ? []
          : [`${JSON.stringify(toItem(entry.content as ItemContent, source, entry.version))}\n`];
      });
    try {
      await ports.deposit({ name, bytes: Buffer.from(lines.join('')) });
    } catch (error) {
      throw new Pause(`the crawl file could not be deposited: ${describeError(error)}`);
    }
    const traceparent = childTraceparent(trace);
    const command: FileCommand = { version: fileCommandVersion, traceparent, kind: 'deposited', name };
    await publish({
      routingKey: routingKeys.files('deposited'),
      type: fileCommandType,
      messageId: sha256(`deposited\n${name}`),
      body: JSON.stringify(command),
      traceparent,
    });
  }

  const outcome = (kind: 'finished' | 'paused' | 'lost', reason?: string): CrawlOutcome => {
    logger.info(`crawl ${intake} of ${source.name} ${kind}${reason === undefined ? '' : `: ${reason}`}`, {
      ...counts,
    });
    return { kind, source: source.name, intake, reason, counts };
  };
  try {
    try {
      await crawlPages();
      await finish();
      return outcome('finished', incomplete);
    } catch (error) {
      if (!(error instanceof Pause)) throw error;
      await save('paused', current());
      return outcome('paused', error.message);
    }
  } catch (error) {
    if (error instanceof Failure) return outcome('lost', describeError(error));
    throw error;
  } finally {
    await reportEvents();
    stopListening();
  }
}

/** A new crawl starts at the source's pages and knows what the last one saw; a resumed one goes on. */
function beginState({ source, state, resumed }: CrawlLease): CrawlState {
  const extraction = sha256(JSON.stringify([source.selectors ?? null, source.currency]));
  const pages = state?.extraction === extraction ? state.pages : {};
  if (state && resumed && state.extraction === extraction) return structuredClone(state);
  return {
    frontier: [...new Set(source.startUrls)]
      .slice(0, source.pagesMax)
      .map((url) => ({ url: new URL(url).href, depth: 0 })),
    visited: [],
    // A resumed crawl keeps its intake, so its ordinals go on even when it reads everything anew.
    nextPage: state && resumed ? state.nextPage : 0,
    nextOrdinal: state && resumed ? state.nextOrdinal : 0,
    pages: structuredClone(pages),
    contents: structuredClone(state?.contents ?? {}),
    extraction,
  };
}

/** A page so deep or odd that reading it throws is a page that failed. */
function extractPage(html: string, url: string, source: ShopSource) {
  try {
    return extractItems({ html, url, source });
  } catch (error) {
    return `cannot be read: ${describeError(error)}`;
  }
}

function* chunks<T extends { content: ItemContent }>(items: readonly T[]): Generator<T[]> {
  let chunk: T[] = [];
  let bytes = 0;
  for (const item of items) {
    const size = Buffer.byteLength(JSON.stringify(item.content)) + 200;
    if (chunk.length > 0 && (chunk.length >= itemsPerPageMax || bytes + size > messageBytesMax)) {
      yield chunk;
      chunk = [];
      bytes = 0;
    }
    chunk.push(item);
    bytes += size;
  }
  if (chunk.length > 0) yield chunk;
}

function toItem(content: ItemContent, source: ShopSource, version: number): Item {
  return { ...content, source: source.name, version, vanished: false };
}
function hashContent(content: ItemContent): string {
  // Sorted names: the hash must not depend on the order in which a parser wrote them.
  return sha256(JSON.stringify(Object.entries(content).sort(([a], [b]) => (a < b ? -1 : 1))));
}
function sha256(text: string): string {
  return createHash('sha256').update(text).digest('hex');
}
