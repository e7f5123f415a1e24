// What the intermediary refuses without asking anybody, and in which words.
import { describe, expect, it } from 'vitest';
import { judgePage, messageIdOf } from '../../../functions/intermediary/judge-page.ts';
import { item, itemPage, rabbitmqMessage } from './simulated-edges.ts';

describe('poison', () => {
  it.each([
    ['not JSON', '{"version":1,', 'MESSAGE_MALFORMED', /^its body is not JSON: /],
    ['empty', '', 'MESSAGE_MALFORMED', /^its body is not JSON: /],
    ['not UTF-8', Buffer.from([0x22, 0xff, 0x22]), 'MESSAGE_MALFORMED', /^its body is not JSON: /],
    [
      'a price of NaN, which JSON does not know',
      '{"items":[{"price":NaN}]}',
      'MESSAGE_MALFORMED',
      /^its body is not JSON: /,
    ],
    ['another schema', { version: 1, kind: 'sync' }, 'MESSAGE_MALFORMED', /source: /],
    [
      'a newer version',
      itemPage([], { version: 2, extra: 1 }),
      'VERSION_UNSUPPORTED',
      /^version 2, this release reads 1$/,
    ],
    ['an older version', itemPage([], { version: 0 }), 'MESSAGE_MALFORMED', /^version: /],
    ['201 items', itemPage(Array.from({ length: 201 }, () => item('a', 1))), 'MESSAGE_MALFORMED', /^items: /],
  ] as const)('poison: a message that is %s is refused with its reason', (_, body, code, reason) => {
    expect(judgePage(rabbitmqMessage(body))).toEqual({
      kind: 'poison',
      code,
      reason: expect.stringMatching(reason) as unknown,
    });
  });

  it('a page of a newer release with a field that this one does not know is read', () => {
    expect(judgePage(rabbitmqMessage(itemPage([item('a', 1)], { extra: 1 })))).toMatchObject({
      kind: 'page',
    });
  });

  it('poison: a message of another type is refused although its body would do', () => {
    const message = rabbitmqMessage(itemPage([]), { type: 'mail' });
    expect(judgePage(message)).toMatchObject({
      code: 'MESSAGE_MALFORMED',
      reason: 'type: "mail" is not item-page',
    });
  });

  it.each([1024 * 1024 + 1, 6 * 1024 * 1024, 8_000_001])(
    'poison: %i bytes are refused undecoded',
    (bytes) => {
      const judged = judgePage(rabbitmqMessage(Buffer.alloc(bytes, 0x20)));
      expect(judged).toMatchObject({
        code: 'MESSAGE_TOO_LARGE',
        reason: `${bytes} bytes, at most 1048576 are read`,
      });
    },
  );

  it('poison: a megabyte exactly is read', () => {
    const body = JSON.stringify(itemPage([item('a', 1)]));
    expect(judgePage(rabbitmqMessage(body.padEnd(1024 * 1024, ' ')))).toMatchObject({ kind: 'page' });
  });
});

describe('items', () => {
  it.each([
    ['price', 'twelve'],
    ['price', -1],
    ['price', 1e10],
    ['price', 1.23456],
    ['version', 0],
    ['version', 1.5],
    ['version', 2 ** 53],
    ['version', 2 ** 24 - 1],
    ['version', 2 ** 25],
    ['version', Number.MAX_SAFE_INTEGER],
    ['sku', ''],
    ['sku', 'a\r\nb'],
    ['currency', 'euro'],
    ['url', 'javascript:alert(1)'],
    ['source', 'other'],
    ['unknown', 1],
  ] as const)('item: %s %j is judged alone, and the rest of its page goes on', (field, value) => {
    const page = itemPage([item('a', 1), item('b', 2, { [field]: value }), item('c', 3)]);
    expect(judgePage(rabbitmqMessage(page))).toMatchObject({
      good: [{ index: 0 }, { index: 2 }],
      bad: [{ index: 1, code: 'ITEM_MALFORMED', reason: expect.stringContaining(field) as unknown }],
    });
  });

  it.each([null, 0, 0.0001, 1e9])('item: a price of %j is one', (price) => {
    const page = itemPage([item('a', 1, { price })]);
    expect(judgePage(rabbitmqMessage(page))).toMatchObject({ good: [{ item: { price } }], bad: [] });
  });

  it.each([null, 'text', 7, []])('item: %j is no item', (candidate) => {
    expect(judgePage(rabbitmqMessage(itemPage([candidate])))).toMatchObject({
      good: [],
      bad: [{ index: 0 }],
    });
  });
});

describe('message id', () => {
  it('message id: one that is missing or longer than the leader takes is made of the content', () => {
    const [missing, long, other] = [
      messageIdOf(rabbitmqMessage('a', { messageId: null })),
      messageIdOf(rabbitmqMessage('a', { messageId: 'x'.repeat(81) })),
      messageIdOf(rabbitmqMessage('b', { messageId: null })),
    ];
    expect(missing).toMatch(/^[0-9a-f]{64}$/);
    expect(long).toBe(missing);
    expect(other).not.toBe(missing);
    expect(messageIdOf(rabbitmqMessage('a', { messageId: 'x'.repeat(80) }))).toBe('x'.repeat(80));
  });
});
