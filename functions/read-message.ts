// A RabbitMQ message of one of our contracts, or the reason why it is none. Never trusts a header for what the body
// says itself, and never throws.
import * as z from 'zod';
import type { FailureCode } from '../contracts/failures.ts';
import type { RabbitmqMessage } from '../contracts/rabbitmq-event.ts';
import { describeIssues, issuesOf } from '../runtime/issues.ts';

export interface MessageContract<T> {
  readonly schema: z.ZodType<T>;
  readonly type: string;
  readonly version: number;
  readonly bytesMax: number;
}
export type ReadMessage<T> =
  | { readonly kind: 'read'; readonly value: T }
  | { readonly kind: 'poison'; readonly code: FailureCode; readonly reason: string };

const envelopeSchema = z.object({ version: z.number() });
const utf8 = new TextDecoder('utf-8', { fatal: true });

export function readMessage<T>(message: RabbitmqMessage, contract: MessageContract<T>): ReadMessage<T> {
  const { type } = message.basicProperties;
  // A message published by hand may lack it; another one's type is certainly not ours.
  if (type !== null && type !== undefined && type !== contract.type)
    return poison('MESSAGE_MALFORMED', `type: ${JSON.stringify(type.slice(0, 80))} is not ${contract.type}`);
  const bytes = Buffer.byteLength(message.data, 'base64'); // Counted, not yet decoded.
  if (bytes > contract.bytesMax)
    return poison('MESSAGE_TOO_LARGE', `${bytes} bytes, at most ${contract.bytesMax} are read`);
  let json: unknown;
  try {
    json = JSON.parse(utf8.decode(Buffer.from(message.data, 'base64'))) as unknown;
  } catch (error) {
    return poison('MESSAGE_MALFORMED', `its body is not JSON: ${(error as Error).message.slice(0, 200)}`);
  }
  const parsed = contract.schema.safeParse(json);
  if (parsed.success) return { kind: 'read', value: parsed.data };
  const envelope = envelopeSchema.safeParse(json);
  if (envelope.success && envelope.data.version > contract.version)
    return poison(
      'VERSION_UNSUPPORTED',
      `version ${envelope.data.version}, this release reads ${contract.version}`,
    );
  return poison('MESSAGE_MALFORMED', describeIssues(issuesOf(parsed.error)));
}

function poison(code: FailureCode, reason: string): { kind: 'poison'; code: FailureCode; reason: string } {
  return { kind: 'poison', code, reason };
}
