// The cluster's shared keys as they stand in the file that BATON_CLUSTER_KEYS_URI names. Never logs one.
import { z } from 'zod';

const clusterKeySchema = z.strictObject({
  /** Travels in clear in every datagram, so that a receiver knows which key to try. */
  id: z.int().min(0).max(255),
  /** Base64 of 32 bytes. */
  key: z.base64().refine((text) => Buffer.from(text, 'base64').length === 32, 'not 32 bytes in base64'),
});

/**
 * `current` is the one this node seals with; `previous` is a second one it accepts and uses towards peers
 * that do not know the current one yet, so that a new key is rolled out node after node.
 */
export const clusterKeysSchema = z
  .strictObject({ current: clusterKeySchema, previous: clusterKeySchema.optional() })
  .refine((keys) => keys.current.id !== keys.previous?.id, 'current and previous have the same id');

export type ClusterKeys = z.infer<typeof clusterKeysSchema>;
