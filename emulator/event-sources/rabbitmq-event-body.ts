// The bytes of the event that Lambda makes of RabbitMQ messages: pure. The shape is contracts/rabbitmq-event.ts'.
import { encodeHeaders, type RabbitmqMessage } from '../../contracts/rabbitmq-event.ts';

/** A message as an AMQP 0-9-1 client hands it over; an absent property is undefined. */
export interface AmqpMessage {
  readonly content: Buffer;
  readonly redelivered: boolean;
  readonly properties: Readonly<Record<string, unknown>>;
}

/** One element of `rmqMessagesByQueue`, as JSON. */
export function recordJson({ content, redelivered, properties }: AmqpMessage): string {
  const record: RabbitmqMessage = {
    basicProperties: {
      contentType: text(properties['contentType']),
      contentEncoding: text(properties['contentEncoding']),
      headers: encodeHeaders(properties['headers'] as Record<string, unknown> | undefined),
      deliveryMode: number(properties['deliveryMode']),
      priority: number(properties['priority']),
      correlationId: text(properties['correlationId']),
      replyTo: text(properties['replyTo']),
      expiration: text(properties['expiration']),
      messageId: text(properties['messageId']),
      timestamp: timestampText(properties['timestamp']),
      type: text(properties['type']),
      userId: text(properties['userId']),
      appId: text(properties['appId']),
      clusterId: text(properties['clusterId']),
      bodySize: content.length,
    },
    redelivered,
    data: content.toString('base64'),
  };
  return JSON.stringify(record);
}

/** The whole event of records of one queue; joined as text, since each record is encoded only once. */
export function eventJson(about: EventOrigin, records: readonly string[]): string {
  const { opening, closing } = envelope(about);
  return `${opening}${records.join(',')}${closing}`;
}

export interface EventOrigin {
  readonly arn: string;
  readonly queue: string;
  readonly vhost: string;
}

/**
 * How many records, from the first, fit into one event of at most `bytesMax` bytes.
 * 0 only when not even the first does.
 */
export function recordsThatFit(
  about: EventOrigin,
  recordBytes: readonly number[],
  { bytesMax, countMax }: { bytesMax: number; countMax: number },
): number {
  const { opening, closing } = envelope(about);
  let bytes = Buffer.byteLength(opening) + Buffer.byteLength(closing);
  let count = 0;
  for (const size of recordBytes) {
    bytes += size + (count === 0 ? 0 : 1);
    if (bytes > bytesMax || count >= countMax) break;
    count++;
  }
  return count;
}

/** AMQP's seconds as Lambda shows them: `Jan 1, 1970, 12:33:41 AM`, in UTC; null for none, or for no date. */
export function timestampText(seconds: unknown): string | null {
  if (typeof seconds !== 'number') return null;
  // Messages that come together are mostly of one second, and the formatter is slow.
  if (seconds !== lastShown.seconds) lastShown = { seconds, text: formatSeconds(seconds) };
  return lastShown.text;
}
let lastShown: { seconds: number; text: string | null } = { seconds: NaN, text: null };

function formatSeconds(seconds: number): string | null {
  const date = new Date(seconds * 1000);
  if (Number.isNaN(date.getTime())) return null;
  // Newer Unicode data put a narrow no-break space before AM; Lambda's texts have a plain one.
  return usDate.format(date).replaceAll('\u202f', ' ');
}
const usDate = new Intl.DateTimeFormat('en-US', {
  dateStyle: 'medium',
  timeStyle: 'medium',
  timeZone: 'UTC',
});

function envelope({ arn, queue, vhost }: EventOrigin): { opening: string; closing: string } {
  return {
    opening: `{"eventSource":"aws:rmq","eventSourceArn":${JSON.stringify(arn)},"rmqMessagesByQueue":{${JSON.stringify(`${queue}::${vhost}`)}:[`,
    closing: ']}}',
  };
}

function text(value: unknown): string | null {
  return typeof value === 'string' ? value : null;
}
function number(value: unknown): number | null {
  return typeof value === 'number' ? value : null;
}
