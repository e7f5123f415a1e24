// What a dead letter looks like: the message with RabbitMQ's account of its deaths in its headers. Pure.
import { decodeProperties, encodeProperties, type Table } from './amqp.ts';
import { createMessage, type Message } from './message.ts';
import type { DeathReason } from './queue-state.ts';

/** Older ones are dropped, so that headers stay within what can be written. */
const deathsMax = 16;

interface DeathRecord extends Table {
  queue: string;
  reason: string;
  count: unknown;
}

/**
 * `x-death` counts deaths per queue and reason, the newest first; `x-first-death-*` never change. The time to live of
 * the message itself is taken away, or it would expire again in the next queue.
 */
export function deadLetter(
  message: Message,
  death: {
    queue: string;
    reason: DeathReason;
    atS: number;
    exchange: string;
    routingKey: string | undefined;
  },
): Message {
  const { expiration, ...properties } = decodeProperties(message.properties);
  const { queue, reason } = death;
  const before = deathsIn(properties.headers);
  const same = before.find((record) => record.queue === queue && record.reason === reason);
  const record: DeathRecord = {
    count: { '!': 'long', value: (Number.isSafeInteger(same?.count) ? Number(same?.count) : 0) + 1 },
    reason,
    queue,
    time: { '!': 'timestamp', value: death.atS },
    exchange: message.exchange,
    'routing-keys': [message.routingKey],
    ...(expiration === undefined ? {} : { 'original-expiration': expiration }),
  };
  const first =
    before.length > 0
      ? {}
      : {
          'x-first-death-reason': reason,
          'x-first-death-queue': queue,
          'x-first-death-exchange': message.exchange,
        };
  const headers = {
    ...properties.headers,
    ...first,
    'x-death': [record, ...before.filter((other) => other !== same)].slice(0, deathsMax),
  };
  return createMessage({
    exchange: death.exchange,
    routingKey: death.routingKey ?? message.routingKey,
    properties: encodeProperties({ ...properties, headers }),
    bodyParts: [message.body],
  });
}

/**
 * Has the message been in this queue before, and come around again without anybody rejecting it? It would go round for
 * ever; RabbitMQ drops it, too.
 */
export function goesInCircles(message: Message, queue: string): boolean {
  const deaths = deathsIn(decodeProperties(message.properties).headers);
  const last = deaths.findIndex((record) => record.queue === queue);
  return last >= 0 && deaths.slice(0, last + 1).every((record) => record.reason !== 'rejected');
}

/** A publisher may send any `x-death` it likes: only what looks like one of ours counts. */
function deathsIn(headers: Table | undefined): DeathRecord[] {
  const records: unknown = headers?.['x-death'];
  if (!Array.isArray(records)) return [];
  return records.filter(
    (record: unknown): record is DeathRecord =>
      typeof record === 'object' &&
      record !== null &&
      'queue' in record &&
      typeof record.queue === 'string' &&
      'reason' in record &&
      typeof record.reason === 'string',
  );
}
