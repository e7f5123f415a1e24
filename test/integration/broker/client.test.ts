// The client that every process of ours publishes with, against a broker that refuses, forgets and dies: what it says
// happened did happen, what it keeps is bounded, and the next publish finds its way without anybody's help.
import type { Channel, ChannelModel } from 'amqplib';
import { afterAll, beforeAll, expect, test } from 'vitest';
import type { Failure } from '../../../runtime/failure.ts';
import { connectBroker, type BrokerClient } from '../../../runtime/rabbitmq.ts';
import { TcpLink } from '../../chaos/tcp-link.ts';
import { bytesHeld } from '../../support/bytes-held.ts';
import { startTestBroker, type TestBroker } from '../../support/broker.ts';

let server: TestBroker;
let client: BrokerClient;
let beside: ChannelModel;
let channel: Channel;

beforeAll(async () => {
  server = await startTestBroker('development');
  client = connectBroker({ ...server.address, ca: server.address.ca, name: 'test' });
  await openBeside();
  await channel.assertExchange('e', 'topic', { durable: true });
});
afterAll(async () => {
  await client?.close();
  await server?.close();
});

async function openBeside(): Promise<void> {
  beside = await server.connect();
  channel = await beside.createChannel();
}
async function queue(name: string, more: Record<string, string | number> = {}): Promise<void> {
  await channel.assertQueue(name, { durable: true, arguments: { 'x-queue-type': 'quorum', ...more } });
  await channel.bindQueue(name, 'e', name);
}
const publish = (routingKey: string, messageId: string, exchange = 'e') =>
  client.publish({ exchange, routingKey, type: 'test', messageId, body: '{}' });

test('a message that no queue takes is refused for good, although the broker confirms it', async () => {
  await expect(publish('nobody.listens', 'm-1')).rejects.toMatchObject({ code: 'UNROUTABLE' });
});

test('a full queue refuses, and takes again as soon as there is room', async () => {
  await queue('small', { 'x-max-length': 1, 'x-overflow': 'reject-publish' });
  const sent: string[] = [];
  // A quorum queue may take one or two more than its length.
  const refusal = await (async () => {
    for (let number = 0; number < 10; number++)
      try {
        await publish('small', `m-${number}`);
        sent.push(`m-${number}`);
      } catch (error) {
        return error;
      }
    return undefined;
  })();
  expect(refusal).toMatchObject({ code: 'BROKER_UNAVAILABLE' });
  for (const id of sent)
    expect(((await channel.get('small', { noAck: true })) || undefined)?.properties.messageId).toBe(id);
  await publish('small', 'again');
});

test('a channel that the broker closed is replaced at the next publish', async () => {
  await queue('open');
  await expect(publish('open', 'lost', 'no-such-exchange')).rejects.toMatchObject({
    code: 'BROKER_UNAVAILABLE',
  });
  await publish('open', 'kept');
  expect(((await channel.get('open', { noAck: true })) || undefined)?.properties.messageId).toBe('kept');
});

test('no more than 1,000 messages wait for their confirm: one more is refused at once', async () => {
  await queue('many');
  const outcomes = await Promise.allSettled(
    Array.from({ length: 1_001 }, (_, number) => publish('many', `m-${number}`)),
  );
  const refused = outcomes.flatMap((outcome) =>
    outcome.status === 'rejected' ? [String(outcome.reason)] : [],
  );
  expect(refused).toEqual([expect.stringContaining('1000 messages wait for their confirm')]);
  expect(await client.depth('many')).toBe(1_000);
});

test('what a silent broker does not read is given up with its connection, and not kept for the next', async () => {
  await queue('silent');
  const link = await TcpLink.open(Number(new URL(server.address.url).port));
  const beyond = connectBroker({
    ...server.address,
    url: `amqps://127.0.0.1:${link.port}/`,
    name: 'beyond a link',
  });
  try {
    const send = (messageId: string, bytes: number) =>
      beyond.publish(
        { exchange: 'e', routingKey: 'silent', type: 'test', messageId, body: Buffer.alloc(bytes, 'x') },
        { timeoutMs: 1_000 },
      );
    await send('before', 10);
    const over = new AbortController();
    const hold = link.swallow(60_000, over.signal);
    const before = await bytesHeld();
    const isSent = (number: number) =>
      send(`m-${number}`, 400_000).then(
        () => true,
        () => false, // The error's stack would hold what it tells of.
      );
    const outcomes = await Promise.all(Array.from({ length: 100 }, (_, number) => isSent(number)));
    expect(outcomes).not.toContain(true);
    await expect.poll(async () => (await bytesHeld()) - before).toBeLessThan(5_000_000);
    over.abort();
    await hold;
    await send('after', 10);
  } finally {
    await beyond.close();
    link.close();
  }
});

test('the depths of 200 queues are told at once, within the channels that a broker gives a connection', async () => {
  const names = Array.from({ length: 200 }, (_, number) => `depth-${number}`);
  for (const name of names) await queue(name);
  await publish('depth-7', 'm-1');
  const depth = (name: string) =>
    client.depth(name, { timeoutMs: 20_000 }).catch((error: unknown) => (error as Failure).code);
  // One that is missing costs nobody else his answer.
  expect(await Promise.all(['missing', ...names].map(depth))).toEqual([
    'BROKER_UNAVAILABLE',
    ...names.map((name) => (name === 'depth-7' ? 1 : 0)),
  ]);
});

test('after kill -9 of the broker what was confirmed is there, and the same client publishes again', async () => {
  await queue('durable');
  await publish('durable', 'before');
  await server.crash();
  await expect
    .poll(() =>
      publish('durable', 'after').then(
        () => true,
        () => false,
      ),
    )
    .toBe(true);
  await openBeside();
  const ids: unknown[] = [];
  for (
    let got = await channel.get('durable', { noAck: true });
    got;
    got = await channel.get('durable', { noAck: true })
  )
    ids.push(got.properties.messageId);
  // A publish whose confirm was lost comes twice.
  expect([...new Set(ids)]).toEqual(['before', 'after']);
});
