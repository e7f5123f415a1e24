// What happens to a message between the wire and the queue: frames, publishing, dead letters, confirms, arguments.
import { describe, expect, it } from 'vitest';
import {
  contentFrames,
  decodeProperties,
  encodeAnswer,
  encodeProperties,
  FrameReader,
  type Frame,
} from '../../../emulator/services/dev-broker/amqp.ts';
import { Confirms } from '../../../emulator/services/dev-broker/confirms.ts';
import { deadLetter, goesInCircles } from '../../../emulator/services/dev-broker/dead-letter.ts';
import { limits } from '../../../emulator/services/dev-broker/limits.ts';
import { createMessage, decodeMessage, type Message } from '../../../emulator/services/dev-broker/message.ts';
import { Publishing } from '../../../emulator/services/dev-broker/publishing.ts';
import {
  queueSettings,
  readQueueArguments,
  refuseOtherArguments,
} from '../../../emulator/services/dev-broker/queue-arguments.ts';

describe('frames', () => {
  // Acknowledgements are sent by both sides, so what we write is also what we read.
  const bytes = Buffer.concat([
    encodeAnswer(3, 'BasicAck', { deliveryTag: 7, multiple: true }),
    ...contentFrames(3, 20, {
      properties: encodeProperties({ messageId: 'm' }),
      body: Buffer.alloc(30, 'x'),
    }),
    encodeAnswer(3, 'BasicNack', { deliveryTag: 8, multiple: false, requeue: true }),
  ]);
  const read = (chunks: readonly Buffer[]): Frame[] => {
    const reader = new FrameReader(limits.frameBytes);
    const frames: Frame[] = [];
    for (const chunk of chunks) {
      reader.push(chunk);
      for (let frame = reader.next(); frame; frame = reader.next()) frames.push(frame);
    }
    return frames;
  };
  it('are the same wherever the network cuts them', () => {
    const whole = read([bytes]);
    expect(whole.map(({ kind }) => kind)).toEqual(['request', 'header', 'body', 'body', 'body', 'request']);
    expect(whole[0]).toMatchObject({ channel: 3, request: { name: 'BasicAck', fields: { deliveryTag: 7 } } });
    for (let cut = 1; cut < bytes.length; cut++)
      expect(read([bytes.subarray(0, cut), bytes.subarray(cut)])).toEqual(whole);
    expect(read(Array.from(bytes, (byte) => Buffer.from([byte])))).toEqual(whole);
  });
  it('of another size, end or method than agreed are refused', () => {
    const small = new FrameReader(20);
    small.push(Buffer.from([1, 0, 1, 0, 0, 0, 13])); // 13 bytes of payload make 21.
    expect(() => small.next()).toThrow(/FRAME_ERROR/);
    const ack = encodeAnswer(1, 'BasicAck', { deliveryTag: 1, multiple: false });
    ack[ack.length - 1] = 0;
    expect(() => read([ack])).toThrow(/FRAME_ERROR/);
    const select = Buffer.from([1, 0, 1, 0, 0, 0, 4, 0, 90, 0, 10, 0xce]); // tx.select
    expect(() => read([select])).toThrow(/NOT_IMPLEMENTED.*TxSelect/);
    const unknown = Buffer.from([1, 0, 1, 0, 0, 0, 4, 0, 99, 0, 10, 0xce]);
    expect(() => read([unknown])).toThrow(/NOT_IMPLEMENTED.*method 99\.10/);
    const truncated = Buffer.from([1, 0, 1, 0, 0, 0, 5, 0, 60, 0, 80, 1, 0xce]); // basic.ack with one byte of its nine
    expect(() => read([truncated])).toThrow(/SYNTAX_ERROR/);
  });
});

