// What one crawl knows while it runs, and what of it is stored at the leader: the frontier, the pages with their
// validators, the contents with their versions, the ordinals handed out. Does no I/O.
//
// What keeps versions unique: what is stored while a crawl runs says ordinals further on than any that were used, so a
// worker that takes over after a crash never gives a version to other content (VERSION_REUSED).
import { hash } from 'node:crypto';
import { itemVersion } from '../../contracts/ids.ts';
import { itemsPerPageMax } from '../../contracts/item-page.ts';
import type { Item, ItemContent } from '../../contracts/item.ts';
import type { CrawlLease, CrawlState } from '../../contracts/node-api.ts';
import type { ShopSource } from '../../contracts/source.ts';

/** A page still to be read; depth 0 is a start page. */
export interface Entry {
  readonly url: string;
  readonly depth: number;
}
export type KnownPage = CrawlState['pages'][string];
export interface ChangedItem {
  readonly content: ItemContent;
  readonly hash: string;
}

const messagesPerStore = 64;
const ordinalsPerStore = messagesPerStore * itemsPerPageMax;
const bytesMax = 3_500_000; // The leader takes 4 MB.

export class CrawlProgress {
  readonly counts = { pages: 0, notModified: 0, failedPages: 0, itemsSeen: 0, itemsPublished: 0 };
  readonly #source: ShopSource;
  readonly #intake: number;
  readonly #state: CrawlState;
  readonly #visited: Set<string>;
  readonly #queued: Set<string>;
  readonly #seen: Set<string>;
  readonly #hosts: Set<string>;
  #bytes: number;
  #messagesSinceStored = 0;
  #incomplete: string | undefined;

  constructor(lease: CrawlLease) {
    this.#source = lease.source;
    this.#intake = lease.intake;
    this.#state = beginState(lease);
    this.#visited = new Set(this.#state.visited);
    this.#queued = new Set([...this.#visited, ...this.#state.frontier.map(({ url }) => url)]);
    this.#seen = new Set([...this.#visited].flatMap((url) => this.#state.pages[url]?.skus ?? []));
    this.#hosts = new Set(this.#source.startUrls.map((url) => new URL(url).host));
    this.#bytes = Buffer.byteLength(JSON.stringify(this.#state));
  }

  /** Why nothing counts as vanished, although the crawl came to its end. */
  get incomplete(): string | undefined {
    return this.#incomplete;
  }
  /** The ordinals that are stored as used are used up: the state has to be stored before the next message. */
  get mustStore(): boolean {
    return this.#messagesSinceStored >= messagesPerStore;
  }

