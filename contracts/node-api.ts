// The nodes' internal HTTPS routes (mutual TLS), as functions and nodes both see them: paths, headers, bodies.
// Every answer that fails is application/problem+json (RFC 9457) with `code` from contracts/failures.ts.
// A follower answers 421 with `leader`; callers follow it, at most twice.
// Whoever reads ignores the fields that it does not know: callers and nodes may be one release apart (docs/decisions/0045).
import * as z from 'zod';
import { detailLengthMax, mailStateSchema } from './event.ts';
import { nodeIdSchema, sourceNameSchema, traceparentSchema, versionSchema } from './ids.ts';
import { issueSchema } from './issue.ts';
import { selectorsSchema, shopSourceSchema } from './source.ts';

export const headers = {
  /** Term of the leader that answered. */
  term: 'baton-term',
  apiVersion: 'baton-api-version',
  /** Set on a request that a follower forwarded, so that it is forwarded once. */
  forwarded: 'baton-forwarded-by',
  idempotencyKey: 'idempotency-key',
  traceparent: 'traceparent',
} as const;
/** What callers send. It rises with what a reader must not ignore. */
export const apiVersion = 1;
/** What nodes serve: a version that rises is read a release before it is sent. */
export const apiVersionsRead: readonly number[] = [1];

export const leaderHintSchema = z.object({
  nodeId: nodeIdSchema,
  term: z.int(),
  internalUrl: z.url(),
  publicUrl: z.url(),
});
export type LeaderHint = z.infer<typeof leaderHintSchema>;

/** RFC 9457 problem details; `leader` on 421, `retryAfterMs` where waiting helps, `issues` names bad fields. */
export const problemSchema = z.object({
  type: z.string(),
  title: z.string(),
  status: z.int(),
  code: z.string(),
  detail: z.string().optional(),
  leader: leaderHintSchema.nullish(),
  retryAfterMs: z.number().optional(),
  issues: z.array(issueSchema).optional(),
});
export type Problem = z.infer<typeof problemSchema>;

export const routes = {
  /** POST BatchRequest -> BatchAnswer. */
  batches: '/internal/batches',
  /** POST CrawlRequest -> CrawlLease, or 204 when no source is due. */
  crawls: '/internal/crawls',
  /** PUT CrawlUpdate: stores the state and renews the lease, or renews it alone. 409 LEASE_LOST when another has it. */
  crawl: (crawlId: string) => `/internal/crawls/${crawlId}`,
  /** POST FileOpenRequest -> FileOpenAnswer: the ledger row, opened before the upload and reused on a retry. */
  files: '/internal/files',
  /** POST multipart `meta` (FileMeta JSON), `file` (the bytes as they are), `sha256` (hex) -> FileAnswer. */
  fileContent: (fileId: string) => `/internal/files/${fileId}/content`,
  /** PUT FileOutcome: why it is rejected, and where it was moved. */
  fileOutcome: (fileId: string) => `/internal/files/${fileId}/outcome`,
  /** GET ?format=csv|ndjson -> all current items, streamed. */
  export: '/internal/export',
  /** POST LeaseRequest -> { name, owner, expiresAt }; 409 LEASE_HELD. */
  lease: (name: string) => `/internal/leases/${name}`,
  /** POST MailClaimRequest -> MailClaimAnswer. */
  mailClaim: (mailId: string) => `/internal/mails/${mailId}/claim`,
  /** PUT MailResult. */
  mailResult: (mailId: string) => `/internal/mails/${mailId}/result`,
  /** POST { events: BatonEvent[] }: shown live, not stored. Best effort. */
  events: '/internal/events',
  /** A public route's path and query behind it: a write that came to a follower, with the token of the caller's role. */
  forwarded: '/internal/public',
  /** GET -> TermAnswer, by each node for itself: for whoever recovers another one by hand. */
  term: '/internal/term',
} as const;

/** `leader`: whom it hears, or itself. `abstaining`: it lost its vote file and does not vote. */
export const termAnswerSchema = z.object({
  term: z.int(),
  leader: nodeIdSchema.nullable(),
  abstaining: z.boolean(),
});
export type TermAnswer = z.infer<typeof termAnswerSchema>;

export const batchItemsMax = 1_000;
export const batchBytesMax = 8 * 1024 * 1024;
export const tracedUrlLengthMax = 500;
/** With room for `messages` on top, of which each character may be escaped. */
export const batchBodyBytesMax = batchBytesMax + batchItemsMax * (6 * tracedUrlLengthMax + 600);

