// Events on their way into functions, with the Lambda host and fauxqs as `baton up` runs them; the RabbitMQ part
// runs with the development broker where no RabbitMQ is installed.
import { rmSync, writeFileSync } from 'node:fs';
import { readFile } from 'node:fs/promises';
import { join } from 'node:path';
import {
  CreateQueueCommand,
  GetQueueAttributesCommand,
  SendMessageCommand,
  SQSClient,
} from '@aws-sdk/client-sqs';
import type { ChannelModel, ConfirmChannel } from 'amqplib';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { rabbitmqEventSchema } from '../../../contracts/rabbitmq-event.ts';
import { sqsQueues } from '../../../contracts/topology.ts';
import { createInvokeClient, type InvokeClient } from '../../../emulator/event-sources/invoke-client.ts';
import { startRabbitmqMapping, type EventSource } from '../../../emulator/event-sources/rabbitmq.ts';
import { openQueueFeed, type QueueFeed } from '../../../emulator/event-sources/rabbitmq-feed.ts';
import { startSchedule } from '../../../emulator/event-sources/schedule.ts';
import { startSqsMapping } from '../../../emulator/event-sources/sqs.ts';
import { startAwsServices, type AwsServices } from '../../../emulator/services/aws/aws.ts';
import { provisionAws } from '../../../emulator/services/aws/provision.ts';
import { createLogger } from '../../../runtime/logger.ts';
import { rabbitmqInstalled, startTestBroker, type TestBroker } from '../../support/broker.ts';
import { startTestHost, type TestHost } from '../../support/lambda-host.ts';

const region = 'eu-central-1';
const logger = createLogger({ process: 'test', write: () => undefined });
const recorder = new URL('handlers/recorder.ts', import.meta.url);

let host: TestHost;
let aws: AwsServices;
let sqs: SQSClient;
let invoke: InvokeClient;
const folderOf = (name: string): string => join('/tmp', `baton-test-events-${process.pid}-${name}`);
const functionNames = ['announce', 'tick', 'deliver', 'scraper'] as const;

interface Recorded<T> {
  readonly failing: boolean;
  readonly event: T;
}
interface SqsEvent {
  readonly Records: readonly {
    readonly messageId: string;
    readonly body: string;
    readonly attributes: Readonly<Record<string, string>>;
    readonly eventSource: string;
    readonly eventSourceARN: string;
  }[];
}

beforeAll(async () => {
  host = await startTestHost(
    Object.fromEntries(
      functionNames.map((name) => [
        name,
        {
          handler: recorder,
          environment: { RECORD_FILE: folderOf(name), FAIL_FILE: `${folderOf(name)}.fail` },
        },
      ]),
    ),
  );
  aws = await startAwsServices({ host: '127.0.0.1', sqsPort: 0, dynamodbPort: 0, region });
  sqs = new SQSClient({
    region,
    endpoint: aws.sqsUrl,
    credentials: { accessKeyId: 'local', secretAccessKey: 'local' },
  });
  invoke = createInvokeClient(host.invokeUrl);
});
afterAll(async () => {
  await invoke.close();
  sqs.destroy();
  await aws.close();
  await host.close();
  for (const name of functionNames)
    for (const file of [folderOf(name), `${folderOf(name)}.fail`]) rmSync(file, { force: true });
});

async function recorded<T>(name: string): Promise<Recorded<T>[]> {
  try {
    const text = await readFile(folderOf(name), 'utf8');
    return text
      .trimEnd()
      .split('\n')
      .map((line) => JSON.parse(line) as Recorded<T>);
  } catch {
    return []; // Not invoked yet.
  }
}

describe('SQS and DynamoDB of a laptop', () => {
  it('the queues have the settings of the topology, and provisioning again changes nothing', async () => {
    const again = await provisionAws({ ...aws, region });
    expect(again).toEqual(aws.queueUrls);
    for (const [key, queue] of Object.entries(sqsQueues)) {
      const { Attributes } = await sqs.send(
        new GetQueueAttributesCommand({
          QueueUrl: aws.queueUrls[key as keyof typeof sqsQueues],
          AttributeNames: ['All'],
        }),
      );
      expect(Attributes).toMatchObject({
        DelaySeconds: String(queue.delayS),
        VisibilityTimeout: String(queue.visibilityTimeoutS),
        MessageRetentionPeriod: String(queue.retentionS),
      });
    }
  });

  it('another address than loopback is refused', async () => {
    await expect(startAwsServices({ host: '0.0.0.0', sqsPort: 0, dynamodbPort: 0, region })).rejects.toThrow(
      /loopback only/,
    );
  });
});

