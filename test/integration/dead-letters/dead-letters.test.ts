// Dead letters from their queues into the database and back: real PostgreSQL, the development broker and, where it is
// installed, RabbitMQ; the real jobs and routes of a leader.
import { setTimeout as sleep } from 'node:timers/promises';
import { afterAll, afterEach, beforeAll, beforeEach, describe, expect, test, vi } from 'vitest';
import type {
  ActionAnswer,
  DeadLetter,
  DeadLetterDetail,
  DeadLetterGroup,
} from '../../../contracts/dead-letter.ts';
import { itemVersion } from '../../../contracts/ids.ts';
import { exchanges, messageHeaders, queues } from '../../../contracts/topology.ts';
import { declareTopology } from '../../../emulator/services/declare-topology.ts';
import { deadLetter } from '../../../functions/dead-letter.ts';
import { collectDeadLetters } from '../../../nodes/dead-letters/collect.ts';
import type { Store } from '../../../nodes/store.ts';
import { sendAgain } from '../../../nodes/dead-letters/send-again.ts';
import { createLogger } from '../../../runtime/logger.ts';
import { connectBroker, type BrokerClient, type TakenMessage } from '../../../runtime/rabbitmq.ts';
import {
  rabbitmqInstalled,
  startTestBroker,
  type BrokerKind,
  type TestBroker,
} from '../../support/broker.ts';
import { lead, useDatabases, type FreshDatabase } from '../database/fresh-database.ts';
import { asked, serveLeader, type ServedLeader } from './served-leader.ts';

const databases = useDatabases();
const logger = createLogger({ process: 'test', write: () => undefined });
const trace = `00-${'a'.repeat(32)}-${'b'.repeat(16)}-01`;
const kinds: BrokerKind[] = rabbitmqInstalled ? ['development', 'rabbitmq'] : ['development'];

const page = (sku: string, content: Record<string, unknown> = {}) => ({
  version: 1,
  source: 'shop',
  intake: 1,
  page: 0,
  url: 'https://shop.example/',
  fetchedAt: '2026-01-01T00:00:00.000Z',
  traceparent: trace,
  items: [
    {
      source: 'shop',
      sku,
      version: itemVersion({ intake: 1, ordinal: 1 }),
      title: sku,
      url: null,
      imageUrl: null,
      price: 1,
      currency: 'EUR',
      inStock: true,
      stock: null,
      ...content,
    },
  ],
});

