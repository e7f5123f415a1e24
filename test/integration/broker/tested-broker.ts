// A broker for a test file, and what the claims about it do there: each test has a channel and queues of its own.
import { randomUUID } from 'node:crypto';
import type { Channel, ChannelModel, ConfirmChannel, ConsumeMessage, GetMessage, Options } from 'amqplib';
import { afterAll, afterEach, beforeAll, beforeEach } from 'vitest';
import { pause } from '../../../runtime/waiting.ts';
import { startTestBroker, type BrokerKind, type TestBroker } from '../../support/broker.ts';

/** A message as a test reads it. */
export interface Got {
  readonly body: string;
  readonly redelivered: boolean;
  readonly deliveryTag: number;
  readonly headers: Record<string, unknown>;
  readonly message: GetMessage | ConsumeMessage;
}

export interface TestedBroker {
  readonly broker: TestBroker;
  readonly connection: ChannelModel;
  readonly channel: ConfirmChannel;
  readonly crash: { readonly exchange: string; readonly queue: string; readonly dead: string };
  /** After a crash. */
  connectAgain(): Promise<void>;
  readonly makeQueue: (table?: Record<string, string | number>) => Promise<string>;
  /** Rejects when the broker refuses it. */
  readonly publish: (
    exchange: string,
    routingKey: string,
    body: string | Buffer,
    options?: Options.Publish,
  ) => Promise<void>;
  readonly send: (queue: string, body: string | Buffer, options?: Options.Publish) => Promise<void>;
  readonly isTaken: (queue: string) => Promise<boolean>;
  /** Polls, since a broker may take a moment to hand on what it has confirmed. */
  readonly get: (queue: string, from?: Channel) => Promise<Got>;
  readonly ready: (queue: string) => Promise<number>;
}

export function useTestedBroker(kind: BrokerKind): TestedBroker {
  let broker: TestBroker;
  let connection: ChannelModel;
  let channel: ConfirmChannel;
  let crash: TestedBroker['crash'];

  beforeAll(async () => {
    broker = await startTestBroker(kind);
    connection = await broker.connect();
    await openChannel();
    crash = await makeCrashQueues();
    await channel.close();
  });
  afterAll(async () => {
    await connection.close().catch(() => undefined); // A test that failed may have closed it.
    await broker.close();
  });
  beforeEach(openChannel);
  afterEach(async () => {
    await channel.close().catch(() => undefined); // Some tests make the broker close it.
  });

  async function openChannel(): Promise<void> {
    channel = await connection.createConfirmChannel();
    channel.on('error', () => undefined); // Told through its calls as well.
  }
  async function makeQueue(table: Record<string, string | number> = {}): Promise<string> {
    const { queue } = await channel.assertQueue(`test.${randomUUID()}`, {
      durable: true,
      arguments: { 'x-queue-type': 'quorum', ...table },
    });
    return queue;
  }
  /**
   * Made long before the crash: RabbitMQ 3.10 writes down a moment later which log belongs to a new quorum queue, and a
   * queue that is younger than that never comes up again.
   */
  async function makeCrashQueues(): Promise<TestedBroker['crash']> {
    const dead = await makeQueue();
    const queue = await makeQueue({
      'x-dead-letter-exchange': '',
      'x-dead-letter-routing-key': dead,
      'x-dead-letter-strategy': 'at-least-once',
      'x-overflow': 'reject-publish',
    });
    const { exchange } = await channel.assertExchange(`test.${randomUUID()}`, 'topic', { durable: true });
    await channel.bindQueue(queue, exchange, 'crash.#');
    return { exchange, queue, dead };
  }
  function publish(
    exchange: string,
    routingKey: string,
    body: string | Buffer,
    options: Options.Publish = {},
  ): Promise<void> {
    return new Promise((resolve, reject) => {
      channel.publish(
        exchange,
        routingKey,
        Buffer.from(body),
        { persistent: true, ...options },
        (error: unknown) => {
          if (error === null || error === undefined) resolve();
          else reject(error instanceof Error ? error : new Error('refused'));
        },
      );
    });
  }
  const send = (queue: string, body: string | Buffer, options?: Options.Publish): Promise<void> =>
    publish('', queue, body, options);
  const isTaken = (queue: string): Promise<boolean> =>
    send(queue, 'x').then(
      () => true,
      () => false,
    );
  async function get(queue: string, from: Channel = channel): Promise<Got> {
    const deadline = performance.now() + 5_000;
    for (;;) {
      const message = await from.get(queue);
      if (message !== false) return read(message);
      if (performance.now() > deadline) throw new Error(`no message in ${queue} within 5 s`);
      await pause(10);
    }
  }
  const ready = async (queue: string): Promise<number> => (await channel.checkQueue(queue)).messageCount;

  return {
    get broker() {
      return broker;
    },
    get connection() {
      return connection;
    },
    get channel() {
      return channel;
    },
    get crash() {
      return crash;
    },
    async connectAgain() {
      connection = await broker.connect();
      await openChannel();
    },
    makeQueue,
    publish,
    send,
    isTaken,
    get,
    ready,
  };
}

export function read(message: GetMessage | ConsumeMessage): Got {
  return {
    body: message.content.toString('utf8'),
    redelivered: message.fields.redelivered,
    deliveryTag: message.fields.deliveryTag,
    headers: message.properties.headers ?? {},
    message,
  };
}
