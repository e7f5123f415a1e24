// A trace from the scraper's publish to the row and the mail, over the real parts in between: its publisher, a broker,
// deliver, a leader with its listeners and jobs, PostgreSQL.
import { afterAll, afterEach, beforeAll, beforeEach, expect, test, vi } from 'vitest';
import { itemVersion } from '../../../contracts/ids.ts';
import { rabbitmqMessageSchema } from '../../../contracts/rabbitmq-event.ts';
import type { ItemTrace, MessageTrace } from '../../../contracts/trace.ts';
import { recordJson } from '../../../emulator/event-sources/rabbitmq-event-body.ts';
import { declareTopology } from '../../../emulator/services/declare-topology.ts';
import { publishRetry } from '../../../functions/dead-letter.ts';
import { deliver } from '../../../functions/intermediary/deliver.ts';
import { createInternalClient } from '../../../runtime/internal-http.ts';
import { createLogger } from '../../../runtime/logger.ts';
import { connectBroker, type BrokerClient, type TakenMessage } from '../../../runtime/rabbitmq.ts';
import { openCollector } from '../../../nodes/tracing/otlp.ts';
import { startTestBroker, type TestBroker } from '../../support/broker.ts';
import { startCollector, type TestCollector } from '../../support/collector.ts';
import { publishPage } from '../../support/publish-page.ts';
import { handOut, item, lead, useDatabases, type FreshDatabase } from '../database/fresh-database.ts';
import { asked, serveLeader, type ServedLeader } from '../dead-letters/served-leader.ts';

const databases = useDatabases();
const traceId = 'c'.repeat(32);
const crawlTrace = `00-${traceId}-${'d'.repeat(16)}-01`;
const logger = createLogger({ process: 'test', write: () => undefined });
let server: TestBroker;
let broker: BrokerClient;
let database: FreshDatabase;
let leader: ServedLeader;
let collector: TestCollector;

beforeAll(async () => {
  server = await startTestBroker('development');
  await declareTopology(server.address);
  broker = connectBroker({ ...server.address, name: 'test' });
});
afterAll(async () => {
  await broker?.close();
  await server?.close();
});
beforeEach(async () => {
  database = await databases.fresh();
  await lead(database.store);
  await handOut(database, 100);
  collector = await startCollector();
  leader = await serveLeader({
    store: database.store,
    broker,
    term: 2,
    collector: openCollector({
      url: `${collector.url}/v1/traces`,
      headers: undefined,
      cluster: 'test',
      nodeId: 'node-1',
    }),
  });
});
afterEach(async () => {
  await leader.close();
  await collector.close();
});

/** @returns when its page was fetched. */
const publish = (intake: number, price: unknown): Promise<string> =>
  publishPage(broker, {
    intake,
    trace: crawlTrace,
    url: `https://shop.example/page-of-${intake}`,
    items: [item('a/1', itemVersion({ intake, ordinal: 0 }), { price: price as number })],
  });
async function takeFrom(queue: string): Promise<TakenMessage[]> {
  const taken: TakenMessage[] = [];
  await vi.waitUntil(
    () => broker.take(queue, { messagesMax: 10, bytesMax: 1e6 }, async (some) => void taken.push(...some)),
    { timeout: 10_000 },
  );
  return taken;
}
/** As Lambda hands messages to deliver. */
const asRecord = ({ body, ...properties }: TakenMessage) =>
  rabbitmqMessageSchema.parse(
    JSON.parse(recordJson({ content: body, redelivered: false, properties: { ...properties } })),
  );
async function deliverAll(messages: readonly TakenMessage[]): Promise<void> {
  const client = createInternalClient(leader.tls);
  await deliver(
    {
      leader: { call: (what) => client.call(leader.internalUrl, what) },
      broker: () => Promise.resolve(broker),
      logger,
    },
    {
      eventSource: 'aws:rmq',
      eventSourceArn: 'arn:aws:mq:::broker',
      rmqMessagesByQueue: { 'items::/': messages.map(asRecord) },
    },
    { deadline: performance.now() + 10_000 },
  );
  await client.close();
}
const trace = (path: string) => asked<ItemTrace>(leader.ask('GET', path, { role: 'nobody' }));
const itemPath = `/items/shop/${encodeURIComponent('a/1')}/trace`;