describe.each(kinds)('with %s', (kind) => {
  let server: TestBroker;
  let client: BrokerClient;
  let database: FreshDatabase;
  let leader: ServedLeader | undefined;

  beforeAll(async () => {
    server = await startTestBroker(kind);
    await declareTopology(server.address);
  });
  afterAll(async () => {
    await server?.close();
  });
  beforeEach(async () => {
    database = await databases.fresh();
    client = connectBroker({ ...server.address, name: 'test' });
    await empty();
  });
  afterEach(async () => {
    await leader?.close();
    leader = undefined;
    await client.close();
  });

  async function empty(): Promise<void> {
    const connection = await server.connect();
    const channel = await connection.createChannel();
    for (const { name } of Object.values(queues)) await channel.purgeQueue(name);
    await connection.close();
  }
  /** As deliver buries one bad item. */
  const bury = (
    sku: string,
    letter: { price?: unknown; code?: 'ITEM_MALFORMED'; reason?: string; type?: string | null } = {},
  ) => {
    const body = JSON.stringify(page(sku, { price: letter.price ?? 'ten' }));
    const ports = { broker: () => Promise.resolve(client), logger };
    return deadLetter(ports, {
      queue: 'items',
      message: {
        basicProperties: {
          type: letter.type === undefined ? 'item-page' : letter.type,
          messageId: `message-of-${sku}`,
          headers: null,
          bodySize: body.length,
        },
        redelivered: false,
        data: Buffer.from(body).toString('base64'),
      },
      routingKey: 'items.shop',
      code: letter.code ?? 'ITEM_MALFORMED',
      reason: letter.reason ?? `items.0.price: expected number, received string`,
    });
  };
  const collect = (term = 1) => collectDeadLetters(term, database.store, client);
  /** What came back to the work queue, taken out of it. */
  async function takeItems(): Promise<TakenMessage[]> {
    const all: TakenMessage[] = [];
    while (
      (await client.take(
        'items',
        { messagesMax: 500, bytesMax: 1e9 },
        async (some) => void all.push(...some),
      )) > 0
    );
    return all;
  }
  const serve = async (): Promise<ServedLeader> =>
    (leader = await serveLeader({ store: database.store, broker: client, term: 2 }));
  const letters = async (): Promise<DeadLetter[]> => database.store.deadLetters({}, { after: 0, limit: 500 });

  test('a letter is listed, shown with what is wrong, edited, sent again by its own route, and audited', async () => {
    await lead(database.store);
    await bury('a');
    await bury('b', { reason: 'items.0.price: expected number, received null' });
    const { ask } = await serve();
    await vi.waitUntil(async () => (await letters()).length === 2, { timeout: 10_000 });

    const { groups } = await asked<{ groups: DeadLetterGroup[] }>(ask('GET', '/dead-letters/groups'));
    expect(groups.map(({ queue, source, code, letters: count }) => ({ queue, source, code, count }))).toEqual(
      [
        { queue: 'items', source: 'shop', code: 'ITEM_MALFORMED', count: 1 },
        { queue: 'items', source: 'shop', code: 'ITEM_MALFORMED', count: 1 },
      ],
    );
    const id = (await letters()).find(({ messageId }) => messageId === 'message-of-a')?.id;
    const shown = await asked<DeadLetterDetail>(ask('GET', `/dead-letters/${id}`));
    expect(shown).toMatchObject({
      traceparent: trace,
      routingKey: 'items.shop',
      state: 'waiting',
      retries: 0,
    });
    expect(shown.problems).toMatchObject([{ path: 'items.0.price' }]);
    expect(JSON.parse(shown.body)).toEqual(page('a', { price: 'ten' }));

    const edit = (price: unknown, { dryRun = false, ...content }: Record<string, unknown> = {}) =>
      ask('PUT', `/dead-letters/${id}/body`, {
        json: { body: JSON.stringify(page('a', { price, ...content })), by: 'mara', dryRun },
      });
    expect(await edit('twelve')).toMatchObject({ status: 400, json: { code: 'REQUEST_MALFORMED' } });
    // Of a crawl to come: it would stand, and whatever comes before that crawl would be stale.
    expect(await edit(10, { version: 2 ** 25 })).toMatchObject({
      status: 400,
      json: { issues: [{ path: 'items.0.version' }] },
    });
    expect(await edit(10, { dryRun: true })).toMatchObject({
      status: 200,
      json: { edited: false, problems: [] },
    });
    expect(await asked<DeadLetterDetail>(ask('GET', `/dead-letters/${id}`))).toMatchObject({ edited: false });
    expect(await edit(10)).toMatchObject({ status: 200, json: { edited: true } });

    const retry = { select: { ids: [id] }, by: 'mara' };
    expect(await ask('POST', '/dead-letters/retry', { json: { ...retry, dryRun: true } })).toMatchObject({
      status: 200,
      json: { action: null, letters: 1 },
    });
    expect(await takeItems()).toEqual([]);
    const done = await asked<ActionAnswer>(ask('POST', '/dead-letters/retry', { json: retry }));
    expect(done).toMatchObject({ letters: 1 });
    await vi.waitUntil(async () => (await client.depth('items')) === 1, { timeout: 10_000 });
    const [again] = await takeItems();
    expect(again).toMatchObject({ messageId: 'message-of-a', type: 'item-page' });
    expect(JSON.parse(String(again?.body))).toEqual(page('a', { price: 10 }));
    expect(again?.headers).toMatchObject({ [messageHeaders.retries]: 1, [messageHeaders.deadLetterId]: id });
    expect(again?.headers).not.toHaveProperty(messageHeaders.deadCode);

    await vi.waitUntil(async () => (await letters()).some(({ state }) => state === 'sent'), {
      timeout: 10_000,
    });
    const after = await asked<DeadLetterDetail>(ask('GET', `/dead-letters/${id}`));
    expect(after).toMatchObject({ state: 'sent', retries: 1, edited: true });
    expect(JSON.parse(after.bodyBefore ?? '')).toEqual(page('a', { price: 'ten' }));
    expect(after.actions.map(({ kind: what, by }) => ({ what, by }))).toEqual([
      { what: 'retry', by: 'mara' },
      { what: 'edit', by: 'mara' },
    ]);
    expect(await edit(11)).toMatchObject({ status: 409, json: { code: 'LETTER_SETTLED' } });
    expect(leader?.problems).toEqual([]);
  });

  test('what is buried again, as with a batch that comes again, is one letter that came so often', async () => {
    await lead(database.store);
    await bury('a');
    await collect();
    await sleep(1_100); // A message says the second of its publish.
    await bury('a');
    await bury('b');
    await collect();
    expect(await letters()).toMatchObject([
      { messageId: 'message-of-a', times: 2 },
      { messageId: 'message-of-b', times: 1 },
    ]);
  });

  test('a group is discarded with a reason, and nothing else; nobody does it without the role', async () => {
    await lead(database.store);
    for (const [index, sku] of ['a', 'b', 'c'].entries())
      await bury(sku, { reason: `items.${index}.price: expected number` });
    await bury('other', { reason: 'items.0.title: expected string' });
    await collect();
    const { ask } = await serve();
    const { groups } = await asked<{ groups: DeadLetterGroup[] }>(ask('GET', '/dead-letters/groups'));
    const group = groups.find(({ letters: count }) => count === 3)?.group;
    const discard = { select: { group }, by: 'mara', reason: 'the shop was closed' };
    for (const [role, status] of [
      ['nobody', 401],
      ['editor', 403],
    ] as const)
      expect(await ask('POST', '/dead-letters/discard', { json: discard, role })).toMatchObject({ status });
    expect(await ask('POST', '/dead-letters/discard', { json: { ...discard, select: {} } })).toMatchObject({
      status: 400,
    });
    await asked(ask('POST', '/dead-letters/discard', { json: discard }));
    expect((await letters()).map(({ messageId, state }) => [messageId, state])).toEqual([
      ['message-of-a', 'discarded'],
      ['message-of-b', 'discarded'],
      ['message-of-c', 'discarded'],
      ['message-of-other', 'waiting'],
    ]);
    const { actions } = await asked<{ actions: unknown[] }>(ask('GET', '/dead-letters/actions'));
    expect(actions).toMatchObject([
      { kind: 'discard', by: 'mara', reason: 'the shop was closed', detail: { group }, letters: 3 },
    ]);
  });

  test('a letter that the broker does not take can be discarded, and an edit grows no letter beyond what it takes', async () => {
    await lead(database.store);
    for (const sku of ['a', 'b']) await bury(sku);
    await collect();
    const [a, b] = await letters();
    const { ask } = await serve();
    const edit = (title: string) =>
      ask('PUT', `/dead-letters/${b?.id}/body`, {
        json: { body: JSON.stringify(page('b', { title })), by: 'mara' },
      });
    expect(await edit('é'.repeat(300_000))).toMatchObject({
      status: 400,
      json: { detail: expect.stringContaining('524288 bytes') },
    });
    await leader?.close(); // Whose job would send it.
    const select = { ids: [a?.id ?? 0] };
    const settle = (kind: 'retry' | 'discard', action = crypto.randomUUID()) =>
      database.store.settleDeadLetters(2, {
        action,
        kind,
        by: 'mara',
        reason: null,
        lettersMax: 10,
        upTo: b?.id ?? 0,
        select,
      });
    expect(await settle('retry')).toBe(1);
    const refusing = { publish: () => Promise.reject(new Error('larger than the broker takes')) };
    await expect(sendAgain(2, database.store, refusing)).rejects.toThrow('larger');
    expect(await database.store.deadLetterGroups(select)).toEqual([]);
    expect(await database.store.deadLetterGroups(select, 'discard')).toMatchObject([{ letters: 1 }]);
    expect(await settle('retry')).toBe(0);
    expect(await settle('discard')).toBe(1);
    expect(await settle('discard')).toBe(0);
    // Confirmed after all: that it was given up stays said.
    await database.store.deadLettersSent(2, select.ids);
    expect((await letters()).map(({ state }) => state)).toEqual(['discarded', 'waiting']);
    await sendAgain(2, database.store, refusing);
  });

  test('the counts stay true wherever a letter lies', async () => {
    await lead(database.store);
    const served = await serve();
    const dead = async () => (await asked<{ deadLetters: number }>(served.ask('GET', '/counts'))).deadLetters;
    for (const sku of ['a', 'b', 'c']) await bury(sku);
    await vi.waitUntil(async () => (await letters()).length === 3, { timeout: 10_000 });
    await expect.poll(dead).toBe(3);
    // Nobody knows a depth for which the broker has given no answer in time.
    const queues = () => asked<{ depths: Record<string, number | null> }>(served.ask('GET', '/queues'));
    await expect.poll(async () => (await queues()).depths['items.dead']).toBe(3);
    await asked(
      served.ask('POST', '/dead-letters/discard', {
        json: { select: { all: true }, by: 'mara', reason: 'a test' },
      }),
    );
    await expect.poll(dead).toBe(0);
  });

  test('a letter whose acknowledgement was lost is taken again and is one; a term that is over takes none', async () => {
    await lead(database.store);
    await bury('a');
    const { store } = database;
    // It stores, and dies before it acknowledges.
    const dying: Store = {
      ...store,
      async keepDeadLetters(term, some) {
        await store.keepDeadLetters(term, some);
        throw new Error('killed');
      },
    };
    await expect(collectDeadLetters(1, dying, client)).rejects.toThrow('items.dead');
    await vi.waitUntil(async () => (await client.depth('items.dead')) === 1, { timeout: 10_000 });
    await store.claim({ term: 2, holder: 'node-2/boot' });
    await expect(collect(1)).rejects.toMatchObject({ code: 'STALE_TERM' });
    await vi.waitUntil(async () => (await client.depth('items.dead')) === 1, { timeout: 10_000 });
    await collect(2);
    expect(await client.depth('items.dead')).toBe(0);
    expect(await letters()).toMatchObject([{ messageId: 'message-of-a', times: 2, state: 'waiting' }]);
  });

  test('a letter is sent again as what its queue is there for, whatever type it had or had not', async () => {
    await lead(database.store);
    for (const [sku, type] of [
      ['a', null],
      ['b', 'something-else'],
    ] as const)
      await bury(sku, { type });
    await collect();
    const [a, b] = await letters();
    const typeOf = async (id = 0) => (await database.store.deadLetter(id))?.letter.type;
    expect([await typeOf(a?.id), await typeOf(b?.id)]).toEqual(['', 'something-else']);
    await database.store.settleDeadLetters(1, {
      action: crypto.randomUUID(),
      kind: 'retry',
      by: 'mara',
      reason: null,
      lettersMax: 10,
      upTo: b?.id ?? 0,
      select: { all: true },
    });
    await sendAgain(1, database.store, client);
    expect((await takeItems()).map(({ type }) => type)).toEqual(['item-page', 'item-page']);
  });

  test('a letter that was sent again and dies again is a new one that says how often and where it came from', async () => {
    await lead(database.store);
    await bury('a');
    await collect();
    const [first] = await letters();
    if (!first) throw new Error('no letter');
    const settlement = { kind: 'retry', by: 'mara', reason: null, lettersMax: 10, upTo: first.id } as const;
    await database.store.settleDeadLetters(1, {
      ...settlement,
      action: crypto.randomUUID(),
      select: { all: true },
    });
    await sendAgain(1, database.store, client);
    const [again] = await takeItems();
    if (!again) throw new Error('nothing was sent');
    await client.publish({
      exchange: exchanges.dead.name,
      routingKey: 'items.dead',
      type: again.type ?? '',
      messageId: again.messageId ?? '',
      body: again.body,
      headers: { ...again.headers, [messageHeaders.deadCode]: 'ITEM_MALFORMED' },
    });
    await collect();
    const [, second] = await letters();
    expect(second).toMatchObject({ messageId: 'message-of-a', retries: 1, state: 'waiting' });
    expect((await database.store.deadLetter(second?.id ?? 0))?.letter.cameFrom).toBe(first.id);
  });

  test("RabbitMQ's own dead letters are kept too, with bytes that are no text", async () => {
    await lead(database.store);
    const bytes = Buffer.from([0, 255, 254, 1]);
    const connection = await server.connect();
    const channel = await connection.createConfirmChannel();
    for (const key of ['items.elsewhere', 'items.NUL\0here']) {
      channel.publish('baton', key, bytes, {
        persistent: true,
        type: key.slice(6, 9), // Without it they would be one letter that came twice.
        headers: { odd: 'NUL \0 here' },
      });
      await channel.waitForConfirms();
      const message = await vi.waitUntil(() => channel.get('items'), { timeout: 10_000 });
      channel.nack(message, false, false); // As an event source does with what no invocation can carry.
    }
    await vi.waitUntil(async () => (await client.depth('items.dead')) === 2, { timeout: 10_000 });
    await collect();
    await connection.close();
    const [kept, odd] = await letters();
    expect((await database.store.deadLetter(odd?.id ?? 0))?.letter.routingKey).toBe('items.NUL\ufffdhere');
    expect(kept).toMatchObject({ code: 'rejected', source: null });
    const { letter } = (await database.store.deadLetter(kept?.id ?? 0)) ?? {};
    expect(letter?.body).toEqual(bytes);
    expect(letter).toMatchObject({ routingKey: 'items.elsewhere', headers: { odd: 'NUL \0 here' } });
  });
});
