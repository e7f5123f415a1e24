// What the node asks of its database, in the domain's words: leadership, web routes and mailer are written against
// this, and nodes/database fulfils it. Every call that takes a `term` is fenced and throws Failure STALE_TERM with
// `details.databaseTerm` when the database has seen a newer one. Never opens a connection by itself.
import type { Readable } from 'node:stream';
import type { BatonEvent } from '../contracts/event.ts';
import type { Item } from '../contracts/item.ts';
import type {
  BatchRequest,
  CrawlLease,
  CrawlRequest,
  CrawlUpdate,
  FileAnswer,
  FileOpenAnswer,
  FileOpenRequest,
  FileOutcome,
  ItemVerdict,
  MailClaimAnswer,
  MailResult,
  MailResultAnswer,
} from '../contracts/node-api.ts';
import type {
  CrawlView,
  ErasedCounts,
  FileView,
  ItemDetail,
  MailView,
  Watch,
  WatchView,
} from '../contracts/public-api.ts';
import type { Source } from '../contracts/source.ts';
import type { DeadLetterStore } from './dead-letters/store.ts';
import type { TraceStore } from './tracing/deliveries.ts';
import type { Digest, DigestRules, DueDigest, NoticeKind } from './mailer/notice.ts';

/** A term that was claimed, or the newer one the database has seen. */
export type ClaimResult = { kind: 'claimed' } | { kind: 'refused'; databaseTerm: number };
export type ItemEvent = Extract<BatonEvent, { type: 'item.changed' }>;
export interface FeedBounds {
  /** The feed's own uuid: another database has another one. */
  readonly feed: string;
  /** Oldest id still kept, and newest: one less than `first` when there is none. */
  readonly first: number;
  readonly last: number;
}
export interface ItemQuery {
  readonly source?: string | undefined;
  readonly q?: string | undefined;
  readonly inStock?: boolean | undefined;
  /** Exclusive: the last item of the page before. */
  readonly after?: { source: string; sku: string } | undefined;
  readonly limit: number;
}
export interface StagedRow {
  readonly row: number;
  readonly item: Item;
}
/** What one step of matching does at most: `noticesMax` bounds it however many watch the same event. */
export interface NoticeStep {
  readonly eventsMax: number;
  readonly noticesMax: number;
  readonly traceparent: string;
}
export interface DueMail {
  readonly mailId: string;
  readonly attempt: number;
  readonly traceparent: string;
}
/** A mail as it is to be stored: bytes are rendered before it is published for the first time. */
export interface OutgoingMail {
  /** kind/entity/version/recipient: two of one key are one mail. */
  readonly key: string;
  readonly kind: NoticeKind;
  readonly from: string;
  readonly to: string;
  readonly messageId: string;
  readonly bytes: Buffer;
  readonly traceparent: string;
}

/** How long a source that is switched on has brought nothing, in seconds by the database's clock. */
export interface SourceAge {
  readonly source: string;
  readonly kind: 'shop' | 'partner';
  readonly lastGoodAt: string | null;
  /** Since its last good crawl or file, or since one is expected of it. */
  readonly ageS: number;
  /** How often one is expected; null when nobody said. */
  readonly intervalS: number | null;
  /** Why the last finished crawl of a shop did not read all of it; null when it did. */
  readonly incomplete: string | null;
  /** Why the last finished crawl of a shop brought nothing; null when it did. */
  readonly empty: string | null;
}

/** What has a retention; nodes/retention.ts says how long. */
export type Swept =
  | 'staged_rows'
  | 'leases'
  | 'feed'
  | 'deliveries'
  | 'item_versions'
  | 'crawls'
  | 'files'
  | 'bytes of mails'
  | 'mails'
  | 'dead_letters'
  | 'dead_letter_actions';

/** Exact counts since the database was made, kept by the statements that do what is counted. `itemVersions` and `files`: applied ones. */
export interface StoredCounts {
  readonly items: number;
  readonly itemVersions: number;
  readonly files: number;
  readonly mailsSent: number;
}

/** For metrics: the same, and what else is counted by what does it. */
export interface Measures extends StoredCounts {
  readonly filesRejected: number;
  readonly feedEvents: number;
  /** Not yet matched against the watches. */
  readonly feedUnmatched: number;
}

export interface FenceStore {
  /** `readOnly`: a standby, or a primary that was demoted. @throws Failure DATABASE_UNAVAILABLE or DATABASE_TIMEOUT. */
  ping(): Promise<{ readOnly: boolean }>;
  /** Asked again by the same holder it is claimed again. */
  claim(claim: { term: number; holder: string }): Promise<ClaimResult>;
  fence(): Promise<{ term: number; holder: string | null }>;
}

export interface ItemStore {
  /** Writes nothing, and makes the next writeBatch quick. */
  rehearse(): Promise<void>;
  writeBatch(
    term: number,
    items: readonly (BatchRequest['items'][number] & { item: Item })[],
  ): Promise<ItemVerdict[]>;
  items(query: ItemQuery): Promise<Item[]>;
  item(key: { source: string; sku: string }): Promise<ItemDetail | undefined>;
  feedBounds(): Promise<FeedBounds>;
  /** At most `limit` events with ids above `after`, dense and in order of commit. */
  feed(page: { after: number; limit: number }): Promise<ItemEvent[]>;
  /** Every current item as CSV or NDJSON. */
  exportItems(format: 'csv' | 'ndjson'): Promise<Readable>;
}

