// What happens in Baton, typed: every process logs these as NDJSON, a node serves them over SSE and the
// dashboard draws them. Data events (item.changed ...) come from the feed and carry its id; the others
// come from a ring of the last 1,000 and are best effort.
import * as z from 'zod';
import { nodeIdSchema, traceparentSchema } from './ids.ts';

export const eventVersion = 1;
const at = z.iso.datetime();
const common = {
  version: z.literal(eventVersion).default(eventVersion),
  at,
  /** Which process says so: `node-2`, `deliver`, `emulator` ... */
  process: z.string().max(64),
  traceparent: traceparentSchema.optional(),
};
const event = <T extends string, S extends z.ZodRawShape>(type: T, shape: S) =>
  z.object({ ...common, type: z.literal(type), ...shape });

const nodeId = nodeIdSchema;
const role = z.enum(['follower', 'candidate', 'leader', 'learner']);

export const fileChangedSchema = event('file.changed', {
  fileId: z.string(),
  name: z.string(),
  state: z.enum(['opened', 'applied', 'rejected', 'moved']),
  rows: z.int().nullable(),
  /** Items of a crawl file that its messages had not delivered. */
  differences: z.int().nullish(),
  reason: z.string().nullable(),
});
export const crawlChangedSchema = event('crawl.changed', {
  source: z.string(),
  intake: z.int(),
  /** How a run of the scraper ended; `lost`: the leader was not told, and the crawl goes on as if the worker had died. */
  status: z.enum(['paused', 'finished', 'lost']),
  /** Read; `failedPages`: those that were not. */
  pages: z.int(),
  failedPages: z.int(),
  itemsSeen: z.int(),
  itemsPublished: z.int(),
  /** Why it paused, or did not read all of the shop. */
  reason: z.string().nullable(),
  /** What went wrong first with a page, and with which. */
  problem: z.string().nullable(),
});
export const mailStateSchema = z.enum(['queued', 'claimed', 'sent', 'failed', 'suppressed', 'unknown']);
export const mailChangedSchema = event('mail.changed', {
  mailId: z.string(),
  state: mailStateSchema,
  attempt: z.int(),
  detail: z.string().nullable(),
});

export const batonEventSchema = z.discriminatedUnion('type', [
  event('process.started', { pid: z.int(), release: z.string() }),
  event('process.stopping', { reason: z.string() }),
  event('role.changed', {
    node: nodeId,
    from: role,
    to: role,
    term: z.int(),
    leader: nodeId.nullable(),
    reason: z.string(),
  }),
  event('election.started', { node: nodeId, term: z.int(), reason: z.string() }),
  event('vote.refused', { node: nodeId, candidate: nodeId, term: z.int(), rule: z.string() }),
  event('fence.claimed', { node: nodeId, term: z.int(), tookMs: z.number() }),
  event('fence.refused', { node: nodeId, term: z.int(), databaseTerm: z.int().nullable(), what: z.string() }),
  /** Done by hand. `unheard`: members that did not tell their term; `by` vouches that their processes have ended. */
  event('vote-file.recovered', {
    node: nodeId,
    term: z.int(),
    by: z.string().max(100),
    unheard: z.array(nodeId),
  }),
  /** Told by the leader twice a minute for as long as the database takes a fenced write of its: silence is what an alarm hears. */
  event('leader.writes', { node: nodeId, term: z.int() }),
  event('batch.applied', {
    node: nodeId,
    term: z.int(),
    applied: z.int(),
    unchanged: z.int(),
    stale: z.int(),
    invalid: z.int(),
    tookMs: z.number(),
  }),
  event('item.changed', {
    id: z.int(),
    source: z.string(),
    sku: z.string(),
    itemVersion: z.int(),
    change: z.enum(['new', 'price', 'stock', 'content', 'vanished', 'returned']),
    title: z.string(),
    price: z.number().nullable(),
    previousPrice: z.number().nullable(),
    currency: z.string().nullable(),
    inStock: z.boolean(),
    term: z.int(),
  }),
  fileChangedSchema,
  event('file.exported', { name: z.string(), rows: z.int(), bytes: z.int() }),
  crawlChangedSchema,
  /** Told by the leader once a minute for each source, for metrics and logs. No page shows it: pages ask for GET /sources. */
  event('source.judged', {
    source: z.string(),
    kind: z.enum(['shop', 'partner']),
    /** Seconds since its last crawl that read a page and saw an item, or its last applied file, or since the first one was due. */
    ageS: z.number(),
    /** Seconds from one to the next that is expected; null for a partner whose interval nobody named. */
    intervalS: z.number().nullable(),
    /** The age in intervals. */
    intervals: z.number().nullable(),
    overdue: z.boolean(),
  }),
  mailChangedSchema,
  event('message.dead-lettered', {
    queue: z.string(),
    messageId: z.string(),
    code: z.string(),
    reason: z.string(),
  }),
  event('tick.received', {
    queue: z.string(),
    sentAt: at.nullable(),
    /** `held`: another worker was at it. None from the release before. */
    outcome: z.enum(['done', 'held', 'failed']).optional(),
    files: z.int(),
    tookMs: z.number(),
  }),
  event('page.failed', { source: z.string(), url: z.string(), reason: z.string() }),
  event('fault.injected', { target: z.string(), action: z.string(), detail: z.string().nullable() }),
  event('service.changed', { service: z.string(), state: z.string(), detail: z.string().nullable() }),
  event('problem', { code: z.string(), detail: z.string() }),
]);
export type BatonEvent = z.infer<typeof batonEventSchema>;
export type EventType = BatonEvent['type'];
/** An event as its author writes it: time, process and version are added by the logger. */
type DistributiveOmit<T, K extends PropertyKey> = T extends unknown ? Omit<T, K> : never;
export type EventDraft = DistributiveOmit<BatonEvent, 'version' | 'at' | 'process'>;

export const detailLengthMax = 1_000;
/** What is told of a cause in words: an event, a verdict or a report is no place for pages of it. */
export const detailText = (text: string): string => text.slice(0, detailLengthMax);
