// What one crawl knows while it runs, and what of it is stored at the leader: the frontier, the pages with their
// validators, the contents with their versions, the ordinals handed out. Does no I/O.
//
// How versions stay unique: the state that is stored while a crawl runs names ordinals beyond any that were used, so that a
// worker that takes over after a crash never gives a used version to other content (VERSION_REUSED).
//
// How a page cannot end every crawl with its worker: the state that is stored while a crawl runs counts a death for the page
// that is next, so that a worker that takes over knows which page it was and gives it up after three.
//
// The stored state has a limit. At the limit a crawl learns no new pages or items, goes on with those it knows, and says
// that it is not whole.
import { hash } from 'node:crypto';
import { itemVersion, ordinalsPerIntake } from '../../contracts/ids.ts';
import { itemsPerPageMax } from '../../contracts/item-page.ts';
import type { Item, ItemContent } from '../../contracts/item.ts';
import { packedStateLengthMax, type CrawlLease, type CrawlState } from '../../contracts/node-api.ts';
import type { ShopSource } from '../../contracts/source.ts';
import { extractionVersion, type Answerable, type Extracted } from './extract-items.ts';

/** A page still to be read; depth 0 is a start page. */
export type Entry = Readonly<CrawlState['frontier'][number]>;
export type KnownPage = CrawlState['pages'][string];
export interface NumberedItem {
  readonly content: ItemContent;
  readonly version: number;
}
/** A lease with its state unpacked, which is the crawl's own from then on. */
export type UnpackedLease = Omit<CrawlLease, 'state'> & { readonly state: CrawlState | null };
export interface StateLimits {
  /** Length as it is stored. */
  readonly packed: number;
  /** Length of its text, which tells how much memory it takes. */
  readonly plain: number;
}

const messagesPerStore = 1_000;
const itemsPerStore = 64 * itemsPerPageMax;
/** Characters learnt between two stores, so that what is stored never grows far beyond its limit. */
const lengthPerStore = 4_000_000;
/** Below what the leader takes by what may be learnt between two stores. */
const limitsDefault: StateLimits = { packed: packedStateLengthMax - 1_000_000, plain: 60_000_000 };
const waitsMax = 3;
const deathsMax = 3;

export class CrawlProgress {
  readonly counts = { pages: 0, notModified: 0, failedPages: 0, itemsSeen: 0, itemsPublished: 0 };
  readonly #source: ShopSource;
  readonly #intake: number;
  readonly #state: CrawlState;
  readonly #visited: Set<string>;
  readonly #queued: Set<string>;
  readonly #seen: Set<string>;
  readonly #hosts: Set<string>;
  readonly #limits: StateLimits;
  /** The run before ended without a word. From here on it is stored which page is read, each time: it may be one that ends workers. */
  readonly isCareful: boolean;
  #full: string | undefined;
  #sinceStored = { messages: 0, items: 0, length: 0 };

  constructor(lease: UnpackedLease, limits = limitsDefault) {
    this.#source = lease.source;
    this.#intake = lease.intake;
    this.#state = beginState(lease);
    this.#visited = new Set(this.#state.visited);
    this.#queued = new Set([...this.#visited, ...this.#state.frontier.map(({ url }) => url)]);
    this.#seen = new Set([...this.#visited].flatMap((url) => this.#state.pages[url]?.skus ?? []));
    this.#hosts = new Set(this.#source.startUrls.map((url) => new URL(url).host));
    this.#limits = limits;
    this.isCareful = this.#state.frontier[0]?.deaths !== undefined;
  }