describe('SQS -> function', () => {
  it('a FIFO group arrives in its order and is deleted; what the answer names as failed stays', async () => {
    const queueUrl = aws.queueUrls.announcements;
    for (const [index, body] of ['one', 'two', 'three'].entries())
      await sqs.send(
        new SendMessageCommand({
          QueueUrl: queueUrl,
          MessageBody: body,
          MessageGroupId: 'cluster',
          MessageDeduplicationId: `cluster/1/${index}`,
        }),
      );
    await sqs.send(
      new SendMessageCommand({
        QueueUrl: queueUrl,
        MessageBody: 'poison',
        MessageGroupId: 'other',
        MessageDeduplicationId: 'other/1/1',
      }),
    );
    const mapping = startSqsMapping({
      mapping: {
        function: 'announce',
        queueUrl,
        batchSize: 10,
        functionTimeoutS: 5,
        retentionS: 60,
        region,
        reportBatchItemFailures: true,
      },
      sqs,
      invoke,
      logger,
    });
    const bodies = async () => (await recorded<SqsEvent>('announce')).flatMap(({ event }) => event.Records);
    await expect.poll(async () => (await bodies()).length).toBe(4);
    await expect.poll(() => mapping.counts().handled).toBe(3);
    await mapping.close();
    const records = await bodies();
    expect(records.filter(({ body }) => body !== 'poison').map(({ body }) => body)).toEqual([
      'one',
      'two',
      'three',
    ]);
    expect(records[0]).toMatchObject({
      eventSource: 'aws:sqs',
      eventSourceARN: `arn:aws:sqs:${region}:000000000000:baton-announcements.fifo`,
      attributes: { MessageGroupId: 'cluster', ApproximateReceiveCount: '1' },
    });
    const { Attributes } = await sqs.send(
      new GetQueueAttributesCommand({ QueueUrl: queueUrl, AttributeNames: ['All'] }),
    );
    expect(Attributes).toMatchObject({
      ApproximateNumberOfMessages: '0',
      ApproximateNumberOfMessagesNotVisible: '1',
    });
  });

  it('a message older than its queue keeps it is dropped', async () => {
    // Its own: a poll that is given up may still take a message.
    const { QueueUrl: queueUrl = '' } = await sqs.send(new CreateQueueCommand({ QueueName: 'old' }));
    const calls = (await recorded('tick')).length;
    await sqs.send(new SendMessageCommand({ QueueUrl: queueUrl, MessageBody: 'late' }));
    await new Promise((resolve) => setTimeout(resolve, 100));
    const mapping = startSqsMapping({
      mapping: {
        function: 'tick',
        queueUrl,
        batchSize: 1,
        functionTimeoutS: 5,
        retentionS: 0.05,
        region,
        reportBatchItemFailures: false,
      },
      sqs,
      invoke,
      logger,
    });
    const left = async () =>
      (await sqs.send(new GetQueueAttributesCommand({ QueueUrl: queueUrl, AttributeNames: ['All'] })))
        .Attributes;
    await expect
      .poll(left)
      .toMatchObject({ ApproximateNumberOfMessages: '0', ApproximateNumberOfMessagesNotVisible: '0' });
    await mapping.close();
    expect(await recorded('tick')).toHaveLength(calls);
  });

  it('a schedule fires at once and then steadily, into a queue and a function', async () => {
    const mapping = startSqsMapping({
      mapping: {
        function: 'tick',
        queueUrl: aws.queueUrls.tick,
        batchSize: 1,
        functionTimeoutS: 5,
        retentionS: 60,
        region,
        reportBatchItemFailures: false,
      },
      sqs,
      invoke,
      logger,
    });
    const began = Date.now();
    const schedule = startSchedule({
      rule: {
        name: 'baton-tick',
        everyMs: 500,
        firstDelayMs: 0,
        targets: [{ queueUrl: aws.queueUrls.tick }, { function: 'scraper' }],
      },
      region,
      sqs,
      invoke,
      logger,
    });
    // One of the two may have to start first, while the other gets more than three.
    const arrived = async (name: string) => (await recorded(name)).length;
    await expect.poll(() => arrived('tick'), { timeout: 20_000 }).toBeGreaterThanOrEqual(3);
    await expect.poll(() => arrived('scraper'), { timeout: 20_000 }).toBeGreaterThanOrEqual(3);
    expect(schedule.fired()).toBeLessThanOrEqual(Math.floor((Date.now() - began + 5) / 500) + 1);
    await Promise.all([schedule.close(), mapping.close()]);
    const sent = (await recorded<SqsEvent>('tick'))
      .map(({ event }) => event.Records[0])
      .map((record) => ({ at: Number(record?.attributes['SentTimestamp']), body: record?.body ?? '' }))
      .sort((one, other) => one.at - other.at);
    const late = sent.map(({ at }, index) => at - began - index * 500);
    expect(Math.min(...late)).toBeGreaterThanOrEqual(-5);
    expect(Math.min(...late)).toBeLessThan(500); // Each may be held up, but not all of them by a whole period.
    const direct = (await recorded<object>('scraper')).map(({ event }) => event);
    expect(direct).toContainEqual(JSON.parse(sent[0]?.body ?? ''));
  });
});

