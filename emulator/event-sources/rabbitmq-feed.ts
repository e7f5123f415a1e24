// One consumer on one RabbitMQ queue: buffers what arrives, unacknowledged, up to its prefetch. It never connects
// again by itself: when its connection or channel is gone it says so, and its owner opens another.
import type { ConsumeMessage } from 'amqplib';
import { connectAmqps, type BrokerAddress } from '../../runtime/amqps.ts';
import { pause } from '../../runtime/waiting.ts';
import { recordJson } from './rabbitmq-event-body.ts';

export interface Delivery {
  readonly deliveryTag: number;
  readonly messageId: string | undefined;
  /** The message as it stands in the event. */
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
  /** Sends it to the queue's dead-letter exchange, when there is one. */
  refuse(delivery: Delivery): void;
  close(): Promise<void>;
}

const closeTimeoutMs = 1_000;

/** @throws Error when the broker cannot be reached, refuses the user, or has no such queue. */
export async function openQueueFeed(
  broker: BrokerAddress,
  { queue, prefetch, onProblem }: { queue: string; prefetch: number; onProblem: (error: Error) => void },
): Promise<QueueFeed> {
  const connection = await connectAmqps(broker, `event source of ${queue}`);
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
    /** Ends the wait that is under way. */
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
