// Publishing to RabbitMQ, asking for a queue's depth and taking what lies in one: confirmed, mandatory, bounded, and over a
// connection that is opened when it is first needed and again after it broke. Never consumes: event sources do that.
//
// What a broker does not read stays in the connection and would be sent after all, each try once more. So while RabbitMQ has
// said that it reads nothing (connection.blocked: it is short of memory or disk), nothing more is written; and a connection
// on which a confirm is late is thrown away with what it still holds.
import type { Writable } from 'node:stream';
import type { Channel, ChannelModel, ConfirmChannel, GetMessage } from 'amqplib';
import { connectAmqps, type BrokerAddress } from './amqps.ts';
import { Failure } from './failure.ts';
import { within } from './waiting.ts';

export interface BrokerOptions extends BrokerAddress {
  /** Shown in the broker's list of connections. */
  readonly name: string;
}
export interface BrokerMessage {
  readonly exchange: string;
  readonly routingKey: string;
  readonly type?: string | undefined;
  readonly messageId: string;
  /** JSON */
  readonly body: string | Buffer;
  readonly headers?: Record<string, string | number>;
}
/** A message as it lay in its queue. */
export interface TakenMessage {
  readonly body: Buffer;
  readonly headers: Readonly<Record<string, unknown>>;
  readonly messageId: string | undefined;
  readonly type: string | undefined;
  /** When it was published, in seconds. */
  readonly timestamp: number | undefined;
}
export interface BrokerClient {
  /**
   * Resolves when the broker has confirmed the message and some queue has it.
   * @throws Failure BROKER_UNAVAILABLE (indefinite: it may have been taken; at once while the broker is blocked) or UNROUTABLE
   * (definite).
   */
  publish(message: BrokerMessage, options?: { timeoutMs?: number }): Promise<void>;
  /** Ready messages; eight queues are asked at a time. @throws Failure BROKER_UNAVAILABLE, also when there is no such queue. */
  depth(queue: string, options?: { timeoutMs?: number }): Promise<number>;
  /**
   * Takes ready messages, the oldest first, until one of the limits is reached, and acknowledges them when `keep` has
   * resolved; else all of them go back. `keep` may be given a message again whose acknowledgement was lost.
   * @returns how many. @throws Failure BROKER_UNAVAILABLE, or what `keep` throws.
   */
  take(
    queue: string,
    limits: { messagesMax: number; bytesMax: number },
    keep: (messages: TakenMessage[]) => Promise<void>,
  ): Promise<number>;
  close(): Promise<void>;
}

const publishWithinMs = 10_000;
const depthWithinMs = 3_000;
const takeWithinMs = 30_000;
const closeWithinMs = 1_000;
/** Publishes that wait for their confirm; one more is refused. */
const unconfirmedMax = 1_000;
/** Each has a channel for itself, of which the development broker gives a connection 64. */
const depthsAtOnce = 8;

interface Link {
  readonly connection: ChannelModel;
  readonly channel: ConfirmChannel;
  /** Message ids that came back because no queue takes them; a return always precedes its confirm. */
  readonly returned: Set<string>;
  /** Why the broker reads nothing of this connection for now. */
  readonly blocked: () => string | undefined;
}

export function connectBroker(options: BrokerOptions): BrokerClient {
  return new Client(options);
}

class Client implements BrokerClient {
  readonly #options: BrokerOptions;
  #link: Promise<Link> | undefined;
  #isClosed = false;
  #unconfirmed = 0;
  /** The last question in each. */
  readonly #lanes = Array.from({ length: depthsAtOnce }, (): Promise<unknown> => Promise.resolve());
  // Takes are done on one channel that stays open: RabbitMQ passes acknowledgements on to a quorum queue a few at a time, and
  // a channel that closes forgets those it still has. One at a time: an acknowledgement speaks for all before it.
  #taking: Promise<unknown> = Promise.resolve();
  #takeChannel: Channel | undefined;

  constructor(options: BrokerOptions) {
    this.#options = options;
  }

