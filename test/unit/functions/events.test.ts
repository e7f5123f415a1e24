// The event files of test/support/events say what triggers really send, and invoke() what Lambda really does.
import { readdir, readFile } from 'node:fs/promises';
import { describe, expect, it } from 'vitest';
import { announcementSchema } from '../../../contracts/announcement.ts';
import { fileCommandSchema, fileCommandType } from '../../../contracts/file-command.ts';
import { itemPageSchema, itemPageType } from '../../../contracts/item-page.ts';
import { itemSchema } from '../../../contracts/item.ts';
import { mailMessageSchema, mailMessageType } from '../../../contracts/mail-message.ts';
import { decodeHeaders, rabbitmqEventSchema } from '../../../contracts/rabbitmq-event.ts';
import { functions, queues, sqsQueues } from '../../../contracts/topology.ts';
import { functionUrlEvent } from '../../../emulator/lambda/function-url.ts';
import { scheduledEvent } from '../../../emulator/event-sources/schedule.ts';
import { invoke } from '../../support/invoke.ts';

const folder = new URL('../../support/events/', import.meta.url);
const read = async (name: string): Promise<unknown> =>
  JSON.parse(await readFile(new URL(`${name}.json`, folder), 'utf8')) as unknown;

describe('event files', () => {
  it('event files: each has a test here', async () => {
    expect((await readdir(folder)).sort()).toEqual([
      'function-url.json',
      'load-balancer.json',
      'rabbitmq-file-command.json',
      'rabbitmq-items-page.json',
      'rabbitmq-mail.json',
      'schedule.json',
      'sqs-announcement.json',
      'sqs-tick.json',
    ]);
  });

  it.each([
    ['rabbitmq-items-page', queues.items.name, itemPageType, itemPageSchema],
    ['rabbitmq-file-command', queues.files.name, fileCommandType, fileCommandSchema],
    ['rabbitmq-mail', queues.mail.name, mailMessageType, mailMessageSchema],
  ] as const)(
    'event files: %s is of queue %s and its body keeps its contract',
    async (name, queue, type, schema) => {
      const { rmqMessagesByQueue } = rabbitmqEventSchema.parse(await read(name));
      expect(Object.keys(rmqMessagesByQueue)).toEqual([`${queue}::/`]);
      const [message] = Object.values(rmqMessagesByQueue).flat();
      if (!message) throw new Error('no message');
      const bytes = Buffer.from(message.data, 'base64');
      const body = schema.parse(JSON.parse(bytes.toString('utf8')));
      expect(message.basicProperties).toMatchObject({ type, bodySize: bytes.length });
      expect(decodeHeaders(message.basicProperties.headers)).toEqual({ traceparent: body.traceparent });
      if ('items' in body) for (const one of body.items) itemSchema.parse(one);
    },
  );

  it.each([
    ['sqs-tick', sqsQueues.tick.name],
    ['sqs-announcement', sqsQueues.announcements.name],
  ])('event files: %s is of queue %s', async (name, queue) => {
    const { Records } = (await read(name)) as { Records: { eventSourceARN: string; body: string }[] };
    expect(Records[0]?.eventSourceARN.split(':').at(-1)).toBe(queue);
    if (name === 'sqs-announcement') announcementSchema.parse(JSON.parse(Records[0]?.body ?? ''));
  });

  it('event files: schedule has the fields of a scheduled event', async () => {
    const event = (await read('schedule')) as object;
    const made = scheduledEvent({ rule: 'baton-scrape', region: 'eu-central-1', at: new Date() });
    expect(Object.keys(event).sort()).toEqual(Object.keys(made).sort());
  });

  it('event files: function-url has the fields of payload format 2.0', async () => {
    const event = (await read('function-url')) as object;
    const made = functionUrlEvent({
      method: 'GET',
      url: '/a?b=c',
      headers: { host: 'x' },
      body: Buffer.alloc(0),
      sourceIp: '127.0.0.1',
      at: new Date(),
      requestId: 'r',
    });
    expect(Object.keys(event).sort()).toEqual(Object.keys(made).sort());
  });

  // https://docs.aws.amazon.com/elasticloadbalancing/latest/application/lambda-functions.html
  it('event files: load-balancer has the fields that a target group sends', async () => {
    expect(Object.keys((await read('load-balancer')) as object).sort()).toEqual([
      'body',
      'headers',
      'httpMethod',
      'isBase64Encoded',
      'path',
      'queryStringParameters',
      'requestContext',
    ]);
  });
});

describe('invoke', () => {
  it('invoke: event and answer pass through JSON', async () => {
    const answer = await invoke((event) => ({ event, at: new Date(0), nothing: undefined }), {
      when: new Date(0),
      none: undefined,
    });
    expect(answer).toEqual({ event: { when: '1970-01-01T00:00:00.000Z' }, at: '1970-01-01T00:00:00.000Z' });
    expect(await invoke(() => undefined, {})).toBeNull();
  });

  it("invoke: the context is the function's own, and its time runs", async () => {
    const seen = (await invoke(
      async (_, context) => {
        const before = context.getRemainingTimeInMillis();
        await new Promise((resolve) => setTimeout(resolve, 30));
        return { ...context, before, after: context.getRemainingTimeInMillis() };
      },
      {},
      { function: 'mail', requestId: 'r-1' },
    )) as Record<string, unknown>;
    expect(seen).toMatchObject({
      functionName: 'mail',
      memoryLimitInMB: '256',
      awsRequestId: 'r-1',
      logGroupName: '/aws/lambda/mail',
      invokedFunctionArn: 'arn:aws:lambda:eu-central-1:000000000000:function:mail',
    });
    expect(seen['before']).toBeLessThanOrEqual(functions.mail.timeoutS * 1_000);
    expect(seen['after']).toBeLessThan(Number(seen['before']));
  });

  it('invoke: a handler that does not answer in time is given up, and one that throws throws', async () => {
    await expect(invoke(() => new Promise(() => undefined), {}, { timeoutMs: 30 })).rejects.toThrow(
      /Task timed out after 0\.03 seconds/,
    );
    await expect(invoke(() => Promise.reject(new Error('broken')), {})).rejects.toThrow('broken');
  });
});
