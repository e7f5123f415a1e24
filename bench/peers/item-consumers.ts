// The two usual ways of the same path: a consumer that takes one message after the other, and rascal with a hundred under
// way. Both post each item to the leader by itself and acknowledge it then, so the guarantee is the same.
import { routes } from '../../contracts/node-api.ts';
import { itemPageSchema } from '../../contracts/item-page.ts';
import { itemSchema } from '../../contracts/item.ts';
import type { BenchSystem } from '../bench-system.ts';
import { loadPeer } from './installed.ts';

/** Connected, and idle until it begins. */
export interface Consumer {
  begin(): Promise<void>;
  /** The first thing that went wrong. */
  problem(): unknown;
  close(): Promise<void>;
}
type Post = (json: unknown, messageId: string) => Promise<void>;

const rascalPrefetch = 100;
const postsAtOnce = 8; // As many as the leader takes; one more would be told to wait.

async function openPost(system: BenchSystem): Promise<Post> {
  const { internalUrl } = await system.leader();
  return async (json, messageId) => {
    const page = itemPageSchema.parse(json);
    const items = page.items.map((item) => ({
      messageId,
      traceparent: page.traceparent,
      item: itemSchema.parse(item),
    }));
    await system.http.call(internalUrl, {
      method: 'POST',
      path: routes.batches,
      json: { items },
      timeoutMs: 30_000,
    });
  };
}

/** Prefetch 1, one request, one row, one acknowledgement. */
export async function consumePlainly(system: BenchSystem, queue: string): Promise<Consumer> {
  const post = await openPost(system);
  const channel = await system.admin.createChannel();
  await channel.prefetch(1);
  let problem: unknown;
  return {
    async begin() {
      await channel.consume(queue, (message) => {
        if (!message) return;
        const json: unknown = JSON.parse(message.content.toString('utf8'));
        post(json, String(message.properties.messageId)).then(
          () => channel.ack(message),
          (error: unknown) => (problem ??= error),
        );
      });
    },
    problem: () => problem,
    close: () => channel.close(),
  };
}

interface RascalSubscription {
  on(
    event: 'message',
    listener: (
      message: { properties: { messageId: unknown } },
      /** Parsed: it looks at the content type. */
      content: unknown,
      ackOrNack: (error?: Error) => void,
    ) => void,
  ): RascalSubscription;
  on(event: 'error', listener: (error: Error) => void): RascalSubscription;
}
interface Rascal {
  readonly BrokerAsPromised: {
    create(config: object): Promise<{
      on(event: 'error', listener: (error: Error) => void): void;
      subscribe(name: string): Promise<RascalSubscription>;
      shutdown(): Promise<void>;
    }>;
  };
}

/** Undefined when rascal is not installed. */
export async function consumeWithRascal(system: BenchSystem, queue: string): Promise<Consumer | undefined> {
  const rascal = loadPeer('rascal') as Rascal | undefined;
  if (!rascal) return undefined;
  const post = await openPost(system);
  const { username, password } = await system.broker.credentials();
  const { hostname, port } = new URL(system.broker.url);
  const broker = await rascal.BrokerAsPromised.create({
    vhosts: {
      '/': {
        connection: {
          protocol: 'amqps',
          hostname,
          port: Number(port),
          user: username,
          password,
          vhost: '/',
          socketOptions: { ca: [system.broker.ca], noDelay: true },
        },
        queues: { [queue]: { assert: false, check: true } },
        subscriptions: { items: { queue, prefetch: rascalPrefetch } },
      },
    },
  });
  let problem: unknown;
  const onError = (error: unknown): void => void (problem ??= error);
  broker.on('error', onError);
  const turn = limited(postsAtOnce);
  return {
    async begin() {
      const subscription = await broker.subscribe('items');
      subscription.on('error', onError).on('message', (message, json, ackOrNack) => {
        turn(() => post(json, String(message.properties.messageId))).then(() => ackOrNack(), onError);
      });
    },
    problem: () => problem,
    close: () => broker.shutdown(),
  };
}

/** Runs so many at once, the others in the order they came. */
function limited(atOnce: number): <T>(work: () => Promise<T>) => Promise<T> {
  const waiting: (() => void)[] = [];
  let running = 0;
  return async (work) => {
    if (running === atOnce) await new Promise<void>((resolve) => waiting.push(resolve));
    else running += 1;
    try {
      return await work();
    } finally {
      const next = waiting.shift();
      if (next) next();
      else running -= 1;
    }
  };
}
