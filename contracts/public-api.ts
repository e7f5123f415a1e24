// What a node's public listener answers, a schema each: nodes describe themselves with it (GET /openapi.json), the CLI reads
// by it, and the page, which is served by the node that answers it, takes the types alone. public-routes.ts has the paths.
// Lists are newest first, and only what needs a role holds an address of a person.
import * as z from 'zod';
import { memberSchema } from './environment.ts';
import { crawlChangedSchema, fileChangedSchema, mailChangedSchema } from './event.ts';
import { nodeIdSchema, sourceNameSchema } from './ids.ts';
import { itemSchema } from './item.ts';
import { leaderHintSchema } from './node-api.ts';
import { sourceSchema } from './source.ts';

const at = z.iso.datetime();

/** A role as the election sees it. */
const roleViewSchema = z.discriminatedUnion('kind', [
  z.object({ kind: z.literal('leader') }),
  z.object({ kind: z.literal('candidate') }),
  z.object({ kind: z.literal('follower'), leader: nodeIdSchema.nullable() }),
  z.object({ kind: z.literal('learner'), leader: nodeIdSchema.nullable() }),
]);
export type RoleView = Readonly<z.infer<typeof roleViewSchema>>;

/**
 * Leadership as writes see it. `waiting`: elected, but the fence is not claimed yet, or leadership is being handed over.
 * `resigned`: the node ends, and takes no more writes.
 */
const leadershipViewSchema = z.discriminatedUnion('kind', [
  z.object({ kind: z.literal('following'), term: z.int(), leader: nodeIdSchema.nullable() }),
  z.object({ kind: z.literal('waiting'), term: z.int() }),
  z.object({ kind: z.literal('leading'), term: z.int() }),
  z.object({ kind: z.literal('resigned'), term: z.int() }),
]);
export type LeadershipView = Readonly<z.infer<typeof leadershipViewSchema>>;
export const leadershipStates = [
  'following',
  'waiting',
  'leading',
  'resigned',
] as const satisfies readonly LeadershipView['kind'][];

/** The cluster as the answering node sees it. */
export const clusterViewSchema = z.object({
  nodeId: nodeIdSchema,
  role: roleViewSchema,
  term: z.int(),
  state: leadershipViewSchema,
  abstaining: z.boolean(),
  leader: leaderHintSchema.nullable(),
  generation: z.int(),
  /** Null when the database cannot say. */
  fence: z.object({ term: z.int(), holder: z.string().nullable() }).nullable(),
  /** `lastContactMs`: null for the node itself, and for one it has not heard. Followers hear the leader alone. */
  members: z.array(z.object({ ...memberSchema.shape, lastContactMs: z.number().nullable() })).readonly(),
});
export type ClusterView = Readonly<z.infer<typeof clusterViewSchema>>;

/** `target`: who is to lead; null: the first in rank. */
export const transferRequestSchema = z.strictObject({ target: nodeIdSchema.nullable().default(null) });
/** `leader`: null while it is not known yet. */
export const transferAnswerSchema = z.discriminatedUnion('kind', [
  z.object({ kind: z.literal('done'), leader: nodeIdSchema.nullable() }),
  z.object({ kind: z.literal('failed'), reason: z.string() }),
]);
export type TransferAnswer = Readonly<z.infer<typeof transferAnswerSchema>>;

/** What load balancers and monitoring are answered, whatever they ask. */
export const healthSchema = z.object({
  nodeId: nodeIdSchema,
  state: z.enum(leadershipStates),
  term: z.int(),
  leader: nodeIdSchema.nullable(),
  /** In words, as this node sees them. */
  problems: z.array(z.string()),
});
export type HealthView = z.infer<typeof healthSchema>;
/** The oldest first. */
export const historySchema = z.object({
  history: z.array(z.intersection(z.object({ at }), leadershipViewSchema)),
});
export type History = z.infer<typeof historySchema>;

const count = z.int().nullable();
/** Since the database was made; null where nobody says. `itemVersions` and `files`: applied ones. */
export const countsSchema = z.object({
  items: count,
  itemVersions: count,
  files: count,
  mailsSent: count,
  deadLetters: count,
  queued: count,
});
export type Counts = z.infer<typeof countsSchema>;