  /** The page to read now; undefined at the end, or when no more may be kept. */
  next(): Entry | undefined {
    if (this.#bytes > bytesMax) {
      this.#incomplete ??= `the limit of ${bytesMax} bytes of state`;
      this.#state.frontier = [];
    }
    return this.#state.frontier[0];
  }
  done({ url }: Entry): void {
    this.#state.frontier.shift();
    this.#visited.add(url);
  }
  /** What a page leads to, once each, on the page's own host and those of the source. */
  enqueue(
    { next, links }: { readonly next: string | null; readonly links: readonly string[] },
    depth: number,
    from: string,
  ): void {
    const here = new URL(from).host;
    for (const url of next === null ? links : [next, ...links]) {
      const host = URL.parse(url)?.host;
      if (host === undefined || (host !== here && !this.#hosts.has(host)) || this.#queued.has(url)) continue;
      if (this.#queued.size >= this.#source.pagesMax) {
        this.#incomplete ??= `the limit of ${this.#source.pagesMax} pages`;
        return;
      }
      this.#queued.add(url);
      this.#state.frontier.push({ url, depth });
    }
  }

  known(url: string): KnownPage | undefined {
    return this.#state.pages[url];
  }
  /** Undefined when what the page held is not known whole: it has to be read anew, unmodified or not. */
  validators(url: string): KnownPage | undefined {
    const known = this.known(url);
    return known?.skus.every((sku) => this.#state.contents[sku] !== undefined) ? known : undefined;
  }
  forget(url: string): void {
    delete this.#state.pages[url];
  }
  /** The page counts as it was: what could not be read today is unknown, not vanished. */
  keep(url: string): void {
    for (const sku of this.known(url)?.skus ?? []) {
      if (!this.#seen.has(sku)) this.counts.itemsSeen++;
      this.#seen.add(sku);
    }
  }
  /** After its items were published; those whose content is not known are left out. */
  keepAs(url: string, page: KnownPage): void {
    const entry = { ...page, skus: page.skus.filter((sku) => this.#state.contents[sku] !== undefined) };
    this.#bytes += Buffer.byteLength(JSON.stringify(entry)) + url.length;
    this.#state.pages[url] = entry;
    this.keep(url);
  }

  /** Those to publish. The first page of a crawl to name an item decides, or two that differ would publish it each time. */
  changed(items: readonly ItemContent[]): ChangedItem[] {
    return items
      .filter(({ sku }) => !this.#seen.has(sku))
      .map((content) => ({ content, hash: contentHash(content) }))
      .filter((item) => this.#state.contents[item.content.sku]?.hash !== item.hash);
  }
  /** Ordinals for one message and its items. */
  number(items: readonly ChangedItem[]): { page: number; items: (ChangedItem & { version: number })[] } {
    this.#messagesSinceStored++;
    return {
      page: this.#state.nextPage++,
      items: items.map((item) => ({
        ...item,
        version: itemVersion({ intake: this.#intake, ordinal: this.#state.nextOrdinal++ }),
      })),
    };
  }
  published(items: readonly (ChangedItem & { version: number })[]): void {
    for (const entry of items) {
      this.#bytes += Buffer.byteLength(JSON.stringify(entry)) + entry.content.sku.length;
      this.#state.contents[entry.content.sku] = entry;
    }
    this.counts.itemsPublished += items.length;
  }

  toItem(content: ItemContent, version: number): Item {
    return { ...content, source: this.#source.name, version, vanished: false };
  }
  /** All items that are there, as lines of a crawl file. */
  snapshot(): string {
    const { contents } = this.#state;
    return Object.keys(contents)
      .filter((sku) => this.#isThere(sku))
      .sort()
      .map((sku) => contents[sku])
      .filter((entry) => entry !== undefined)
      .map((entry) => `${JSON.stringify(this.toItem(entry.content as ItemContent, entry.version))}\n`)
      .join('');
  }

  /** To store while the crawl goes on: with ordinals reserved for what is published until the next time. */
  running(): CrawlState {
    this.#messagesSinceStored = 0;
    return {
      ...this.paused(),
      nextPage: this.#state.nextPage + messagesPerStore,
      nextOrdinal: this.#state.nextOrdinal + ordinalsPerStore,
    };
  }
  paused(): CrawlState {
    return { ...this.#state, visited: [...this.#visited] };
  }
  /** Only what this crawl saw. */
  finished(): CrawlState {
    const only = <T>(all: Record<string, T>, isKept: (key: string) => boolean): Record<string, T> =>
      Object.fromEntries(Object.entries(all).filter(([key]) => isKept(key)));
    return {
      ...this.#state,
      frontier: [],
      visited: [],
      nextPage: 0,
      nextOrdinal: 0,
      contents: only(this.#state.contents, (sku) => this.#isThere(sku)),
      pages: only(this.#state.pages, (url) => this.#visited.has(url)),
    };
  }
  #isThere(sku: string): boolean {
    return this.#incomplete !== undefined || this.#seen.has(sku);
  }
}

/** A new crawl starts at the source's pages and knows what the last one saw; a resumed one goes on. */
function beginState({ source, state, resumed }: CrawlLease): CrawlState {
  const extraction = hash('sha256', JSON.stringify([source.selectors ?? null, source.currency]));
  if (state && resumed && state.extraction === extraction) return structuredClone(state);
  const pages = state?.extraction === extraction ? state.pages : {};
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

function contentHash(content: ItemContent): string {
  // Sorted names: the hash must not depend on the order in which a parser wrote them.
  return hash('sha256', JSON.stringify(Object.entries(content).sort(([a], [b]) => (a < b ? -1 : 1))));
}
