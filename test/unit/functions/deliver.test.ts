// When a message of the queue `items` may be forgotten, and where it goes else.
import { describe, expect, it } from 'vitest';
import { batchRequestSchema, type BatchRequest, type ItemVerdict } from '../../../contracts/node-api.ts';
import { rabbitmqMessageSchema } from '../../../contracts/rabbitmq-event.ts';
import { deliver } from '../../../functions/intermediary/deliver.ts';
import { Failure } from '../../../runtime/failure.ts';
import type { InternalRequest } from '../../../runtime/internal-http.ts';
import {
  item,
  itemPage,
  rabbitmqEvent,
  rabbitmqMessage,
  simulatedEdges,
  traceparent,
} from './simulated-edges.ts';

const page = (messageId: string, items: readonly unknown[], changes: object = {}) =>
  rabbitmqMessage(itemPage(items, { ...changes }), { type: 'item-page', messageId });
const deadline = () => performance.now() + 5_000;
/** As the leader judges: by sku, applied unless said otherwise. */
const verdicts =
  (bySku: Readonly<Record<string, ItemVerdict>> = {}) =>
  ({ json }: InternalRequest) => {
    const { items } = json as BatchRequest;
    return {
      term: 1,
      results: items.map(({ item: one }) => bySku[(one as { sku: string }).sku] ?? { kind: 'applied' }),
    };
  };

