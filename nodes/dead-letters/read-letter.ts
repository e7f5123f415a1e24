// What lies in a dead-letter queue, read for people: where it came from, why it died, what of it belongs together. Takes
// anything, ours or not, since a letter that could not be read could not be kept. Pure.
import { createHash } from 'node:crypto';
import { z } from 'zod';
import { parseFileName } from '../../contracts/file.ts';
import { sourceNameSchema, traceparentSchema } from '../../contracts/ids.ts';
import { itemPageBytesMax } from '../../contracts/item-page.ts';
import { exchanges, messageHeaders, queues, routingKeys } from '../../contracts/topology.ts';
import { parseJson } from '../../runtime/parse-json.ts';
import type { TakenMessage } from '../../runtime/rabbitmq.ts';
import { storableText } from '../database/storable-text.ts';
import type { NewDeadLetter } from './store.ts';

const reasonLengthMax = 1_000;
const idLengthMax = 200;
const kindLengthMax = 200;
// What anybody may write into a header fits into its column: an integer, and a bigint that is read as a number.
const sentAgainMax = 1_000_000;
const letterIdMax = Number.MAX_SAFE_INTEGER;

export function readLetter(queue: string, message: TakenMessage, now: Date): NewDeadLetter {
  const { headers, body } = message;
  const text = (name: string): string | undefined => plain(headers[name]);
  const death = lastDeath(headers);
  const said = bodyFields(body);
  const source = sourceOf(said);
  const code = text(messageHeaders.deadCode) ?? death?.reason ?? 'unknown';
  const reason = (
    text(messageHeaders.deadReason) ??
    (death ? `RabbitMQ dead-lettered it: ${death.reason}` : 'it says no reason')
  ).slice(0, reasonLengthMax);
  const messageId = (plain(message.messageId) ?? '').slice(0, idLengthMax);
  const retries = count(headers[messageHeaders.retries], sentAgainMax);
  // Not when it was published: a batch that comes again buries its poison again.
  const fingerprint = createHash('sha256')
    .update(JSON.stringify([queue, messageId, message.type, code, reason, retries]))
    .update(body)
    .digest();
  return {
    queue,
    routingKey: routeBack(queue, source, text(messageHeaders.originalRoutingKey) ?? death?.routingKey),
    messageId,
    type: plain(message.type) ?? '',
    source,
    code: code.slice(0, idLengthMax),
    reason,
    group: groupOf({ queue, source, code, reason }),
    headers,
    body,
    traceparent: traceOf(text(messageHeaders.traceparent)) ?? traceOf(said.traceparent) ?? null,
    retries,
    cameFrom: count(headers[messageHeaders.deadLetterId], letterIdMax) || null,
    fingerprint,
    diedAt:
      message.timestamp === undefined ? now : new Date(Math.min(message.timestamp * 1_000, now.getTime())),
  };
}

/** Letters whose reasons differ in numbers and quoted words alone died of the same. */
function groupOf({
  queue,
  source,
  code,
  reason,
}: {
  queue: string;
  source: string | null;
  code: string;
  reason: string;
}): string {
  const kind = reason
    .replaceAll(/"(?:[^"\\]|\\.)*"/g, '"…"')
    .replaceAll(/\d+/g, '#')
    .slice(0, kindLengthMax);
  return createHash('sha256')
    .update(JSON.stringify([queue, source, code, kind]))
    .digest('hex')
    .slice(0, 10);
}

const deathSchema = z.object({
  reason: z.string(),
  exchange: z.string(),
  'routing-keys': z.array(z.string()).default([]),
});

/** The newest entry of RabbitMQ's own account, used where no handler said why. */
function lastDeath(
  headers: Readonly<Record<string, unknown>>,
): { reason: string; routingKey: string | undefined } | undefined {
  const deaths = z.tuple([deathSchema], z.unknown()).safeParse(headers['x-death']);
  if (!deaths.success) return undefined;
  const { reason, exchange, 'routing-keys': keys } = deaths.data[0];
  return {
    reason: storableText(reason),
    routingKey: exchange === exchanges.main.name ? plain(keys[0]) : undefined,
  };
}

/** A key that leads into the queue it came from, whatever a header says. */
function routeBack(queue: string, source: string | null, said: string | undefined): string {
  if (said?.startsWith(`${queue}.`)) return said.slice(0, 255);
  if (queue === queues.items.name && source !== null) return routingKeys.items(source);
  return `${queue}.again`;
}

const fieldsSchema = z.object({ source: z.unknown(), name: z.unknown(), traceparent: z.unknown() }).partial();
type Fields = z.infer<typeof fieldsSchema>;

function bodyFields(body: Buffer): Fields {
  if (body.length > itemPageBytesMax) return {};
  return fieldsSchema.safeParse(parseJson(body.toString('utf8'))).data ?? {};
}
function sourceOf({ source, name }: Fields): string | null {
  const said = sourceNameSchema.safeParse(source);
  if (said.success) return said.data;
  return typeof name === 'string' ? (parseFileName(name)?.source ?? null) : null;
}
function traceOf(value: unknown): string | undefined {
  return traceparentSchema.safeParse(value).data;
}

function count(value: unknown, max: number): number {
  return typeof value === 'number' && Number.isSafeInteger(value) && value > 0 ? Math.min(value, max) : 0;
}
function plain(value: unknown): string | undefined {
  return typeof value === 'string' ? storableText(value) : undefined;
}
