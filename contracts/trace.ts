// How an item or a message went through the system, as GET /items/{source}/{sku}/trace and GET /messages/{id}/trace tell
// it: each time is by the clock of the process that did the step, so two of them may disagree by what their clocks do.
import * as z from 'zod';
import { deadLetterSchema } from './dead-letter.ts';

const at = z.iso.datetime();

/** One post of a message's items to the leader. */
const deliverySchema = z.object({
  messageId: z.string(),
  /** The page that was scraped. */
  url: z.string(),
  fetchedAt: at,
  publishedAt: at.nullable(),
  /** 1, and one more for each time it waited in a retry queue. */
  attempt: z.int(),
  receivedAt: at,
  postedAt: at,
  node: z.string(),
  term: z.int(),
});
export type Delivery = z.infer<typeof deliverySchema>;

const tracedVersionSchema = z.object({
  version: z.int(),
  /** Null when it changed nothing that the feed tells, or the feed no longer holds it. */
  change: z.string().nullable(),
  price: z.number().nullable(),
  previousPrice: z.number().nullable(),
  currency: z.string().nullable(),
  term: z.int(),
  traceparent: z.string(),
  writtenAt: at,
  /** Empty for rows of files, and where none was noted. */
  deliveries: z.array(deliverySchema),
  /** Files of the same intake: that of its crawl, or the partner's file it came with. */
  files: z.array(
    z.object({ name: z.string(), state: z.string(), movedTo: z.string().nullable(), changedAt: at }),
  ),
  mails: z.array(
    z.object({
      mailId: z.uuid(),
      kind: z.string(),
      state: z.string(),
      attempt: z.int(),
      madeAt: at,
      changedAt: at,
    }),
  ),
});
export type TracedVersion = z.infer<typeof tracedVersionSchema>;

export const itemTraceSchema = z.object({
  source: z.string(),
  sku: z.string(),
  title: z.string(),
  /** The newest first. */
  versions: z.array(tracedVersionSchema),
});
export type ItemTrace = z.infer<typeof itemTraceSchema>;

export const messageTraceSchema = z.object({
  messageId: z.string(),
  deliveries: z.array(deliverySchema),
  /** The rows it wrote. */
  rows: z.array(z.object({ source: z.string(), sku: z.string(), version: z.int(), writtenAt: at })),
  deadLetters: z.array(deadLetterSchema),
});
export type MessageTrace = z.infer<typeof messageTraceSchema>;