describe('deliver', () => {
  it('deliver: pages become one request in the order they came, with the trace of each page', async () => {
    const edges = simulatedEdges();
    edges.answer = verdicts({ b: { kind: 'unchanged' }, c: { kind: 'stale' } });
    const counts = await deliver(
      edges.ports,
      rabbitmqEvent('items', [page('m-1', [item('a', 1), item('b', 2)]), page('m-2', [item('c', 3)])]),
      { deadline: deadline() },
    );
    expect(counts).toMatchObject({ messages: 2, items: 3, applied: 1, unchanged: 1, stale: 1, retried: 0 });
    expect(edges.published).toEqual([]);
    expect(edges.calls).toHaveLength(1);
    const { items } = batchRequestSchema.parse(edges.calls[0]?.json);
    expect(items.map(({ messageId, item: one }) => [messageId, (one as { sku: string }).sku])).toEqual([
      ['m-1', 'a'],
      ['m-1', 'b'],
      ['m-2', 'c'],
    ]);
    for (const entry of items) expect(entry.traceparent.slice(0, 35)).toBe(traceparent.slice(0, 35));
    expect(edges.calls[0]?.traceparent?.slice(0, 35)).toBe(traceparent.slice(0, 35));
  });

  it('deliver: an invalid item is dead-lettered alone, as a page that can be sent again, and the others are applied', async () => {
    const edges = simulatedEdges();
    edges.answer = verdicts({ c: { kind: 'invalid', code: 'SOURCE_UNKNOWN', reason: 'no such source' } });
    const items = [item('a', 1), item('b', 2, { price: 'twelve' }), item('c', 3)];
    const counts = await deliver(edges.ports, rabbitmqEvent('items', [page('m-1', items)]), {
      deadline: deadline(),
    });
    expect(counts).toMatchObject({ items: 3, applied: 1, invalid: 2, deadLettered: 0 });
    const letters = [...edges.published].sort((one, other) => one.messageId.localeCompare(other.messageId));
    expect(
      letters.map(({ exchange, routingKey, messageId }) => ({ exchange, routingKey, messageId })),
    ).toEqual([
      { exchange: 'baton.dead', routingKey: 'items.dead', messageId: 'm-1/1' },
      { exchange: 'baton.dead', routingKey: 'items.dead', messageId: 'm-1/2' },
    ]);
    expect(letters[0]?.headers).toMatchObject({
      'x-baton-code': 'ITEM_MALFORMED',
      'x-baton-reason': expect.stringMatching(/^price: /) as unknown,
      'x-baton-queue': 'items',
      'x-baton-routing-key': 'items.shop',
    });
    expect(letters[1]?.headers).toMatchObject({
      'x-baton-code': 'SOURCE_UNKNOWN',
      'x-baton-reason': 'no such source',
    });
    expect(letters.map(({ body }) => JSON.parse(String(body)) as unknown)).toEqual([
      itemPage([items[1]]),
      itemPage([items[2]]),
    ]);
    expect(edges.events.map((event) => event.type)).toEqual([
      'message.dead-lettered',
      'message.dead-lettered',
    ]);
  });

  it('deliver: poison is dead-lettered byte for byte and takes no other message with it', async () => {
    const edges = simulatedEdges();
    edges.answer = verdicts();
    const poison = rabbitmqMessage('{"broken', {
      messageId: 'p-1',
      headers: { note: { bytes: [104, 105] } },
    });
    const counts = await deliver(edges.ports, rabbitmqEvent('items', [poison, page('m-1', [item('a', 1)])]), {
      deadline: deadline(),
    });
    expect(counts).toMatchObject({ messages: 2, deadLettered: 1, applied: 1, retried: 0 });
    expect(edges.published).toMatchObject([
      { routingKey: 'items.dead', messageId: 'p-1', body: '{"broken', headers: { note: 'hi' } },
    ]);
  });

  it('deliver: a message without a type waits without one, and is applied when it comes back', async () => {
    const edges = simulatedEdges();
    edges.answer = () => {
      throw new Failure('NO_LEADER', 'nobody leads');
    };
    const typeless = rabbitmqMessage(itemPage([item('a', 1)]), { messageId: 'm-1' });
    await deliver(edges.ports, rabbitmqEvent('items', [typeless]), { deadline: performance.now() + 50 });
    const [waits] = edges.published;
    expect(waits).toMatchObject({ routingKey: 'items.retry', messageId: 'm-1', type: undefined });
    edges.answer = verdicts();
    const back = rabbitmqMessage(waits?.body, { type: waits?.type ?? null, headers: waits?.headers ?? null });
    expect(
      await deliver(edges.ports, rabbitmqEvent('items', [back]), { deadline: deadline() }),
    ).toMatchObject({ applied: 1, deadLettered: 0 });
  });

  it('deliver: a leader that cannot be had sends every message to items.retry, bad items and all, and nothing is lost', async () => {
    const edges = simulatedEdges();
    edges.answer = () => {
      throw new Failure('NO_LEADER', 'nobody leads');
    };
    const first = page('m-1', [item('a', 1), item('b', 2, { price: -1 })]);
    const counts = await deliver(edges.ports, rabbitmqEvent('items', [first, page('m-2', [item('c', 3)])]), {
      deadline: deadline(),
    });
    expect(counts).toMatchObject({ retried: 2, invalid: 0, applied: 0 });
    expect(
      edges.published.map(({ routingKey, messageId, headers }) => [routingKey, messageId, headers]),
    ).toEqual([
      ['items.retry', 'm-1', { 'x-baton-attempt': 2 }],
      ['items.retry', 'm-2', { 'x-baton-attempt': 2 }],
    ]);
    expect(edges.published[0]?.body).toBe(
      Buffer.from(rabbitmqMessageSchema.parse(first).data, 'base64').toString(),
    );
    expect(edges.events).toEqual([]); // A leader that is away is no problem of a person.
  });

  it('deliver: a publish that is not confirmed is done again alone, and brings no other message again', async () => {
    const edges = simulatedEdges();
    edges.answer = () => {
      throw new Failure('NO_LEADER', 'nobody leads');
    };
    let late = 1;
    edges.publish = ({ messageId }) => {
      if (messageId === 'm-1' && late-- > 0) throw new Failure('BROKER_UNAVAILABLE', 'no confirm');
    };
    const pages = ['m-0', 'm-1', 'm-2'].map((id, index) => page(id, [item(id, index)]));
    const counts = await deliver(edges.ports, rabbitmqEvent('items', pages), { deadline: deadline() });
    expect(counts.retried).toBe(3);
    expect(edges.published.map(({ messageId }) => messageId).toSorted()).toEqual(['m-0', 'm-1', 'm-2']);
    late = 2;
    await expect(
      deliver(edges.ports, rabbitmqEvent('items', pages), { deadline: deadline() }),
    ).rejects.toMatchObject({ code: 'BROKER_UNAVAILABLE' });
  });

  it('deliver: only the messages of the request that failed come again', async () => {
    const edges = simulatedEdges();
    edges.answer = (what) => {
      // Two requests are under way at once, so which one it is stands in it alone.
      if (JSON.stringify(what.json).includes('"5/0"')) throw new Failure('DATABASE_TIMEOUT', 'no answer');
      return verdicts()(what);
    };
    const pages = Array.from({ length: 6 }, (_, number) =>
      page(
        `m-${number}`,
        Array.from({ length: 200 }, (_unused, index) => item(`${number}/${index}`, 1)),
      ),
    );
    const counts = await deliver(edges.ports, rabbitmqEvent('items', pages), { deadline: deadline() });
    expect(counts).toMatchObject({ items: 1_200, applied: 1_000, retried: 1 });
    expect(edges.published.map(({ messageId }) => messageId)).toEqual(['m-5']);
  });

  it('deliver: the same key twice in a batch is posted once, with its newest version', async () => {
    const edges = simulatedEdges();
    edges.answer = verdicts();
    const counts = await deliver(
      edges.ports,
      rabbitmqEvent('items', [
        page('m-1', [item('a', 3), item('a', 2)]),
        page('m-2', [item('a', 1), item('a', 3, { price: 1 })]),
      ]),
      { deadline: deadline() },
    );
    expect(batchRequestSchema.parse(edges.calls[0]?.json).items).toHaveLength(1);
    expect(counts).toMatchObject({ items: 4, applied: 1, superseded: 2, invalid: 1 });
    expect(edges.published).toMatchObject([
      { messageId: 'm-2/1', headers: { 'x-baton-code': 'VERSION_REUSED' } },
    ]);
  });

  it.each([
    ['the wrong number of verdicts', () => ({ term: 1, results: [] })],
    ['no batch answer', () => ({ hello: 'world' })],
    [
      'a refusal of the request itself',
      () => {
        throw new Failure('REQUEST_MALFORMED', 'items.0: unknown');
      },
    ],
  ])('deliver: %s is no acknowledgement: the message waits and a person is told', async (_, answer) => {
    const edges = simulatedEdges();
    edges.answer = answer;
    const counts = await deliver(edges.ports, rabbitmqEvent('items', [page('m-1', [item('a', 1)])]), {
      deadline: deadline(),
    });
    expect(counts).toMatchObject({ applied: 0, retried: 1 });
    expect(edges.published).toMatchObject([{ routingKey: 'items.retry', messageId: 'm-1' }]);
    expect(edges.events).toMatchObject([{ type: 'problem' }]);
  });

  it.each([
    ['poison', '{"broken'],
    ['a retry', itemPage([item('a', 1)])],
  ])(
    'deliver: %s that the broker does not confirm fails the batch, so that RabbitMQ keeps it',
    async (_, body) => {
      const edges = simulatedEdges();
      edges.answer = () => {
        throw new Failure('NO_LEADER', 'nobody leads');
      };
      edges.publish = () => {
        throw new Failure('BROKER_UNAVAILABLE', 'no confirm');
      };
      await expect(
        deliver(edges.ports, rabbitmqEvent('items', [rabbitmqMessage(body)]), { deadline: deadline() }),
      ).rejects.toMatchObject({ code: 'BROKER_UNAVAILABLE' });
    },
  );

  it('deliver: an event of another service is refused', async () => {
    await expect(deliver(simulatedEdges().ports, { Records: [] }, { deadline: deadline() })).rejects.toThrow(
      /eventSource/,
    );
  });
});