test('one trace id leads from the page to the row and the mail, with the time of each hop', async () => {
  await database.store.putWatch(2, { email: 'mara@example.org', about: 'prices', source: null, sku: null });
  await publish(1, 10);
  await deliverAll(await takeFrom('items'));
  const fetchedAt = await publish(2, 8);
  // It had to wait once, since nobody led.
  for (const message of await takeFrom('items'))
    await publishRetry(
      { broker: () => Promise.resolve(broker) },
      { queue: 'items', message: asRecord(message) },
    );
  await deliverAll(await takeFrom('items'));

  await vi.waitUntil(async () => (await trace(itemPath)).versions[0]?.deliveries.length === 1, {
    timeout: 10_000,
  });
  const { title, versions } = await trace(itemPath);
  expect(title).toBe('Item a/1');
  expect(versions.map(({ change, price, previousPrice }) => ({ change, price, previousPrice }))).toEqual([
    { change: 'price', price: 8, previousPrice: 10 },
    { change: 'new', price: 10, previousPrice: null },
  ]);
  const [newest] = versions;
  const [delivery] = newest?.deliveries ?? [];
  expect(delivery).toMatchObject({
    url: 'https://shop.example/page-of-2',
    fetchedAt,
    attempt: 2,
    node: 'node-1',
    term: 2,
  });
  expect(newest?.traceparent.slice(3, 35)).toBe(traceId);
  const times = [delivery?.fetchedAt, delivery?.publishedAt, delivery?.receivedAt, delivery?.postedAt].map(
    String,
  );
  expect(times).toEqual(times.toSorted());

  const told = await database.connect();
  const mails = (): Promise<{ rows: { traceparent: string }[] }> =>
    told.query('SELECT traceparent FROM notices');
  await vi.waitUntil(async () => (await mails()).rows.length === 1, { timeout: 10_000 });
  expect((await mails()).rows[0]?.traceparent.slice(3, 35)).toBe(traceId);
  // Gathered for a while by rule; what becomes of it is made due here.
  await told.query(`UPDATE notices SET made_at = made_at - interval '1 day'`);
  await vi.waitUntil(async () => (await trace(itemPath)).versions[0]?.mails.length === 1, {
    timeout: 10_000,
  });
  const [mail] = await takeFrom('mail');
  expect((JSON.parse(String(mail?.body)) as { traceparent: string }).traceparent.slice(3, 35)).toBe(traceId);
  expect(String(mail?.headers['traceparent']).slice(3, 35)).toBe(traceId);
  expect((await trace(itemPath)).versions[1]?.mails).toEqual([]);
});

test('a message leads to its rows and to those of its items that died', async () => {
  await publish(1, 10);
  const [good] = await takeFrom('items');
  await publish(2, 'eight');
  const [bad] = await takeFrom('items');
  if (!good || !bad) throw new Error('nothing was published');
  await deliverAll([good, bad]);
  const messageTrace = (id: string | undefined) =>
    leader.ask('GET', `/messages/${encodeURIComponent(String(id))}/trace`, { role: 'nobody' });
  await vi.waitUntil(async () => (await messageTrace(good.messageId)).status === 200, { timeout: 10_000 });
  expect(await asked<MessageTrace>(messageTrace(good.messageId))).toMatchObject({
    deliveries: [{ attempt: 1, term: 2 }],
    rows: [{ source: 'shop', sku: 'a/1', version: itemVersion({ intake: 1, ordinal: 0 }) }],
    deadLetters: [],
  });
  await vi.waitUntil(async () => (await messageTrace(bad.messageId)).status === 200, { timeout: 10_000 });
  expect(await asked<MessageTrace>(messageTrace(bad.messageId))).toMatchObject({
    rows: [],
    deadLetters: [{ messageId: `${bad.messageId}/0`, code: 'ITEM_MALFORMED', state: 'waiting' }],
  });
  expect(await messageTrace('nobody')).toMatchObject({ status: 404, json: { code: 'NOT_FOUND' } });
});

