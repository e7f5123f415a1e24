// One consumer on one RabbitMQ queue: buffers what arrives, unacknowledged, up to its prefetch. It never connects
// again by itself: when its connection or channel is gone it says so, and its owner opens another.
import { connect, type ConsumeMessage } from 'amqplib';
import type { Credentials } from '../../runtime/secrets.ts';
import { pause } from '../pause.ts';
import { recordJson } from './rabbitmq-event-body.ts';

export interface BrokerAddress {
  /** amqps://host:port/vhost */
  readonly url: string;
  readonly credentials: () => Promise<Credentials>;
  /** PEM of the authority that signed the broker's certificate. */
  readonly ca: string;
}

export interface Delivery {
  readonly deliveryTag: number;
  readonly messageId: string | undefined;
  /** As in the event. */
  readonly json: string;
  readonly bytes: number;
}

export interface QueueFeed {
  /** Oldest first; the owner takes from its front. */
  readonly buffer: Delivery[];
  /** Aborted when the channel or its connection is gone: whatever was not acknowledged comes again. */
  readonly gone: AbortSignal;
  /** Resolves when something arrives, the feed is gone, the time is over, or the signal is aborted. */
  changed(timeoutMs: number, signal: AbortSignal): Promise<void>;
  /** This delivery and every earlier one of this feed. */
  acknowledgeUpTo(delivery: Delivery): void;
  /** Puts the whole of them back in the queue. */
  giveBack(deliveries: readonly Delivery[]): void;
  /** To the queue's dead-letter exchange, when it has one. */
  refuse(delivery: Delivery): void;
  close(): Promise<void>;
}

const connectTimeoutMs = 5_000;
const heartbeatS = 10;
const closeTimeoutMs = 1_000;

/** The vhost of an AMQP URL: `/` when it names none. */
export function vhostOf(url: string): string {
  const path = new URL(url).pathname;
  return path.length <= 1 ? '/' : decodeURIComponent(path.slice(1));
}

/** @throws Error when the broker cannot be reached, refuses the user, or has no such queue. */
export async function openQueueFeed(
  broker: BrokerAddress,
  { queue, prefetch, onProblem }: { queue: string; prefetch: number; onProblem: (error: Error) => void },
): Promise<QueueFeed> {
  const { username, password } = await broker.credentials();
  const { hostname, port } = new URL(broker.url);
  const connection = await connect(
    {
      protocol: 'amqps',
      hostname,
      port: Number(port === '' ? 5671 : port),
      username,
      password,
      vhost: vhostOf(broker.url),
      heartbeat: heartbeatS,
    },
    {
      ca: [broker.ca],
      minVersion: 'TLSv1.2',
      timeout: connectTimeoutMs,
      // Without it an acknowledgement waits up to 44 ms for the one before.
      noDelay: true,
      clientProperties: { connection_name: `event source of ${queue}` },
    },
  );
  const gone = new AbortController();
  const end = (): void => gone.abort();
  connection.on('error', onProblem);
  connection.on('close', end);
  try {
    const channel = await connection.createChannel();
    channel.on('error', onProblem);
    channel.on('close', end);
    await channel.prefetch(prefetch);
    const buffer: Delivery[] = [];
    /** Of the wait that is under way. */
    let arrived: AbortController | undefined;
    await channel.consume(queue, (message: ConsumeMessage | null) => {
      // Null: the broker has taken the consumer away, as when the queue was deleted.
      if (message === null) return end();
      const json = recordJson({
        content: message.content,
        redelivered: message.fields.redelivered,
        properties: message.properties as unknown as Record<string, unknown>,
      });
      const messageId = message.properties.messageId as unknown;
      buffer.push({
        deliveryTag: message.fields.deliveryTag,
        messageId: typeof messageId === 'string' ? messageId : undefined,
        json,
        bytes: Buffer.byteLength(json),
      });
      // Once a wait and not once a message: an abort costs more than all else that is done here.
      arrived?.abort();
      arrived = undefined;
    });
    /** The client throws on a channel that has closed; the broker has the messages back by then. */
    const say = (act: () => void): void => {
      if (!gone.signal.aborted) act();
    };
    return {
      buffer,
      gone: gone.signal,
      async changed(timeoutMs, signal) {
        arrived = new AbortController();
        await pause(timeoutMs, AbortSignal.any([arrived.signal, gone.signal, signal]));
      },
      acknowledgeUpTo: ({ deliveryTag }) => say(() => channel.ack(tagged(deliveryTag), true)),
      giveBack: (deliveries) =>
        say(() => {
          for (const { deliveryTag } of deliveries) channel.nack(tagged(deliveryTag), false, true);
        }),
      refuse: ({ deliveryTag }) => say(() => channel.nack(tagged(deliveryTag), false, false)),
      close: () => closeWithin(connection.close()),
    };
  } catch (error) {
    await closeWithin(connection.close());
    throw error;
  }
}

/** The client reads nothing of a message but its tag when it acknowledges. */
function tagged(deliveryTag: number): ConsumeMessage {
  return { fields: { deliveryTag } } as ConsumeMessage;
}

async function closeWithin(closing: Promise<void>): Promise<void> {
  const done = new AbortController();
  // Closing a connection that is closed already rejects, which is what was wanted.
  closing.then(
    () => done.abort(),
    () => done.abort(),
  );
  await pause(closeTimeoutMs, done.signal);
}
