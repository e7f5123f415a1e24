// A dead letter is read whatever it holds, and what belongs together is found together.
import { expect, test } from 'vitest';
import { readLetter } from '../../../nodes/dead-letters/read-letter.ts';
import type { TakenMessage } from '../../../runtime/rabbitmq.ts';

const now = new Date('2026-01-01T00:00:00Z');
const read = (message: Partial<TakenMessage>, queue = 'items') =>
  readLetter(
    queue,
    {
      body: Buffer.from('{}'),
      headers: {},
      messageId: undefined,
      type: undefined,
      timestamp: undefined,
      ...message,
    },
    now,
  );
const died = (reason: string) =>
  read({ headers: { 'x-baton-code': 'ITEM_MALFORMED', 'x-baton-reason': reason } });

test('reasons that differ in places and quoted values are one group, other reasons are not', () => {
  expect(died('items.3.price: "ten" is none').group).toBe(
    died('items.17.price: "a \\" quote" is none').group,
  );
  expect(died('items.3.price: missing').group).not.toBe(died('items.3.title: missing').group);
});

test('whatever a header says, it is sent again to its own queue alone', () => {
  const key = (said: unknown) => read({ headers: { 'x-baton-routing-key': said } }).routingKey;
  expect(key('items.shop')).toBe('items.shop');
  expect(key('mail.send')).toBe('items.again');
  expect(key(17)).toBe('items.again');
  expect(read({ body: Buffer.from('{"source":"shop"}') }).routingKey).toBe('items.shop');
  expect(read({}, 'mail').routingKey).toBe('mail.again');
});

test("a key from RabbitMQ's own account fits into its column too", () => {
  const death = { reason: 'rejected', exchange: 'baton', 'routing-keys': ['items.a\0b'] };
  expect(read({ headers: { 'x-death': [death] } }).routingKey).toBe('items.a\ufffdb');
});

test('odd headers and bodies are read, and fit into their columns', () => {
  const odd = read({
    body: Buffer.from([0, 255]),
    messageId: `\0\ud800${'x'.repeat(500)}`,
    headers: {
      'x-baton-code': null,
      'x-baton-reason': 'y'.repeat(5_000),
      'x-baton-retries': 1e300,
      'x-baton-dead-letter': -1,
      'x-death': 'none',
      traceparent: 'none',
    },
  });
  expect(odd).toMatchObject({
    code: 'unknown',
    retries: 0,
    cameFrom: null,
    traceparent: null,
    source: null,
  });
  expect(odd.messageId).toMatch(/^\ufffd\ufffdx+$/);
  expect(odd.reason).toHaveLength(1_000);
  expect(odd.diedAt).toEqual(now);
});

test('a letter names the one it came from, however many there were before', () => {
  const { cameFrom, retries } = read({
    headers: { 'x-baton-dead-letter': 1_234_567, 'x-baton-retries': 1_234_567 },
  });
  expect({ cameFrom, retries }).toEqual({ cameFrom: 1_234_567, retries: 1_000_000 });
});

test('letters that differ in anything but when they were buried and taken are different letters', () => {
  const letter = { body: Buffer.from('{"a":1}'), messageId: 'm', timestamp: 1_700_000_000 };
  const print = (changed: Partial<TakenMessage>): string =>
    read({ ...letter, ...changed }).fingerprint.toString('hex');
  // A batch that comes again buries its poison again, some seconds later.
  expect(print({ timestamp: 1_700_000_015 })).toBe(print({}));
  const others = [
    { body: Buffer.from('{"a":2}') },
    { messageId: 'n' },
    { headers: { 'x-baton-retries': 1 } },
    { headers: { 'x-baton-reason': 'another' } },
  ];
  expect(new Set([print({}), ...others.map(print)]).size).toBe(others.length + 1);
});
