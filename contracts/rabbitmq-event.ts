// The event that Lambda hands to a handler fed by Amazon MQ for RabbitMQ, and its encoding.
// Source: https://docs.aws.amazon.com/lambda/latest/dg/with-mq.html and captured events;
// @types/aws-lambda has no type for it. No delivery tag, exchange or routing key reaches the handler.
import * as z from 'zod';

export const rabbitmqMessageSchema = z.object({
  basicProperties: z.object({
    contentType: z.string().nullish(),
    contentEncoding: z.string().nullish(),
    headers: z.record(z.string(), z.unknown()).nullish(),
    deliveryMode: z.number().nullish(),
    priority: z.number().nullish(),
    correlationId: z.string().nullish(),
    replyTo: z.string().nullish(),
    expiration: z.union([z.string(), z.number()]).nullish(),
    messageId: z.string().nullish(),
    timestamp: z.string().nullish(),
    type: z.string().nullish(),
    userId: z.string().nullish(),
    appId: z.string().nullish(),
    clusterId: z.string().nullish(),
    bodySize: z.number(),
  }),
  redelivered: z.boolean(),
  /** base64 */
  data: z.string(),
});
export const rabbitmqEventSchema = z.object({
  eventSource: z.literal('aws:rmq'),
  eventSourceArn: z.string(),
  /** Keyed by `queue::vhost`. */
  rmqMessagesByQueue: z.record(z.string(), z.array(rabbitmqMessageSchema)),
});
export type RabbitmqMessage = z.infer<typeof rabbitmqMessageSchema>;
export type RabbitmqEvent = z.infer<typeof rabbitmqEventSchema>;

export interface QueuedMessage {
  /** Name alone: `files`, not `files::vhost`. */
  readonly queue: string;
  readonly message: RabbitmqMessage;
}
/** Messages of an event, each with its queue. @throws ZodError for another trigger's event. */
export function messagesOf(event: unknown): QueuedMessage[] {
  return Object.entries(rabbitmqEventSchema.parse(event).rmqMessagesByQueue).flatMap(
    ([queueAndVhost, messages]) => {
      const [queue = queueAndVhost] = queueAndVhost.split('::');
      return messages.map((message) => ({ queue, message }));
    },
  );
}

/** Headers as they were published: Lambda hands texts over as `{ bytes: number[] }`. */
export function decodeHeaders(
  headers: Readonly<Record<string, unknown>> | null | undefined,
): Record<string, unknown> {
  return Object.fromEntries(
    Object.entries(headers ?? {}).map(([name, value]) => [name, decodeHeader(value)]),
  );
}
function decodeHeader(value: unknown): unknown {
  if (typeof value === 'object' && value !== null && 'bytes' in value && Array.isArray(value.bytes))
    return new TextDecoder().decode(Uint8Array.from(value.bytes as number[]));
  return value;
}

/** The reverse: headers as Lambda hands them over. */
export function encodeHeaders(
  headers: Readonly<Record<string, unknown>> | undefined,
): Record<string, unknown> | null {
  if (!headers || Object.keys(headers).length === 0) return null;
  return Object.fromEntries(
    Object.entries(headers).map(([name, value]) => [
      name,
      typeof value === 'string' ? { bytes: [...new TextEncoder().encode(value)] } : value,
    ]),
  );
}
