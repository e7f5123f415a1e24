// What the arguments of queue.declare mean, and whether two declarations mean the same queue. Pure. An argument that
// this broker does not honour is refused instead of ignored.
import { AmqpError, notImplemented } from './amqp-error.ts';
import type { Table } from './amqp.ts';

export type QueueArguments = Readonly<Record<string, string | number>>;

export interface QueueSettings {
  readonly kind: 'quorum' | 'classic';
  /** Returns after which a message is dead; undefined is without limit. */
  readonly deliveryLimit: number | undefined;
  readonly ttlMs: number | undefined;
  readonly lengthMax: number | undefined;
  readonly overflow: 'reject-publish' | 'drop-head';
  readonly deadLetter:
    | {
        readonly exchange: string;
        /** The message's own when undefined. */
        readonly routingKey: string | undefined;
        /** Kept and tried again until a queue takes it, instead of once. */
        readonly atLeastOnce: boolean;
      }
    | undefined;
}

/** RabbitMQ 4's, which is Amazon MQ's; 3.x had none. */
const deliveryLimitDefault = 20;
/** Ten years: what a timestamp of ours can bear. RabbitMQ's is 2^32 - 1 ms. */
const ttlMsMax = 315_360_000_000;

const argumentTypes: Readonly<Record<string, 'text' | 'whole number'>> = {
  'x-queue-type': 'text',
  'x-delivery-limit': 'whole number',
  'x-message-ttl': 'whole number',
  'x-max-length': 'whole number',
  'x-overflow': 'text',
  'x-dead-letter-exchange': 'text',
  'x-dead-letter-routing-key': 'text',
  'x-dead-letter-strategy': 'text',
};

/** @throws AmqpError NOT_IMPLEMENTED for an argument it does not know, PRECONDITION_FAILED for a wrong value. */
export function readQueueArguments(queue: string, table: Table): QueueArguments {
  const read: Record<string, string | number> = {};
  for (const [name, value] of Object.entries(table)) {
    const type = argumentTypes[name];
    if (type === undefined) throw notImplemented(`queue argument '${name}' (queue '${queue}')`);
    if (type === 'text' && typeof value === 'string') read[name] = value;
    else if (type === 'whole number' && Number.isSafeInteger(value) && Number(value) >= 0)
      read[name] = Number(value);
    else throw wrong(queue, name, value, `a ${type}`);
  }
  return read;
}

/** @throws AmqpError PRECONDITION_FAILED for values that do not go together. */
export function queueSettings(queue: string, table: QueueArguments): QueueSettings {
  const kind = oneOf(queue, table, 'x-queue-type', ['quorum', 'classic'], 'classic');
  const overflow = oneOf(queue, table, 'x-overflow', ['reject-publish', 'drop-head'], 'drop-head');
  const strategy = oneOf(
    queue,
    table,
    'x-dead-letter-strategy',
    ['at-least-once', 'at-most-once'],
    'at-most-once',
  );
  const number = (name: string): number | undefined => {
    const value = table[name];
    return typeof value === 'number' ? value : undefined;
  };
  const exchange = table['x-dead-letter-exchange'];
  const routingKey = table['x-dead-letter-routing-key'];
  if (routingKey !== undefined && exchange === undefined)
    throw wrong(queue, 'x-dead-letter-routing-key', routingKey, 'together with x-dead-letter-exchange');
  if (kind === 'classic' && table['x-delivery-limit'] !== undefined)
    throw wrong(queue, 'x-delivery-limit', table['x-delivery-limit'], 'for quorum queues only');
  const ttlMs = number('x-message-ttl');
  if (ttlMs !== undefined && ttlMs > ttlMsMax)
    throw wrong(queue, 'x-message-ttl', ttlMs, `${ttlMsMax} at most`);
  return {
    kind,
    deliveryLimit: kind === 'quorum' ? (number('x-delivery-limit') ?? deliveryLimitDefault) : undefined,
    ttlMs,
    lengthMax: number('x-max-length'),
    overflow,
    deadLetter:
      typeof exchange === 'string'
        ? {
            exchange,
            routingKey: typeof routingKey === 'string' ? routingKey : undefined,
            atLeastOnce: strategy === 'at-least-once',
          }
        : undefined,
  };
}

function oneOf<const Value extends string>(
  queue: string,
  table: QueueArguments,
  name: string,
  allowed: readonly Value[],
  otherwise: Value,
): Value {
  const value = table[name];
  if (value === undefined) return otherwise;
  const found = allowed.find((candidate) => candidate === value);
  if (found === undefined) throw wrong(queue, name, value, allowed.join(' or '));
  return found;
}

function wrong(queue: string, name: string, value: unknown, expected: string): AmqpError {
  return new AmqpError(
    'PRECONDITION_FAILED',
    `invalid arg '${name}' for queue '${queue}' in vhost '/': ${JSON.stringify(value)}, expected ${expected}`,
  );
}

/** @throws AmqpError PRECONDITION_FAILED naming the first argument that differs, in RabbitMQ's words. */
export function refuseOtherArguments(queue: string, current: QueueArguments, received: QueueArguments): void {
  const shown = (value: string | number | undefined): string =>
    value === undefined ? 'none' : `the value '${value}'`;
  for (const name of new Set([...Object.keys(current), ...Object.keys(received)]))
    if (current[name] !== received[name])
      throw new AmqpError(
        'PRECONDITION_FAILED',
        `inequivalent arg '${name}' for queue '${queue}' in vhost '/': received ${shown(received[name])} but current is ${shown(current[name])}`,
      );
}
