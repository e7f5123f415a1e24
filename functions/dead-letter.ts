// What a handler does with a RabbitMQ message it cannot finish: a dead letter with a readable reason, or another
// try later. Both are confirmed by the broker before they return, so the handler may then succeed and lose
// nothing. Never throws a message away: when the publish fails it throws and Lambda keeps the message.
import { hash } from 'node:crypto';
import { deadQueueOf, retryQueueOf } from '../contracts/queue-names.ts';
import { exchanges, messageHeaders, ownHeaders } from '../contracts/topology.ts';
import type { FailureCode } from '../contracts/failures.ts';
import { decodeHeaders, type QueuedMessage, type RabbitmqMessage } from '../contracts/rabbitmq-event.ts';
import type { Logger } from '../runtime/logger.ts';
import type { BrokerClient, BrokerMessage } from '../runtime/rabbitmq.ts';

export interface PublishPorts {
  /** Opened only when a message has to be published. */
  readonly broker: () => Promise<Pick<BrokerClient, 'publish'>>;
  readonly logger: Logger;
}
export interface Letter extends QueuedMessage {
  /** The id under which it is told; the message's own unless given. */
  readonly messageId?: string;
  /** The key it was published with, where known, so that it can be sent again. */
  readonly routingKey?: string;
  readonly code: FailureCode;
  readonly reason: string;
}

const reasonLengthMax = 1_000; // Headers travel in one AMQP frame.
const publishTimeoutMs = 10_000;
const latestDateMs = 253_402_300_800_000; // The year 10,000: what anybody may write into a header.

/**
 * Publishes to `baton.dead` with key `<queue>.dead`, and tells it. A body that is not UTF-8 is stored as base64, and the
 * reason says so.
 */
export async function deadLetter(ports: PublishPorts, letter: Letter): Promise<void> {
  const { queue, message, routingKey, code, reason } = letter;
  const { body, encoded } = bodyOf(message);
  const words = printable(encoded ? `${reason} (the body is not UTF-8, here as base64)` : reason);
  await publish(ports, message, {
    exchange: exchanges.dead.name,
    routingKey: deadQueueOf(queue),
    body,
    headers: {
      ...ownHeaders(headersOf(message)),
      [messageHeaders.deadCode]: code,
      [messageHeaders.deadReason]: words.slice(0, reasonLengthMax),
      [messageHeaders.originalQueue]: queue,
      ...(routingKey === undefined ? {} : { [messageHeaders.originalRoutingKey]: routingKey }),
    },
  });
  const messageId = letter.messageId ?? message.basicProperties.messageId ?? '(none)';
  ports.logger.emit({ type: 'message.dead-lettered', queue, messageId, code, reason });
}

/** Publishes to `baton.retry` with key `<queue>.retry`, as its next attempt; the TTL queue sends it back. */
export async function publishRetry(
  ports: Pick<PublishPorts, 'broker'>,
  { queue, message }: QueuedMessage,
  headers: Readonly<Record<string, number>> = {},
): Promise<void> {
  await publish(ports, message, {
    exchange: exchanges.retry.name,
    routingKey: retryQueueOf(queue),
    body: bodyOf(message).body,
    headers: {
      ...ownHeaders(headersOf(message)),
      ...headers,
      [messageHeaders.attempt]: attemptOf(message) + 1,
    },
  });
}

/** From 1. */
export function attemptOf(message: RabbitmqMessage): number {
  const attempt = Number(headersOf(message)[messageHeaders.attempt]);
  return Number.isSafeInteger(attempt) && attempt > 0 ? attempt : 1;
}

/** Null where its publisher did not say. */
export function publishedAtOf(message: RabbitmqMessage): string | null {
  const at = headersOf(message)[messageHeaders.publishedAt];
  return typeof at === 'number' && at > 0 && at < latestDateMs ? new Date(at).toISOString() : null;
}

async function publish(
  { broker }: Pick<PublishPorts, 'broker'>,
  { basicProperties: { type, messageId }, data }: RabbitmqMessage,
  how: Pick<BrokerMessage, 'exchange' | 'routingKey' | 'body' | 'headers'>,
): Promise<void> {
  const client = await broker();
  await client.publish(
    // Of the content where its publisher gave no id: done again, it is the same message. A message may do without a type.
    { ...how, type: type ?? undefined, messageId: messageId ?? hash('sha256', data) },
    { timeoutMs: publishTimeoutMs },
  );
}

function headersOf({ basicProperties }: RabbitmqMessage): Record<string, unknown> {
  return decodeHeaders(basicProperties.headers);
}

function bodyOf(message: RabbitmqMessage): { body: string; encoded: boolean } {
  try {
    const bytes = Buffer.from(message.data, 'base64');
    return { body: new TextDecoder('utf-8', { fatal: true, ignoreBOM: true }).decode(bytes), encoded: false };
  } catch {
    return { body: message.data, encoded: true }; // The base64 text itself: nothing is lost.
  }
}

function printable(text: string): string {
  return text.replace(/\p{Cc}+/gu, ' ');
}
