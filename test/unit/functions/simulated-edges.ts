// A leader and a broker for handlers' pure parts: they keep what they were given and answer what the test says.
// What the test said nothing about throws.
import { itemVersion } from '../../../contracts/ids.ts';
import type { BatonEvent } from '../../../contracts/event.ts';
import type { BrokerMessage } from '../../../runtime/rabbitmq.ts';
import { createLogger } from '../../../runtime/logger.ts';
import type { InternalRequest } from '../../../runtime/internal-http.ts';

export const traceparent = '00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01';

export function simulatedEdges() {
  const calls: InternalRequest[] = [];
  const published: BrokerMessage[] = [];
  const events: BatonEvent[] = [];
  const lines: string[] = [];
  const logger = createLogger({ process: 'test', write: (line) => lines.push(line) });
  logger.onEvent((event) => events.push(event));
  const edges = {
    calls,
    published,
    events,
    lines,
    answer: (what: InternalRequest): unknown => {
      throw new Error(`the test said nothing about ${what.method} ${what.path}`);
    },
    publish: (_message: BrokerMessage): void => undefined,
    ports: {
      logger,
      leader: {
        call: (what: InternalRequest) => {
          calls.push(what);
          return Promise.resolve().then(() => ({ status: 200, term: 1, json: edges.answer(what) }));
        },
      },
      broker: () =>
        Promise.resolve({
          publish: async (message: BrokerMessage): Promise<void> => {
            await Promise.resolve();
            edges.publish(message);
            published.push(message);
          },
        }),
    },
  };
  return edges;
}

/** A message as Lambda hands it over; a body that is no string or Buffer is written as JSON. */
export function rabbitmqMessage(
  body: unknown,
  {
    type = null,
    messageId = 'm-1',
    headers = null,
  }: { type?: string | null; messageId?: string | null; headers?: Record<string, unknown> | null } = {},
) {
  const bytes = Buffer.isBuffer(body)
    ? body
    : Buffer.from(typeof body === 'string' ? body : JSON.stringify(body));
  return {
    basicProperties: { type, messageId, headers, bodySize: bytes.length },
    redelivered: false,
    data: bytes.toString('base64'),
  };
}

export function rabbitmqEvent(queue: string, messages: readonly object[]) {
  return {
    eventSource: 'aws:rmq',
    eventSourceArn: 'arn:aws:mq:eu-central-1:000000000000:broker:test',
    rmqMessagesByQueue: { [`${queue}::/`]: messages },
  };
}

/** Of the first intake, as its page is. */
export function item(sku: string, ordinal: number, changes: Readonly<Record<string, unknown>> = {}) {
  return {
    source: 'shop',
    sku,
    version: itemVersion({ intake: 1, ordinal }),
    title: 'Teapot',
    url: null,
    imageUrl: null,
    price: 24,
    currency: 'EUR',
    inStock: true,
    stock: null,
    vanished: false,
    ...changes,
  };
}

export function itemPage(items: readonly unknown[], changes: Readonly<Record<string, unknown>> = {}) {
  return {
    version: 1,
    source: 'shop',
    intake: 1,
    page: 0,
    url: 'https://shop.example.org/',
    fetchedAt: '2026-11-24T09:30:00.000Z',
    traceparent,
    items,
    ...changes,
  };
}