export interface CrawlStore {
  takeCrawl(term: number, request: CrawlRequest): Promise<CrawlLease | undefined>;
  updateCrawl(term: number, crawlId: string, update: CrawlUpdate): Promise<void>;
  /** @throws Failure LEASE_HELD. `leaseMs` 0 gives it back. */
  takeLease(
    term: number,
    lease: { name: string; owner: string; leaseMs: number },
  ): Promise<{ expiresAt: string }>;
}

export interface FileStore {
  openFile(term: number, request: FileOpenRequest): Promise<FileOpenAnswer>;
  /**
   * At most 10,000 rows each; `upload` is a uuid of this very upload. Not fenced: nobody reads these rows before applyUpload,
   * which is.
   */
  stageRows(upload: string, rows: readonly StagedRow[]): Promise<void>;
  applyUpload(
    term: number,
    upload: {
      fileId: string;
      upload: string;
      sha256: string;
      rows: number;
      invalid: number;
      problems: string[];
    },
  ): Promise<FileAnswer>;
  /** Whatever became of the upload. */
  clearStaged(upload: string): Promise<void>;
  rejectFile(term: number, file: { fileId: string; reason: string; problems: string[] }): Promise<FileAnswer>;
  /** `settled`: what stands of it, once it is applied or rejected. */
  fileIntake(
    fileId: string,
  ): Promise<{ name: string; intake: number; size: number; settled?: FileAnswer } | undefined>;
  fileOutcome(term: number, fileId: string, outcome: FileOutcome): Promise<void>;
}

export interface MailStore {
  claimMail(
    term: number,
    mailId: string,
    claim: { attempt: number; owner: string },
  ): Promise<MailClaimAnswer>;
  mailResult(term: number, mailId: string, result: MailResult): Promise<MailResultAnswer>;
  /**
   * Matches the next events of the feed, and who leads, against the watches. The notices and the place in the feed are one
   * statement: once, across fail-over too. @returns whether there may be more.
   */
  makeNotices(term: number, step: NoticeStep): Promise<boolean>;
  /** Whose notices are to become mails now, those that have waited longest first. */
  dueDigests(term: number, rules: DigestRules, limit: number): Promise<DueDigest[]>;
  /** What waits for one mail; undefined when nothing does any more. */
  readDigest(due: DueDigest): Promise<Digest | undefined>;
  /** Once: nothing happens when one of them stands in a mail already. Undefined drops them. */
  queueDigest(term: number, noticeIds: readonly string[], mail: OutgoingMail | undefined): Promise<void>;
  dueMails(term: number, limit: number): Promise<DueMail[]>;
  /** It was confirmed and routed: not due again until its lease ends. */
  mailPublished(term: number, mail: DueMail): Promise<void>;
  /** Mails that wait for another try. */
  deferredMails(): Promise<number>;
  /** Watches, notices, mails and suppressions of it, whatever its case. */
  eraseAddress(term: number, address: string): Promise<ErasedCounts>;
}

export interface SourceStore {
  sources(): Promise<Source[]>;
  /** One that was deleted is there again, with the items that were left. */
  putSource(term: number, source: Source): Promise<void>;
  /** From now on nothing of it is written; its items are left to emptyDeletedSource. @returns false when there is none. */
  deleteSource(term: number, name: string): Promise<boolean>;
  /** A step: at most so many items of a deleted source vanish, and go. @returns whether there may be more. */
  emptyDeletedSource(term: number, rowsMax: number): Promise<boolean>;
  /** Those that have waited most of their intervals first. `intervalSMin`: no shop is expected more often. */
  sourceAges(options: { limit: number; intervalSMin: number }): Promise<SourceAge[]>;
}

export interface WatchStore {
  watches(): Promise<Watch[]>;
  /** Without the address: whoever has a watch's id got it by mail. */
  watch(id: string): Promise<WatchView | undefined>;
  /** Idempotent: the same watch twice is one row. */
  putWatch(term: number, watch: Omit<Watch, 'id'>): Promise<Watch>;
  deleteWatch(term: number, id: string): Promise<boolean>;
}

export interface RecentStore {
  recentFiles(limit: number): Promise<FileView[]>;
  recentMails(limit: number): Promise<MailView[]>;
  recentCrawls(limit: number): Promise<CrawlView[]>;
  counts(): Promise<StoredCounts>;
  measures(): Promise<Measures>;
}

export interface RetentionStore {
  /**
   * Removes at most `rowsMax` rows that are older than `days`, the oldest first. `from`: what is older was removed before.
   * @returns how many, and the time of the last one.
   */
  sweep(
    term: number,
    table: Swept,
    step: { days: number; rowsMax: number; from?: Date | undefined },
  ): Promise<{ swept: number; reached?: Date | undefined }>;
}

/** All of it, as nodes/database gives it. */
export interface Store
  extends
    FenceStore,
    ItemStore,
    CrawlStore,
    FileStore,
    MailStore,
    SourceStore,
    WatchStore,
    RecentStore,
    RetentionStore,
    DeadLetterStore,
    TraceStore {}