  /** Why nothing counts as vanished, although the crawl came to its end. */
  get incomplete(): string | undefined {
    return this.#state.incomplete;
  }
  #cut(reason: string): void {
    this.#state.incomplete ??= reason;
  }
  /** The reserved ordinals are used up, or much was learnt: the state has to be stored before the next message. */
  get mustStore(): boolean {
    const { messages, items, length } = this.#sinceStored;
    return messages >= messagesPerStore || items >= itemsPerStore || length >= lengthPerStore;
  }
  /** What the state came to when it was packed. */
  measured(size: { packed: number; plain: number }): void {
    const { packed, plain } = this.#limits;
    this.#full =
      size.packed > packed || size.plain > plain
        ? `the limit of ${packed} bytes of packed and ${plain} of plain state`
        : undefined;
    if (this.#full === undefined) return;
    const known = this.#state.frontier.filter(({ url, depth }) => depth === 0 || this.known(url));
    if (known.length < this.#state.frontier.length) this.#cut(this.#full);
    this.#state.frontier = known;
  }

  /** The page to read now; undefined at the end. */
  next(): Entry | undefined {
    // No page has as many items as are reserved at once. Of this intake there will be no more; the next crawl has another.
    if (this.#state.nextOrdinal + itemsPerStore > ordinalsPerIntake) {
      this.#cut('the limit of versions of one crawl, which workers that ended without a word used up');
      return undefined;
    }
    return this.#state.frontier[0];
  }
  done({ url }: Entry): void {
    // It is gone already when the state became full while it was read.
    if (this.#state.frontier[0]?.url === url) this.#state.frontier.shift();
    this.#visited.add(url);
  }
  /** So many runs ended while they read it. */
  isDeadly({ deaths = 0 }: Entry): boolean {
    return deaths >= deathsMax;
  }
  /** The site asked us to come back later for this page. @returns false when it did so often enough. */
  mayWait(entry: Entry): boolean {
    const waits = (entry.waits ?? 0) + 1;
    this.#state.frontier[0] = { ...entry, waits };
    return waits <= waitsMax;
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
        this.#cut(`the limit of ${this.#source.pagesMax} pages`);
        return;
      }
      if (this.#full !== undefined && !this.known(url)) {
        this.#cut(this.#full);
        continue;
      }
      this.#queued.add(url);
      this.#sinceStored.length += url.length;
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
  /** The page counts as it was, and what it led to is read: what could not be read today is unknown, not vanished. */
  keep({ url, depth }: Entry): void {
    const known = this.known(url);
    if (!known) return;
    this.#see(known);
    this.enqueue(known, depth + 1, known.at ?? url);
  }
  #see({ skus, cut }: KnownPage): void {
    if (cut !== undefined) this.#cut(cut);
    for (const sku of skus) {
      if (!this.#seen.has(sku)) this.counts.itemsSeen++;
      this.#seen.add(sku);
    }
  }
  /**
   * What the page's items were named by when it was read last, and none of them is now: it is not believed that all lost
   * it. A lone item may be without a price.
   */
  lost(url: string, { unanswered, items }: Pick<Extracted, 'unanswered' | 'items'>): Answerable | undefined {
    const known = this.known(url);
    if (known === undefined || known.skus.length === 0) return undefined;
    return unanswered.find(
      (name) => known.unanswered?.includes(name) !== true && (name === 'sku' || items.length > 1),
    );
  }
  /** After its items were published; those whose content is not known are left out. */
  keepAs(url: string, page: KnownPage): void {
    const entry = { ...page, skus: page.skus.filter((sku) => this.#state.contents[sku] !== undefined) };
    this.#see(entry);
    if (this.#full !== undefined && !this.known(url)) return this.#cut(this.#full);
    this.#sinceStored.length += JSON.stringify(entry).length + url.length;
    this.#state.pages[url] = entry;
  }

  /** Those to publish. The first page of a crawl to name an item decides, or two that differ would publish it each time. */
  changed(items: readonly ItemContent[]): ItemContent[] {
    return items.filter((content) => {
      if (this.#seen.has(content.sku)) return false;
      const known = this.#state.contents[content.sku]?.content;
      if (known === undefined && this.#full !== undefined) {
        this.#cut(this.#full);
        return false;
      }
      return known === undefined || canonical(known) !== canonical(content);
    });
  }
  /** Ordinals for one message and its items. */
  number(items: readonly ItemContent[]): { page: number; items: NumberedItem[] } {
    this.#sinceStored.messages++;
    this.#sinceStored.items += items.length;
    return {
      page: this.#state.nextPage++,
      items: items.map((content) => ({
        content,
        version: itemVersion({ intake: this.#intake, ordinal: this.#state.nextOrdinal++ }),
      })),
    };
  }
  published(items: readonly NumberedItem[]): void {
    for (const entry of items) {
      this.#sinceStored.length += JSON.stringify(entry).length;
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

  /** The state to store while the crawl goes on, with ordinals reserved for what is published before the next store. */
  running(): CrawlState {
    this.#sinceStored = { messages: 0, items: 0, length: 0 };
    const paused = this.paused();
    const [next, ...rest] = paused.frontier;
    return {
      ...paused,
      frontier: next === undefined ? [] : [{ ...next, deaths: (next.deaths ?? 0) + 1 }, ...rest],
      nextPage: this.#state.nextPage + messagesPerStore,
      // The message that reaches the limit may go beyond it.
      nextOrdinal: this.#state.nextOrdinal + itemsPerStore + itemsPerPageMax,
    };
  }
  paused(): CrawlState {
    return { ...this.#state, visited: [...this.#visited] };
  }
  /** Only what this crawl saw. */
  finished(): CrawlState {
    const only = <T>(all: Record<string, T>, isKept: (key: string) => boolean): Record<string, T> =>
      Object.assign(newRecord<T>(), Object.fromEntries(Object.entries(all).filter(([key]) => isKept(key))));
    return {
      ...this.#state,
      incomplete: undefined,
      frontier: [],
      visited: [],
      nextPage: 0,
      nextOrdinal: 0,
      contents: only(this.#state.contents, (sku) => this.#isThere(sku)),
      pages: only(this.#state.pages, (url) => this.#visited.has(url)),
    };
  }
  #isThere(sku: string): boolean {
    return this.incomplete !== undefined || this.#seen.has(sku);
  }
}

/** A new crawl starts at the source's pages and knows what the last one saw; a resumed one goes on. */
function beginState({ source, state, resumed }: UnpackedLease): CrawlState {
  const reading = [extractionVersion, source.selectors ?? null, source.currency];
  const extraction = hash('sha256', JSON.stringify(reading));
  if (state && resumed && state.extraction === extraction) return state;
  const pages = state?.pages ?? newRecord<KnownPage>();
  // Read in another way they may say something else, modified or not. What they said is known until then.
  if (state?.extraction !== extraction)
    for (const [url, page] of Object.entries(pages)) pages[url] = { ...page, etag: null, lastModified: null };
  const starts = [...new Set(source.startUrls.map((url) => new URL(url).href))];
  return {
    frontier: starts.slice(0, source.pagesMax).map((url) => ({ url, depth: 0 })),
    visited: [],
    // A resumed crawl keeps its intake, so its ordinals go on even when it reads everything anew.
    nextPage: state && resumed ? state.nextPage : 0,
    nextOrdinal: state && resumed ? state.nextOrdinal : 0,
    pages,
    contents: state?.contents ?? newRecord<CrawlState['contents'][string]>(),
    extraction,
    incomplete: starts.length > source.pagesMax ? `the limit of ${source.pagesMax} pages` : undefined,
  };
}

/** Sorted names: what is the same must not depend on the order in which a parser wrote them. */
function canonical(content: unknown): string {
  return JSON.stringify(Object.entries(content as ItemContent).sort(([a], [b]) => (a < b ? -1 : 1)));
}

/** Without a prototype: a shop may call an item "constructor". */
export function newRecord<T>(): Record<string, T> {
  return Object.create(null) as Record<string, T>;
}