describe('publishing', () => {
  const method = { exchange: 'e', routingKey: 'k', mandatory: false, immediate: false };
  const header = (bodyBytes: number, properties = {}): Extract<Frame, { kind: 'header' }> => ({
    kind: 'header',
    channel: 1,
    bodyBytes,
    properties: encodeProperties(properties),
  });
  const body = (text: string): Extract<Frame, { kind: 'body' }> => ({
    kind: 'body',
    channel: 1,
    bytes: Buffer.from(text),
  });
  it('puts the parts of a body together, and keeps no hold of the network buffer', () => {
    const budget = { bytesLeft: 100 };
    const publishing = new Publishing(method, budget);
    const part = body('hello ');
    expect(publishing.take(header(11))).toBeUndefined();
    expect(publishing.take(part)).toBeUndefined();
    const publish = publishing.take(body('world'));
    part.bytes.fill(0);
    expect(budget.bytesLeft).toBe(100);
    expect(publish?.message).toMatchObject({ exchange: 'e', routingKey: 'k' });
    expect(publish?.message.body.toString()).toBe('hello world');
  });
  it('refuses what is too large before it is received, and gives its share of the budget back', () => {
    const budget = { bytesLeft: 100 };
    expect(() => new Publishing(method, budget).take(header(limits.messageBytes + 1))).toThrow(
      /CONTENT_TOO_LARGE/,
    );
    const one = new Publishing(method, budget);
    one.take(header(90));
    expect(budget.bytesLeft).toBe(10);
    expect(() => new Publishing(method, budget).take(header(11))).toThrow(/RESOURCE_ERROR/);
    one.abandon();
    one.abandon();
    expect(budget.bytesLeft).toBe(100);
    const headers = { long: 'x'.repeat(limits.propertiesBytes) };
    expect(() => new Publishing(method, budget).take(header(1, { headers }))).toThrow(/PRECONDITION_FAILED/);
  });
  it('refuses a body that is longer than said, and what it does not honour', () => {
    const long = new Publishing(method, { bytesLeft: 100 });
    long.take(header(3));
    expect(() => long.take(body('four'))).toThrow(/FRAME_ERROR/);
    expect(() => new Publishing(method, { bytesLeft: 1 }).take(header(1, { expiration: '1s' }))).toThrow(
      /invalid expiration/,
    );
    expect(() =>
      new Publishing(method, { bytesLeft: 1 }).take(header(1, { headers: { CC: ['x'] } })),
    ).toThrow(/NOT_IMPLEMENTED/);
    expect(() => new Publishing({ ...method, immediate: true }, { bytesLeft: 1 })).toThrow(/NOT_IMPLEMENTED/);
  });
});

describe('dead letters', () => {
  const message = (properties = {}): Message =>
    createMessage({
      exchange: 'baton',
      routingKey: 'items.shop',
      properties: encodeProperties(properties),
      bodyParts: [Buffer.from('body')],
    });
  const die = (from: Message, queue: string, reason: 'rejected' | 'expired'): Message =>
    deadLetter(from, { queue, reason, atS: 1_700_000_000, exchange: 'dead', routingKey: undefined });
  const headersOf = (from: Message): Record<string, unknown> =>
    decodeProperties(from.properties).headers ?? {};

  it('tell each death by queue and reason, the newest first, and the first one for ever', () => {
    const once = die(message({ headers: { mine: 'ü' }, messageId: 'm' }), 'items', 'rejected');
    const thrice = die(die(once, 'retry', 'expired'), 'items', 'rejected');
    expect(headersOf(thrice)).toMatchObject({
      mine: 'ü',
      'x-first-death-queue': 'items',
      'x-first-death-reason': 'rejected',
      'x-first-death-exchange': 'baton',
    });
    expect(headersOf(thrice)['x-death']).toMatchObject([
      { queue: 'items', reason: 'rejected', count: 2 },
      { queue: 'retry', reason: 'expired', count: 1, exchange: 'dead', 'routing-keys': ['items.shop'] },
    ]);
    expect(decodeProperties(thrice.properties).messageId).toBe('m');
    expect(thrice.body.toString()).toBe('body');
    expect(decodeMessage(thrice.encoded)).toEqual(thrice);
  });

  it('lose their own time to live, which stands in their history', () => {
    const letter = die(message({ expiration: '50' }), 'items', 'expired');
    expect(decodeProperties(letter.properties).expiration).toBeUndefined();
    expect(headersOf(letter)['x-death']).toMatchObject([{ 'original-expiration': '50' }]);
  });

  it('that come around without anybody rejecting them go in circles', () => {
    const expired = die(message(), 'a', 'expired');
    expect(goesInCircles(expired, 'a')).toBe(true);
    expect(goesInCircles(expired, 'b')).toBe(false);
    expect(goesInCircles(die(expired, 'b', 'expired'), 'a')).toBe(true);
    expect(goesInCircles(die(expired, 'b', 'rejected'), 'a')).toBe(false);
  });

  it('keep headers that can still be written after any number of deaths, and bear a publisher that makes some up', () => {
    let letter = message({
      headers: { large: 'x'.repeat(20_000), 'x-death': ['nonsense', { queue: 7 }, null] },
    });
    for (let death = 0; death < 100; death++) letter = die(letter, `${'q'.repeat(250)}${death}`, 'expired');
    const newestFirst = Array.from({ length: 16 }, (_, index) => ({
      queue: `${'q'.repeat(250)}${99 - index}`,
    }));
    expect(headersOf(letter)['x-death']).toMatchObject(newestFirst);
  });
});