export const batchRequestSchema = z.object({
  items: z
    .array(z.object({ messageId: z.string().max(80), traceparent: traceparentSchema, item: z.unknown() }))
    .min(1)
    .max(batchItemsMax),
  /** The messages they came with, for whoever traces an item. */
  messages: z
    .array(
      z.object({
        /** Traceparent of the delivery; its items carry the same. */
        traceparent: traceparentSchema,
        /** The one the message was published with; parent of `traceparent`. */
        publishedTraceparent: traceparentSchema.optional(),
        messageId: z.string().max(80),
        url: z.string().max(tracedUrlLengthMax),
        fetchedAt: z.iso.datetime(),
        publishedAt: z.iso.datetime().nullable(),
        attempt: z.int().min(1),
        receivedAt: z.iso.datetime(),
      }),
    )
    .max(batchItemsMax)
    .optional(),
});
export type BatchRequest = z.infer<typeof batchRequestSchema>;

/**
 * One verdict per item, in the order of the request:
 * applied (a new version is stored), unchanged (this very version is there already, with this content),
 * stale (a newer version is there, or a snapshot that is no older was applied),
 * invalid (malformed, or the version came before with other content).
 */
const itemVerdictSchema = z.discriminatedUnion('kind', [
  z.object({ kind: z.literal('applied') }),
  z.object({ kind: z.literal('unchanged') }),
  z.object({ kind: z.literal('stale') }),
  z.object({
    kind: z.literal('invalid'),
    code: z.enum(['ITEM_MALFORMED', 'VERSION_REUSED', 'SOURCE_UNKNOWN']),
    reason: z.string(),
  }),
]);
export type ItemVerdict = z.infer<typeof itemVerdictSchema>;
export const batchAnswerSchema = z.object({ term: z.int(), results: z.array(itemVerdictSchema) });
export type BatchAnswer = z.infer<typeof batchAnswerSchema>;

/** What the scraper remembers of a source between crawls and between the parts of one crawl. */
export const crawlStateSchema = z.object({
  /**
   * Pages still to be fetched; `waits`: how often the site asked us to come back later for it; `deaths`: how many runs ended
   * without a word while it was the next one.
   */
  frontier: z
    .array(
      z.object({
        url: z.string(),
        depth: z.int(),
        waits: z.int().optional(),
        deaths: z.int().optional(),
      }),
    )
    .max(100_000),
  /** Fetched in this crawl. */
  visited: z.array(z.string()).max(100_000),
  /** Page ordinal and item ordinal of the next page and item. */
  nextPage: z.int().min(0),
  nextOrdinal: z.int().min(0),
  /** Each URL's page: validators of its last good answer, and what it held then. */
  pages: z.record(
    z.string(),
    z.object({
      /** Where it lay after redirects, when that was elsewhere: its links count as written there. */
      at: z.string().optional(),
      etag: z.string().nullable(),
      lastModified: z.string().nullable(),
      skus: z.array(z.string()),
      links: z.array(z.string()),
      next: z.string().nullable(),
      /** What of the page was left out, and why. */
      cut: z.string().optional(),
      /** Selectors that found no value there, which is what the page is like: no sign of a change. */
      unanswered: z.array(z.enum(['sku', 'price'])).optional(),
    }),
  ),
  /** Each sku's content as last published, and the version it had, so that unchanged items are not published again. */
  contents: z.record(z.string(), z.object({ version: versionSchema, content: z.unknown() })),
  /** sha256 of the settings the pages were read with: other selectors read even an unmodified page anew. */
  extraction: z.string().optional(),
  /** Why this crawl is not whole, so that nothing counts as vanished. */
  incomplete: z.string().optional(),
});
export type CrawlState = z.infer<typeof crawlStateSchema>;
/** Body and answer of 8 MB, less what stands beside it. */
export const packedStateLengthMax = 7_800_000;
/** A state as it travels and is stored, opaque to nodes: NDJSON, zstd, base64. */
const packedStateSchema = z.object({ zstd: z.string().max(packedStateLengthMax) });
export type PackedCrawlState = z.infer<typeof packedStateSchema>;

/** Who holds a lease or a claim. */
const owner = z.string().min(1).max(100);
/** As long as a function of AWS may run. */
const leaseMsMax = 900_000;

