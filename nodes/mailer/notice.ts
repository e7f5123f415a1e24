// What somebody is to be told, as it waits in the database for its mail: one schema per kind, and how long a kind is gathered
// before it becomes a mail. Pure.
import { z } from 'zod';

const timestamp = z.iso.datetime({ offset: true });

export const noticeSchema = z.discriminatedUnion('kind', [
  z.object({
    kind: z.literal('price-drop'),
    source: z.string(),
    sku: z.string(),
    title: z.string(),
    price: z.number(),
    previousPrice: z.number(),
    currency: z.string().nullable(),
    inStock: z.boolean(),
  }),
  z.object({
    kind: z.literal('file-rejected'),
    name: z.string(),
    openedAt: timestamp,
    reason: z.string().nullable(),
    problems: z.array(z.string()),
  }),
  z.object({
    kind: z.literal('leader-changed'),
    leader: z.string(),
    before: z.string(),
    term: z.int(),
    at: timestamp,
  }),
]);
export type Notice = z.infer<typeof noticeSchema>;
export type NoticeKind = Notice['kind'];
export type PriceDrop = Extract<Notice, { kind: 'price-drop' }>;
export type RejectedFile = Extract<Notice, { kind: 'file-rejected' }>;
export type LeaderChange = Extract<Notice, { kind: 'leader-changed' }>;

/** Notices of one kind for one recipient, oldest first; they become one mail. */
export interface Digest {
  /** kind/entity/version/recipient of its newest notice: each notice stands in one mail. */
  readonly key: string;
  readonly recipient: string;
  /** The watch of its first notice. */
  readonly watch: string;
  readonly noticeIds: readonly string[];
  readonly notices: readonly [Notice, ...Notice[]];
  readonly traceparent: string;
}

/**
 * `gatherMs`: how long the first notice waits for others. `quietMs`: between two mails of a kind to one address, whatever
 * happens meanwhile; a leader may flap, and a shop may change all its prices at once.
 */
export type DigestRules = Readonly<
  Record<NoticeKind, { readonly gatherMs: number; readonly quietMs: number }>
>;
export const digestRules: DigestRules = {
  'price-drop': { gatherMs: 1_000, quietMs: 30_000 },
  'file-rejected': { gatherMs: 2_000, quietMs: 60_000 },
  'leader-changed': { gatherMs: 10_000, quietMs: 300_000 },
};