/** Ready messages by queue, null where nobody says; of a dead-letter queue also those that the leader moved to the database. */
export const queuesSchema = z.object({ depths: z.record(z.string(), count) });
export type QueuesView = z.infer<typeof queuesSchema>;

/** `next`: asked for as `cursor`, it gives the next page. */
export const itemListSchema = z.object({ items: z.array(itemSchema), next: z.string().nullable() });
export type ItemList = z.infer<typeof itemListSchema>;
/** `history`: with the item itself. */
export const itemDetailSchema = z.object({ item: itemSchema, history: z.array(itemSchema) });
export type ItemDetail = z.infer<typeof itemDetailSchema>;
export const exportAnswerSchema = z.object({ accepted: z.literal(true) });

const standingSchema = z.object({
  source: sourceNameSchema,
  kind: z.enum(['shop', 'partner']),
  /** Null while there is no crawl that finished, or no file that was applied. */
  lastGoodAt: at.nullable(),
  /** Seconds since `lastGoodAt`, or since the first one was due. */
  ageS: z.number(),
  /** How often one is expected; null for a partner of whom nobody said. */
  intervalS: z.number().nullable(),
  intervals: z.number().nullable(),
  isOverdue: z.boolean(),
  /** Why the last finished crawl of a shop did not read all of it; null when it did. */
  incomplete: z.string().nullable(),
  /** Why the last finished crawl of a shop read no page or saw no item; null when it did. */
  empty: z.string().nullable(),
});
export type SourceStanding = Readonly<z.infer<typeof standingSchema>>;
/** `standings`: of those that are switched on, the most overdue first. */
export const sourcesSchema = z.object({ sources: z.array(sourceSchema), standings: z.array(standingSchema) });
export type SourcesView = z.infer<typeof sourcesSchema>;

export const watchTopics = ['prices', 'files', 'leader'] as const;
export const watchSchema = z.object({
  id: z.uuid(),
  email: z.string(),
  /** Price drops of items, rejected files of a source, or who leads. */
  about: z.enum(watchTopics),
  /** Null watches every source, or every item of the source. */
  source: sourceNameSchema.nullable(),
  sku: z.string().nullable(),
});
export type Watch = Readonly<z.infer<typeof watchSchema>>;
export const watchListSchema = z.object({ watches: z.array(watchSchema) });
/** Whoever has a watch's id got it by mail. */
export const watchViewSchema = watchSchema.omit({ email: true });
export type WatchView = Readonly<z.infer<typeof watchViewSchema>>;

/** What was deleted because an address stood in it. */
export const erasedSchema = z.object({ watches: z.int(), mails: z.int(), suppressions: z.int() });
export type ErasedCounts = Readonly<z.infer<typeof erasedSchema>>;

/** The state of a thing has the fields of the event that tells its change; `at` is when it changed last. */
const notOfAState = { version: true, type: true, process: true, traceparent: true } as const;
/** `movedTo`: where the file lies now, as `rejected/<name>`; null while it lies in in/. */
const fileViewSchema = fileChangedSchema.omit(notOfAState).extend({ movedTo: z.string().nullable() });
/** A crawl whose worker was lost stays `running` until another takes it on; `failed`: it was given up. */
const crawlViewSchema = crawlChangedSchema
  .omit(notOfAState)
  .extend({ status: z.enum(['running', 'paused', 'finished', 'failed']) });
const mailViewSchema = mailChangedSchema.omit(notOfAState).extend({ kind: z.string() });
export type FileView = z.infer<typeof fileViewSchema>;
export type CrawlView = z.infer<typeof crawlViewSchema>;
export type MailView = z.infer<typeof mailViewSchema>;
export const fileListSchema = z.object({ files: z.array(fileViewSchema) });
export const crawlListSchema = z.object({ crawls: z.array(crawlViewSchema) });
export const mailListSchema = z.object({ mails: z.array(mailViewSchema) });

/** `inForce`: what is broken on purpose, in words. `possible`: a launcher runs this node, so it can be asked to break something. */
export const faultsViewSchema = z.object({ possible: z.boolean(), inForce: z.array(z.string()) });
export type FaultsView = z.infer<typeof faultsViewSchema>;

/** A link `/?key=<key>` opens the page once, and sets `cookie`. */
export const sessionKeySchema = z.object({ key: z.string(), cookie: z.string() });
export type SessionKey = z.infer<typeof sessionKeySchema>;
