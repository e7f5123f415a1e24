// What the leader tells the intermediary, over SQS FIFO: every 2 s while it leads, and when it gives up.
// Message group: the cluster. Deduplication id: <cluster>/<term>/<sequence>.
// The directory keeps the newest by (term, sequence); an entry is valid for 6 s from receipt.
import * as z from 'zod';
import { nodeIdSchema } from './ids.ts';

export const announcementVersion = 1;
export const announceEveryMs = 2_000;
export const announcementValidityMs = 6_000;

export const announcementSchema = z.object({
  version: z.literal(announcementVersion),
  cluster: z.string().min(1).max(64),
  /** Made by the database; two databases behind one cluster name are told apart by it. */
  clusterId: z.uuid(),
  term: z.int().min(1),
  sequence: z.int().min(1),
  nodeId: nodeIdSchema,
  internalUrl: z.url(),
  publicUrl: z.url(),
  /** `waiting`: elected, but the fence could not be claimed yet (the database is away). */
  state: z.enum(['leading', 'waiting', 'resigned']),
});
export type Announcement = z.infer<typeof announcementSchema>;

export function announcementDeduplicationId({ cluster, term, sequence }: Announcement): string {
  return `${cluster}/${term}/${sequence}`;
}
