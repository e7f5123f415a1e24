// What the public API says of dead letters, and what it may be asked to do with them: read by the nodes that answer it
// and by `baton dlq`.
import * as z from 'zod';
import { sourceNameSchema } from './ids.ts';
import { issueSchema } from './issue.ts';
import { messageBytesMax } from './item-page.ts';

export const deadLetterStates = ['waiting', 'sending', 'sent', 'discarded'] as const;

export const deadLetterSchema = z.object({
  id: z.int(),
  /** Where it came from: `items`, not `items.dead`. */
  queue: z.string(),
  messageId: z.string(),
  source: z.string().nullable(),
  /** A code of contracts/failures.ts, or RabbitMQ's own word where no handler gave one. */
  code: z.string(),
  reason: z.string(),
  /** Shared by all that died of the same cause in the same queue and source. */
  group: z.string(),
  state: z.enum(deadLetterStates),
  /** How often it was sent again. */
  retries: z.int(),
  /** How often this very letter arrived. */
  times: z.int(),
  edited: z.boolean(),
  diedAt: z.iso.datetime(),
  changedAt: z.iso.datetime(),
});
export type DeadLetter = z.infer<typeof deadLetterSchema>;
export const deadLetterListSchema = z.object({
  letters: z.array(deadLetterSchema),
  /** Asked for as `after`, it gives the next page. */
  next: z.int().nullable(),
});

const deadLetterGroupSchema = deadLetterSchema
  .pick({ group: true, queue: true, source: true, code: true, reason: true })
  .extend({ letters: z.int(), oldest: z.iso.datetime(), newest: z.iso.datetime() });
export type DeadLetterGroup = z.infer<typeof deadLetterGroupSchema>;
export const deadLetterGroupsSchema = z.object({ groups: z.array(deadLetterGroupSchema) });

const deadLetterActionSchema = z.object({
  action: z.uuid(),
  at: z.iso.datetime(),
  kind: z.enum(['retry', 'edit', 'discard']),
  by: z.string(),
  reason: z.string().nullable(),
  detail: z.record(z.string(), z.unknown()),
  letters: z.int(),
});
export type DeadLetterAction = z.infer<typeof deadLetterActionSchema>;
export const deadLetterActionsSchema = z.object({ actions: z.array(deadLetterActionSchema) });

export const deadLetterDetailSchema = deadLetterSchema.extend({
  type: z.string(),
  routingKey: z.string(),
  traceparent: z.string().nullable(),
  /** The letter it was before it was sent again and died anew. */
  cameFrom: z.int().nullable(),
  headers: z.record(z.string(), z.unknown()),
  body: z.string(),
  bodyBefore: z.string().nullable(),
  /** Encoding of both bodies: base64 where either is not UTF-8. */
  encoding: z.enum(['utf8', 'base64']),
  /** What its contract finds wrong with it as it is now. */
  problems: z.array(issueSchema),
  actions: z.array(deadLetterActionSchema),
});
export type DeadLetterDetail = z.infer<typeof deadLetterDetailSchema>;

export const deadLetterSelectionSchema = z
  .strictObject({
    ids: z.array(z.int().min(1)).min(1).max(1_000).optional(),
    group: z.string().min(1).max(40).optional(),
    queue: z.string().min(1).max(100).optional(),
    code: z.string().min(1).max(100).optional(),
    source: sourceNameSchema.optional(),
    /** Has to be said: an empty selection is a mistake more often than a wish. */
    all: z.literal(true).optional(),
  })
  .refine(
    ({ all, ...rest }) => (all === true) !== Object.values(rest).some((value) => value !== undefined),
    'ids, group, queue, code or source; or all alone',
  );
export type DeadLetterSelection = z.infer<typeof deadLetterSelectionSchema>;

const asked = {
  /** Who asks, as they name themselves: for the audit. */
  by: z.string().trim().min(1).max(100),
  /** Says what would be done, and does nothing. */
  dryRun: z.boolean().default(false),
};
export const retryRequestSchema = z.strictObject({ ...asked, select: deadLetterSelectionSchema });
export const discardRequestSchema = z.strictObject({
  ...asked,
  select: deadLetterSelectionSchema,
  reason: z.string().trim().min(1).max(500),
});
export const editRequestSchema = z.strictObject({
  ...asked,
  body: z
    .string()
    .max(messageBytesMax)
    .refine(
      (body) => new TextEncoder().encode(body).length <= messageBytesMax,
      `at most ${messageBytesMax} bytes, which is what RabbitMQ takes`,
    ),
});

/** `problems`: what its contract finds wrong with the new body; `edited` is false in a dry run. */
export const editAnswerSchema = z.object({ edited: z.boolean(), problems: z.array(issueSchema) });
export type EditAnswer = z.infer<typeof editAnswerSchema>;

export const actionAnswerSchema = z.object({
  /** Null when it was a dry run, or nothing was there to do. */
  action: z.uuid().nullable(),
  letters: z.int(),
  groups: z.array(deadLetterGroupSchema),
});
export type ActionAnswer = z.infer<typeof actionAnswerSchema>;
