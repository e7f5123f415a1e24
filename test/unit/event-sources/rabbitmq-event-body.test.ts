// The event's bytes against the example of AWS's documentation.
import { describe, expect, it } from 'vitest';
import { rabbitmqEventSchema } from '../../../contracts/rabbitmq-event.ts';
import {
  eventJson,
  recordJson,
  recordsThatFit,
  timestampText,
} from '../../../emulator/event-sources/rabbitmq-event-body.ts';

const origin = {
  arn: 'arn:aws:mq:us-west-2:111122223333:broker:pizzaBroker:b-9bcfa592-423a-4942-879d-eb284b418fc8',
  queue: 'pizzaQueue',
  vhost: '/',
};

describe('event of RabbitMQ messages', () => {
  it("equals the documentation's example, field by field", () => {
    const json = recordJson({
      content: Buffer.from('{"timeout":0,"data":"CZrmf0Gw8Ov4bqLQxD4E"}'),
      redelivered: false,
      properties: {
        contentType: 'text/plain',
        headers: { header1: 'value1', header2: 'value2', numberInHeader: 10 },
        deliveryMode: 1,
        priority: 34,
        expiration: '60000',
        timestamp: 2021,
        userId: 'AIDACKCEVSQ6C2EXAMPLE',
      },
    });
    const event: unknown = JSON.parse(eventJson(origin, [json]));
    // https://docs.aws.amazon.com/lambda/latest/dg/with-mq.html, whose bodySize of 80 does not fit its own data.
    expect(event).toEqual({
      eventSource: 'aws:rmq',
      eventSourceArn: origin.arn,
      rmqMessagesByQueue: {
        'pizzaQueue::/': [
          {
            basicProperties: {
              contentType: 'text/plain',
              contentEncoding: null,
              headers: {
                header1: { bytes: [118, 97, 108, 117, 101, 49] },
                header2: { bytes: [118, 97, 108, 117, 101, 50] },
                numberInHeader: 10,
              },
              deliveryMode: 1,
              priority: 34,
              correlationId: null,
              replyTo: null,
              expiration: '60000',
              messageId: null,
              timestamp: 'Jan 1, 1970, 12:33:41 AM',
              type: null,
              userId: 'AIDACKCEVSQ6C2EXAMPLE',
              appId: null,
              clusterId: null,
              bodySize: 43,
            },
            redelivered: false,
            data: 'eyJ0aW1lb3V0IjowLCJkYXRhIjoiQ1pybWYwR3c4T3Y0YnFMUXhENEUifQ==',
          },
        ],
      },
    });
    expect(rabbitmqEventSchema.safeParse(event).success).toBe(true);
  });

  it.each([
    [undefined, null],
    ['2021', null],
    [8.7e15, null],
    [1_795_538_888, 'Nov 24, 2026, 4:48:08 PM'],
  ])('timestamp %s is shown as %s', (seconds, text) => {
    expect(timestampText(seconds)).toBe(text);
  });

  it('records fit up to the byte: the cap counts the envelope and the commas', () => {
    const records = ['{"a":1}', '{"b":22}', '{"c":333}'];
    const sizes = records.map((record) => record.length);
    for (let count = 1; count <= 3; count++) {
      const bytes = Buffer.byteLength(eventJson(origin, records.slice(0, count)));
      expect(recordsThatFit(origin, sizes, { bytesMax: bytes, countMax: 10 })).toBe(count);
      expect(recordsThatFit(origin, sizes, { bytesMax: bytes - 1, countMax: 10 })).toBe(count - 1);
    }
    expect(recordsThatFit(origin, sizes, { bytesMax: 1e6, countMax: 2 })).toBe(2);
    expect(recordsThatFit(origin, [], { bytesMax: 1e6, countMax: 2 })).toBe(0);
  });
});
