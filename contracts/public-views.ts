// What a node's public listener answers to readers: the page and the CLI read these. Types, since the page is served by the
// node that answers it; and the one address that mails carry. Lists are newest first and hold no address of a person.
import type { Member } from './environment.ts';
import type { BatonEvent, EventType } from './event.ts';
import type { LeaderHint } from './node-api.ts';

/** A role as the election sees it. */
export type RoleView =
  | { readonly kind: 'leader' }
  | { readonly kind: 'candidate' }
  | { readonly kind: 'follower'; readonly leader: string | null }
  | { readonly kind: 'learner'; readonly leader: string | null };

/**
 * Leadership as writes see it. `waiting`: elected, but the fence is not claimed yet, or leadership is being handed over.
 * `resigned`: the node ends, and takes no more writes.
 */
export type LeadershipView =
  | { readonly kind: 'following'; readonly term: number; readonly leader: string | null }
  | { readonly kind: 'waiting'; readonly term: number }
  | { readonly kind: 'leading'; readonly term: number }
  | { readonly kind: 'resigned'; readonly term: number };

/** GET /cluster: the cluster as the answering node sees it. */
export interface ClusterView {
  readonly nodeId: string;
  readonly role: RoleView;
  readonly term: number;
  readonly state: LeadershipView;
  readonly abstaining: boolean;
  readonly leader: LeaderHint | null;
  readonly generation: number;
  /** Null when the database cannot say. */
  readonly fence: { readonly term: number; readonly holder: string | null } | null;
  /** `lastContactMs`: null for the node itself, and for one it has not heard. Followers hear the leader alone. */
  readonly members: readonly (Member & { readonly lastContactMs: number | null })[];
}

/** GET /queues: ready messages by queue, null where nobody says; of a dead-letter queue also those that the leader moved to the database. */
export interface QueuesView {
  readonly depths: Readonly<Record<string, number | null>>;
}

/** GET /sources: `standings` of the sources that are switched on, the most overdue first. */
export interface SourceStanding {
  readonly source: string;
  readonly kind: 'shop' | 'partner';
  /** Null while there is no crawl that finished, or no file that was applied. */
  readonly lastGoodAt: string | null;
  /** Seconds since `lastGoodAt`, or since the first one was due. */
  readonly ageS: number;
  /** How often one is expected; null for a partner of whom nobody said. */
  readonly intervalS: number | null;
  readonly intervals: number | null;
  readonly isOverdue: boolean;
  /** Why the last finished crawl of a shop did not read all of it; null when it did. */
  readonly incomplete: string | null;
}

/** The state of a thing has the fields of the event that tells its change; `at` is when it changed last. */
type Latest<T extends EventType> = Omit<
  Extract<BatonEvent, { type: T }>,
  'version' | 'type' | 'process' | 'traceparent'
>;
/**
 * GET /files, GET /crawls, GET /mails: `{ files: FileView[] }` and so on. `movedTo`: where the file lies now, as
 * `rejected/<name>`; null while it lies in in/. The live events do not say it.
 */
export type FileView = Latest<'file.changed'> & { readonly movedTo?: string | null };
/** A crawl whose worker was lost stays `running` until another takes it on; `failed`: it was given up. */
export type CrawlView = Omit<Latest<'crawl.changed'>, 'status'> & {
  readonly status: 'running' | 'paused' | 'finished' | 'failed';
};
export type MailView = Latest<'mail.changed'> & { readonly kind: string };

/** Where a watch is ended by its id alone: stands in the header of each mail (RFC 8058), and `:id` makes the route. */
export const endOfWatch = (id: string): string => `/watches/${id}/end`;