describe('RabbitMQ -> function', () => {
  let server: TestBroker;
  let publisher: ChannelModel;
  let channel: ConfirmChannel;
  let mapping: EventSource | undefined;
  beforeAll(async () => {
    server = await startTestBroker(rabbitmqInstalled ? 'rabbitmq' : 'development');
    publisher = await server.connect();
    channel = await publisher.createConfirmChannel();
    await channel.assertQueue('parcels.dead', { durable: true, arguments: { 'x-queue-type': 'quorum' } });
    await channel.assertQueue('parcels', {
      durable: true,
      arguments: {
        'x-queue-type': 'quorum',
        'x-dead-letter-exchange': '',
        'x-dead-letter-routing-key': 'parcels.dead',
      },
    });
  });
  afterAll(async () => {
    await mapping?.close();
    await publisher.close();
    await server.close();
  });

  it('messages arrive in their order in the documented shape; a failing batch comes again whole; too large ones are dead letters', async () => {
    for (let index = 0; index < 200; index++)
      channel.sendToQueue('parcels', Buffer.from(`parcel ${index}`), {
        persistent: true,
        messageId: `m-${index}`,
        timestamp: 2021,
        headers: { traceparent: '00-ä', 'x-baton-attempt': 2 },
      });
    channel.sendToQueue('parcels', Buffer.alloc(5 * 1024 * 1024), { messageId: 'large' });
    await channel.waitForConfirms();
    writeFileSync(`${folderOf('deliver')}.fail`, '');
    mapping = startRabbitmqMapping({
      mapping: { function: 'deliver', queue: 'parcels', batchSize: 150, windowMs: 0, functionTimeoutS: 20 },
      broker: server.address,
      invoke,
      logger,
      backOff: { firstMs: 50, msMax: 100 },
    });
    await expect.poll(async () => (await recorded('deliver')).length).toBeGreaterThan(2);
    rmSync(`${folderOf('deliver')}.fail`);
    await expect.poll(() => mapping?.counts().handled).toBe(200);

    const invocations = await recorded<object>('deliver');
    const failed = invocations.filter(({ failing }) => failing);
    for (const { event } of failed) expect(event).toEqual(failed[0]?.event);
    const messages = invocations
      .filter(({ failing }) => !failing)
      .map(({ event }) => rabbitmqEventSchema.parse(event))
      .flatMap(({ rmqMessagesByQueue }) => rmqMessagesByQueue['parcels::/'] ?? []);
    const bodies = messages.map(({ data }) => Buffer.from(data, 'base64').toString('utf8'));
    expect(bodies).toEqual(Array.from({ length: 200 }, (_, index) => `parcel ${index}`));
    expect(messages[0]?.basicProperties).toMatchObject({
      messageId: 'm-0',
      deliveryMode: 2,
      timestamp: 'Jan 1, 1970, 12:33:41 AM',
      headers: { traceparent: { bytes: [48, 48, 45, 195, 164] }, 'x-baton-attempt': 2 },
      contentType: null,
      bodySize: 8,
    });
    const depth = async (queue: string) => (await channel.checkQueue(queue)).messageCount;
    await expect.poll(() => depth('parcels.dead')).toBe(1);
    await mapping.close();
    mapping = undefined;
    // Only after its consumer is gone does the queue show what was never acknowledged.
    expect(await depth('parcels')).toBe(0);
  });

  it('a channel that the broker closes under the consumer: another is opened, and what was unacknowledged comes again', async () => {
    await channel.assertQueue('closing', { durable: true, arguments: { 'x-queue-type': 'quorum' } });
    const feeds: QueueFeed[] = [];
    let failing = true;
    mapping = startRabbitmqMapping({
      mapping: { function: 'deliver', queue: 'closing', batchSize: 10, windowMs: 0, functionTimeoutS: 20 },
      broker: server.address,
      invoke: {
        ...invoke,
        invoke: async () =>
          failing ? { kind: 'function-error', reason: 'planted' } : { kind: 'answered', payload: null },
      },
      logger,
      backOff: { firstMs: 50, msMax: 100 },
      openFeed: async (...options) => {
        const feed = await openQueueFeed(...options);
        feeds.push(feed);
        return feed;
      },
    });
    channel.sendToQueue('closing', Buffer.from('kept'), { persistent: true });
    await expect.poll(() => mapping?.counts().failures).toBeGreaterThan(0);
    // A tag that was never delivered is an error of the channel: the broker closes it (AMQP 0-9-1, basic.ack).
    feeds[0]?.acknowledgeUpTo({ deliveryTag: 999, messageId: undefined, json: '', bytes: 0 });
    await expect.poll(() => feeds.length).toBe(2);
    failing = false;
    await expect.poll(() => mapping?.counts().handled).toBe(1);
    await mapping.close();
    mapping = undefined;
    expect((await channel.checkQueue('closing')).messageCount).toBe(0);
  });

  it('a queue that is declared later is consumed then', async () => {
    mapping = startRabbitmqMapping({
      mapping: { function: 'deliver', queue: 'late', batchSize: 10, windowMs: 0, functionTimeoutS: 20 },
      broker: server.address,
      invoke,
      logger,
    });
    await new Promise((resolve) => setTimeout(resolve, 150));
    await channel.assertQueue('late', { durable: true, arguments: { 'x-queue-type': 'quorum' } });
    channel.sendToQueue('late', Buffer.from('now'));
    await expect.poll(() => mapping?.counts().handled).toBe(1);
  });
});
