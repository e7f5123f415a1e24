// W3C trace context without a tracing library: one trace id from the scraper to the row and the mail.
import { randomBytes, randomUUID } from 'node:crypto';
import { traceparentSchema } from '../contracts/ids.ts';

export function newTraceparent(): string {
  return `00-${randomBytes(16).toString('hex')}-${newSpanId()}-01`;
}

/** The same trace with a span of its own; a new trace when there is none, or a malformed one. */
export function childTraceparent(parent: unknown): string {
  if (!traceparentSchema.safeParse(parent).success) return newTraceparent();
  return `${(parent as string).slice(0, 36)}${newSpanId()}-01`;
}

/** Made of the random parts of a UUID: Node keeps a supply of those, while eight random bytes cost ten times as much. */
function newSpanId(): string {
  const uuid = randomUUID();
  return uuid.slice(0, 8) + uuid.slice(24, 32);
}
