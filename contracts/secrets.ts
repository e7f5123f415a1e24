// What the secrets hold, for those that make them (a laptop's launcher, the secret keeper on AWS), those that read them, and
// whoever looks at them by hand. A variable of environment.ts says where each lies. Never a value.
import * as z from 'zod';
import type { BrokerUser } from './topology.ts';

/** A login of broker, SMTP or FTP server; the broker's in the shape that Lambda's RabbitMQ mapping wants too. */
export const credentialsSchema = z.object({ username: z.string().min(1), password: z.string().min(1) });
export type Credentials = z.infer<typeof credentialsSchema>;

const token = z.string().min(16);
/** Bearer tokens of the public API, one a role. */
export const tokensSchema = z.object({ reader: token, editor: token, operator: token });
export type Tokens = z.infer<typeof tokensSchema>;

const clusterKeySchema = z.strictObject({
  /** Travels in clear in every datagram, so that a receiver knows which key to try. */
  id: z.int().min(0).max(255),
  key: z.base64().regex(/^[^=]{43}=$/, 'not 32 bytes in base64'),
});
/**
 * What seals votes. `current` is the one a node seals with; `previous` is a second one it accepts and uses towards peers
 * that do not know the current one yet, so that a new key is rolled out node after node.
 */
export const clusterKeysSchema = z
  .strictObject({ current: clusterKeySchema, previous: clusterKeySchema.optional() })
  .refine((keys) => keys.current.id !== keys.previous?.id, 'current and previous have the same id');
export type ClusterKeys = z.infer<typeof clusterKeysSchema>;

/** PEM. */
export const keyPairSchema = z.object({ cert: z.string(), key: z.string() });
/** A process' certificate, with the authority that signed it. */
export const leafSchema = keyPairSchema.extend({ ca: z.string() });
/** The public authorities of AWS's own servers. */
export const trustSchema = z.object({ database: z.string(), broker: z.string() });
export type Trust = z.infer<typeof trustSchema>;

/** Those that the secret keeper makes. `authority`: the cluster's own, readable by that function alone. */
export type MadeSecretName = `tls/${string}` | 'authority' | 'trust' | 'cluster-keys' | 'tokens';
/** On AWS, after what the names of a stage begin with. */
export type SecretName = MadeSecretName | `broker/${BrokerUser | 'admin'}` | 'ftp' | 'smtp' | 'otlp-headers'; // Made by hand, where a stage's collector wants headers.