test('a collector is told one trace: fetch, publish, process and write, each the child of the one before', async () => {
  const fetchedAt = await publish(1, 10);
  const [message] = await takeFrom('items');
  if (!message) throw new Error('nothing was published');
  const published = JSON.parse(String(message.body)) as { traceparent: string };
  await deliverAll([message]);
  await vi.waitUntil(() => collector.spans.length > 0, { timeout: 10_000 });
  const { spans } = collector;
  expect(spans.map(({ service, name, kind }) => [service, name, kind])).toEqual([
    ['scraper', 'fetch page', 'CLIENT'],
    ['scraper', 'publish baton', 'PRODUCER'],
    ['deliver', 'process items', 'CONSUMER'],
    ['node', 'write items', 'CLIENT'],
  ]);
  expect(new Set(spans.map((span) => span.traceId))).toEqual(new Set([traceId]));
  expect(spans.map(({ parentSpanId }) => parentSpanId)).toEqual([
    undefined,
    ...spans.slice(0, 3).map(({ spanId }) => spanId),
  ]);
  // The ids that crossed the broker and the database, and none of the collector's own.
  const { rows } = await (
    await database.connect()
  ).query<{ traceparent: string }>('SELECT traceparent FROM items');
  expect(spans[1]?.spanId).toBe(published.traceparent.slice(36, 52));
  expect(spans[2]?.spanId).toBe(rows[0]?.traceparent.slice(36, 52));

  const [fetched, sent, processed, written] = spans;
  expect(fetched?.startMs).toBe(Date.parse(fetchedAt));
  expect(fetched?.attributes).toMatchObject({
    'url.full': 'https://shop.example/page-of-1',
    'server.address': 'shop.example',
    'baton.source': 'shop',
  });
  expect(sent?.attributes).toMatchObject({
    'messaging.system': 'rabbitmq',
    'messaging.operation.type': 'send',
    'messaging.message.id': message.messageId,
  });
  expect(processed?.attributes).toMatchObject({ 'messaging.operation.type': 'process', 'baton.attempt': 1 });
  expect(written?.attributes).toMatchObject({
    'baton.leader': 'node-1',
    'baton.term': 2,
    'baton.items': 1,
    'baton.items.applied': 1,
    'baton.items.invalid': 0,
  });
  for (const span of spans) expect(span.endMs).toBeGreaterThanOrEqual(span.startMs);

  // Handed out a second time it is another receipt of the same publication.
  await deliverAll([message]);
  await vi.waitUntil(() => collector.spans.length > 4, { timeout: 10_000 });
  expect(collector.spans.slice(4).map(({ name, parentSpanId }) => [name, parentSpanId])).toEqual([
    ['process items', sent?.spanId],
    ['write items', collector.spans[4]?.spanId],
  ]);
  expect(collector.spans[5]?.attributes).toMatchObject({ 'baton.items.unchanged': 1 });
});

test('a collector that never answers holds up no write, and no end of a node', async () => {
  collector.answer = () => new Promise(() => undefined);
  await publish(1, 10);
  await deliverAll(await takeFrom('items'));
  await vi.waitUntil(() => collector.requests > 0, { timeout: 10_000 });
  // One request hangs; what comes now is written all the same.
  await publish(2, 8);
  const startedAt = performance.now();
  await deliverAll(await takeFrom('items'));
  expect((await database.store.item({ source: 'shop', sku: 'a/1' }))?.item.price).toBe(8);
  await leader.close();
  expect(performance.now() - startedAt).toBeLessThan(4_000);
  expect(collector.requests).toBe(1);
});