  async publish(message: BrokerMessage, { timeoutMs = publishWithinMs } = {}): Promise<void> {
    const what = `publishing ${message.messageId} to ${message.exchange}/${message.routingKey}`;
    if (this.#unconfirmed >= unconfirmedMax)
      throw new Failure(
        'BROKER_UNAVAILABLE',
        `${what}: ${this.#unconfirmed} messages wait for their confirm`,
      );
    this.#unconfirmed += 1;
    try {
      await inTime(timeoutMs, what, async (signal) => {
        const { connection, channel, returned, blocked } = await this.#openFor(signal);
        signal.addEventListener('abort', () => {
          // A blocked one is kept: it will be told when that ends, and a new one would not know of it.
          if (blocked() === undefined) destroy(connection);
        });
        await confirmed(channel, message);
        if (returned.delete(message.messageId)) throw new Failure('UNROUTABLE', `${what}: no queue takes it`);
      });
    } finally {
      this.#unconfirmed -= 1;
    }
  }

  depth(queue: string, { timeoutMs = depthWithinMs } = {}): Promise<number> {
    return inTime(timeoutMs, `asking for the depth of ${queue}`, (signal) =>
      this.#inLane(async () => {
        const { connection } = await this.#openFor(signal);
        // A channel of its own: the broker closes it when there is no such queue.
        const channel = await connection.createChannel();
        channel.on('error', () => undefined); // The call below rejects with the same error.
        const { messageCount } = await channel.checkQueue(queue);
        await channel.close();
        return messageCount;
      }),
    );
  }

  take(...[queue, limits, keep]: Parameters<BrokerClient['take']>): Promise<number> {
    const turn = this.#taking.then(async () => {
      try {
        return await inTime(takeWithinMs, `taking messages of ${queue}`, async (signal) =>
          takeFrom(await this.#openTaking(signal), queue, limits, keep),
        );
      } catch (error) {
        this.#giveBack();
        throw error;
      }
    });
    this.#taking = turn.catch(() => undefined); // Its caller is told.
    return turn;
  }

  async close(): Promise<void> {
    this.#isClosed = true;
    const last = this.#link;
    this.#link = undefined;
    if (!last) return;
    const ended = last.then(
      async ({ connection }) => {
        await connection.close();
        destroy(connection); // A blocked one still holds what was given up.
      },
      () => undefined, // It never opened.
    );
    await within(closeWithinMs, 'closing the broker connection', () => ended).catch(() => undefined); // The process ends anyway.
  }

  #open(): Promise<Link> {
    if (this.#isClosed) return Promise.reject(new Failure('BROKER_UNAVAILABLE', 'this client is closed'));
    if (this.#link) return this.#link;
    const forget = (): void => {
      if (this.#link === opening) this.#link = undefined;
    };
    const opening = openLink(this.#options, forget);
    this.#link = opening;
    opening.catch(forget);
    return opening;
  }

  /** For whoever still waits for it when it is open. */
  async #openFor(signal: AbortSignal): Promise<Link> {
    const link = await this.#open();
    signal.throwIfAborted();
    const reason = link.blocked();
    if (reason !== undefined) throw new Error(`the broker takes nothing for now: ${reason}`);
    return link;
  }

  /** Behind those that asked before in one of the lanes, taken in turn. */
  #inLane<T>(ask: () => Promise<T>): Promise<T> {
    const turn = (this.#lanes.shift() ?? Promise.resolve()).then(ask);
    this.#lanes.push(turn.catch(() => undefined)); // Whoever asked is told.
    return turn;
  }

  async #openTaking(signal: AbortSignal): Promise<Channel> {
    const { connection } = await this.#openFor(signal);
    if (this.#takeChannel) return this.#takeChannel;
    const channel = await connection.createChannel();
    channel.on('error', () => undefined); // The call under way rejects with the same error.
    if (signal.aborted) {
      // Another may be open by now, and what both took would be acknowledged by either.
      channel.close().catch(() => undefined); // It is closed already.
      signal.throwIfAborted();
    }
    channel.on('close', () => {
      if (this.#takeChannel === channel) this.#takeChannel = undefined;
    });
    return (this.#takeChannel = channel);
  }
  /** A closed channel gives back whatever it did not acknowledge. */
  #giveBack(): void {
    const channel = this.#takeChannel;
    this.#takeChannel = undefined;
    const close = async (): Promise<void> => channel?.close();
    close().catch(() => undefined); // It is closed already.
  }
}

/** @throws the work's own Failure, else BROKER_UNAVAILABLE. */
async function inTime<T>(ms: number, what: string, work: (signal: AbortSignal) => Promise<T>): Promise<T> {
  try {
    return await within(ms, 'the broker', work);
  } catch (error) {
    throw error instanceof Failure ? error : new Failure('BROKER_UNAVAILABLE', what, { cause: error });
  }
}

async function openLink(options: BrokerOptions, onGone: () => void): Promise<Link> {
  const connection = await connectAmqps(options, options.name);
  // The library throws where nobody listens; what it has to say reaches the caller through its pending call.
  connection.on('error', () => undefined);
  connection.on('close', onGone);
  let blocked: string | undefined;
  connection.on('blocked', (reason: string) => (blocked = reason));
  connection.on('unblocked', () => (blocked = undefined));
  try {
    const channel = await connection.createConfirmChannel();
    const returned = new Set<string>();
    channel.on('error', () => undefined);
    channel.on('close', () => {
      // A closed channel is never opened again by the library, so the whole link is given up.
      onGone();
      connection.close().catch(() => undefined); // It may be gone already.
    });
    channel.on('return', (message) => {
      const id: unknown = message.properties.messageId;
      if (typeof id === 'string') returned.add(id);
    });
    return { connection, channel, returned, blocked: () => blocked };
  } catch (error) {
    connection.close().catch(() => undefined); // The error that counts is the one thrown.
    throw error;
  }
}

/** With what it was given to send, which closing it would wait for. Whoever waits on it is told that it is gone. */
function destroy(connection: ChannelModel): void {
  const { stream } = connection.connection as unknown as { stream: Writable };
  stream.destroy(new Error('the connection was given up'));
}

async function takeFrom(
  channel: Channel,
  queue: string,
  { messagesMax, bytesMax }: { messagesMax: number; bytesMax: number },
  keep: (messages: TakenMessage[]) => Promise<void>,
): Promise<number> {
  const taken: GetMessage[] = [];
  for (let bytes = 0; taken.length < messagesMax && bytes < bytesMax;) {
    const message = await channel.get(queue);
    if (message === false) break;
    taken.push(message);
    bytes += message.content.length;
  }
  const last = taken.at(-1);
  if (last === undefined) return 0;
  await keep(taken.map(asTaken));
  channel.ack(last, true);
  return taken.length;
}

function asTaken({ content, properties }: GetMessage): TakenMessage {
  // The library types properties as any; whoever published the message decided about them.
  const { headers, messageId, type, timestamp } = properties as unknown as Record<string, unknown>;
  const text = (value: unknown): string | undefined => (typeof value === 'string' ? value : undefined);
  return {
    body: content,
    headers: typeof headers === 'object' && headers !== null ? (headers as Record<string, unknown>) : {},
    messageId: text(messageId),
    type: text(type),
    timestamp: typeof timestamp === 'number' ? timestamp : undefined,
  };
}

function confirmed(channel: ConfirmChannel, message: BrokerMessage): Promise<void> {
  return new Promise((resolve, reject) => {
    channel.publish(
      message.exchange,
      message.routingKey,
      Buffer.from(message.body),
      {
        persistent: true,
        mandatory: true,
        contentType: 'application/json',
        messageId: message.messageId,
        ...(message.type === undefined ? {} : { type: message.type }),
        timestamp: Math.floor(Date.now() / 1000),
        headers: message.headers ?? {},
      },
      (error: unknown) => {
        if (error === null || error === undefined) resolve();
        else reject(error instanceof Error ? error : new Error('the broker refused it (a full queue)'));
      },
    );
  });
}