describe('confirms', () => {
  it('are told in one answer up to the oldest open one, and apart beyond it', () => {
    const confirms = new Confirms();
    for (let sequence = 1; sequence <= 6; sequence++) expect(confirms.expect()).toBe(sequence);
    for (const sequence of [3, 1, 2, 5]) confirms.settle(sequence, true);
    expect(confirms.take()).toEqual([
      { name: 'BasicAck', fields: { deliveryTag: 3, multiple: true } },
      { name: 'BasicAck', fields: { deliveryTag: 5, multiple: false } },
    ]);
    expect(confirms.take()).toEqual([]);
  });
  it('name a refused one before any answer that could take it along', () => {
    const confirms = new Confirms();
    for (let sequence = 1; sequence <= 3; sequence++) confirms.expect();
    confirms.settle(1, true);
    confirms.settle(2, false);
    confirms.settle(3, true);
    confirms.settle(3, false); // Settled already.
    expect(confirms.take()).toEqual([
      { name: 'BasicNack', fields: { deliveryTag: 2, multiple: false } },
      { name: 'BasicAck', fields: { deliveryTag: 3, multiple: true } },
    ]);
  });
});

describe('queue arguments', () => {
  const settings = (table: Record<string, unknown>) => queueSettings('q', readQueueArguments('q', table));
  it('mean what RabbitMQ 4 says they mean when they are left out', () => {
    expect(settings({})).toMatchObject({ kind: 'classic', deliveryLimit: undefined, overflow: 'drop-head' });
    expect(settings({ 'x-queue-type': 'quorum' })).toMatchObject({ kind: 'quorum', deliveryLimit: 20 });
    expect(settings({ 'x-dead-letter-exchange': 'd' }).deadLetter).toEqual({
      exchange: 'd',
      routingKey: undefined,
      atLeastOnce: false,
    });
  });
  it.each([
    [{ 'x-single-active-consumer': true }, /NOT_IMPLEMENTED.*x-single-active-consumer/],
    [{ 'x-queue-type': 'stream' }, /PRECONDITION_FAILED.*x-queue-type.*quorum or classic/],
    [{ 'x-message-ttl': -1 }, /PRECONDITION_FAILED.*x-message-ttl/],
    [{ 'x-message-ttl': '5' }, /PRECONDITION_FAILED.*x-message-ttl/],
    [{ 'x-message-ttl': 2 ** 50 }, /PRECONDITION_FAILED.*x-message-ttl/],
    [{ 'x-max-length': 1.5 }, /PRECONDITION_FAILED.*x-max-length/],
    [{ 'x-overflow': 'reject-publish-dlx' }, /PRECONDITION_FAILED.*x-overflow/],
    [{ 'x-delivery-limit': 3 }, /PRECONDITION_FAILED.*quorum queues only/],
    [{ 'x-dead-letter-routing-key': 'k' }, /PRECONDITION_FAILED.*x-dead-letter-exchange/],
  ])('%j is refused', (table, expected) => {
    expect(() => settings(table)).toThrow(expected);
  });
  it('that differ are named with both values', () => {
    expect(() => refuseOtherArguments('q', { a: 1 }, { a: 1 })).not.toThrow();
    expect(() => refuseOtherArguments('q', { a: 1 }, { a: 2 })).toThrow(
      "inequivalent arg 'a' for queue 'q' in vhost '/': received the value '2' but current is the value '1'",
    );
    expect(() => refuseOtherArguments('q', {}, { a: 2 })).toThrow(/current is none/);
    expect(() => refuseOtherArguments('q', { a: 1 }, {})).toThrow(/received none/);
  });
});