export const crawlRequestSchema = z.object({
  owner,
  /** Only this source, whether due or not. */
  source: sourceNameSchema.optional(),
  leaseMs: z.int().min(1_000).max(leaseMsMax),
});
export type CrawlRequest = z.infer<typeof crawlRequestSchema>;
export const crawlLeaseSchema = z.object({
  crawlId: z.uuid(),
  /** As people set it; the settings of a newer release are ignored here as everywhere. */
  source: z.object({
    ...shopSourceSchema.shape,
    selectors: z.object(selectorsSchema.shape).optional(),
  }),
  /** Kept when a crawl is taken up again after its worker died; new for a new crawl. */
  intake: z.int().min(1),
  /** Null for the first crawl of a source. */
  state: packedStateSchema.nullable(),
  resumed: z.boolean(),
});
export type CrawlLease = z.infer<typeof crawlLeaseSchema>;
export const crawlUpdateSchema = z
  .object({
    owner,
    leaseMs: z.int().min(1_000).max(leaseMsMax),
    /** Left out where `running` renews the lease alone. */
    state: packedStateSchema.optional(),
    /** `running` renews; `paused` gives the lease back with the frontier kept; `finished` ends the crawl. */
    status: z.enum(['running', 'paused', 'finished']),
    /** Why it paused, or why it finished without having read all. */
    reason: z.string().max(detailLengthMax).optional(),
    /** What went wrong first with a page: the crawl goes on without it. */
    problem: z.string().max(detailLengthMax).optional(),
    /** With `paused`: for how long nobody takes the crawl up, since the site asked for it. The leader bounds it to a day. */
    waitMs: z.int().min(0).optional(),
    counts: z.object({
      pages: z.int(),
      notModified: z.int(),
      failedPages: z.int(),
      itemsSeen: z.int(),
      itemsPublished: z.int(),
    }),
  })
  .refine(
    ({ state, status }) => state !== undefined || status === 'running',
    'only `running` may leave out the state',
  );
export type CrawlUpdate = z.infer<typeof crawlUpdateSchema>;

export const fileOpenRequestSchema = z.object({
  /** What its producer called it, whatever it is called by now: the ledger knows it by this, its size and its time. */
  name: z.string().min(1).max(255),
  size: z.int().min(0),
  /** What MDTM says, in UTC. */
  modifiedAt: z.iso.datetime(),
  traceparent: traceparentSchema,
});
export type FileOpenRequest = z.infer<typeof fileOpenRequestSchema>;
export const fileOpenAnswerSchema = z.discriminatedUnion('kind', [
  z.object({ kind: z.literal('upload'), fileId: z.uuid(), intake: z.int() }),
  /** Applied before; only the move is left to be done. */
  z.object({ kind: z.literal('done'), fileId: z.uuid() }),
  z.object({ kind: z.literal('rejected'), fileId: z.uuid(), reason: z.string() }),
]);
export type FileOpenAnswer = z.infer<typeof fileOpenAnswerSchema>;

export const fileMetaSchema = z.object({
  name: z.string(),
  size: z.int(),
  traceparent: traceparentSchema,
});
export type FileMeta = z.infer<typeof fileMetaSchema>;
export const fileAnswerSchema = z.object({
  kind: z.enum(['applied', 'rejected']),
  reason: z.string().nullable(),
  rows: z.int(),
  applied: z.int(),
  unchanged: z.int(),
  stale: z.int(),
  invalid: z.int(),
  vanished: z.int(),
  /** Items of a crawl file that its messages had not delivered, or left otherwise (0 when all is well). */
  differences: z.int(),
  /** The first few bad rows in words: "row 17: price: expected number". */
  problems: z.array(z.string()),
});
export type FileAnswer = z.infer<typeof fileAnswerSchema>;
export const fileOutcomeSchema = z.object({
  /** Null while it lies in in/. */
  movedTo: z.string().nullable(),
  /** What ftp-sync rejects it for by itself: the leader could not even read it. */
  reason: z.string().nullable(),
});
export type FileOutcome = z.infer<typeof fileOutcomeSchema>;

export const leaseRequestSchema = z.object({
  owner,
  /** 0 gives it back. */
  leaseMs: z.int().min(0).max(leaseMsMax),
});

export const mailClaimRequestSchema = z.object({
  attempt: z.int().min(1),
  owner,
});
export const mailClaimAnswerSchema = z.discriminatedUnion('kind', [
  z.object({
    kind: z.literal('send'),
    from: z.string(),
    to: z.string(),
    /** The whole RFC 5322 message, base64; stored before the first attempt and the same for every one. */
    bytes: z.base64(),
    messageId: z.string(),
  }),
  /** Sent, suppressed, claimed by another, or a newer attempt is under way: acknowledge and forget. */
  z.object({ kind: z.literal('skip'), reason: z.string() }),
]);
export type MailClaimAnswer = z.infer<typeof mailClaimAnswerSchema>;
export const mailResultSchema = z.object({
  attempt: z.int().min(1),
  owner,
  /** retry: refused or failed before it was taken; rejected: there is no such recipient; unknown: lost after DATA. */
  outcome: z.enum(['sent', 'retry', 'rejected', 'unknown']),
  detail: z.string().max(2000),
});
export type MailResult = z.infer<typeof mailResultSchema>;
/** What the leader made of it: a mail that was tried for a day, or was three times in doubt, is `failed`. */
export const mailResultAnswerSchema = z.object({ state: mailStateSchema });
export type MailResultAnswer = z.infer<typeof mailResultAnswerSchema>;
