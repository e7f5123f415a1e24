// The checker of the chaos runs against histories made by hand: a good one holds, and each way to break a promise is
// reported under the promise's own name, and under no other that it did not break as well.
import { describe, expect, test } from 'vitest';
import { check, invariants, type Invariant } from '../../chaos/checker.ts';
import type { HistoryRecord } from '../../chaos/history.ts';

const source = 'shop';
const recipient = 'one@example.test';
const messageId = '<mail-1@baton>';
type Applied = Extract<HistoryRecord, { kind: 'applied' }>;

const applied = (order: number, sku: string, version: number, more: Partial<Applied> = {}): Applied => ({
  kind: 'applied',
  order,
  source,
  sku,
  version,
  oldVersion: null,
  price: 10,
  term: 3,
  fenceTerm: 3,
  ...more,
});
const dead = (message: string, reason = 'price: too small'): HistoryRecord => ({
  kind: 'dead',
  message,
  code: 'ITEM_MALFORMED',
  reason,
});
const event = (id: number, sku: string, version: number): HistoryRecord => ({
  kind: 'event',
  id,
  source,
  sku,
  version,
});
const streamed = (id: number, sku: string, version: number): HistoryRecord => ({
  kind: 'streamed',
  reader: 'stream',
  id,
  source,
  sku,
  version,
});
const looked = (version: number): HistoryRecord => ({
  kind: 'looked',
  reader: 'sql',
  source,
  sku: 'a',
  version,
});
const drained = (
  more: { queues?: Record<string, number>; itemVersions?: number; feedLast?: number } = {},
): HistoryRecord => ({
  kind: 'drained',
  queues: { items: 0 },
  itemVersions: 3,
  feedLast: 3,
  ...more,
});

// Item a: version 1, then 4 at a lower price in the next term; 2 came late. Item b once, beside a malformed item c.
const good: readonly HistoryRecord[] = [
  { kind: 'watch', recipient, source, sku: 'a' },
  { kind: 'attempt', message: 'm1', source, items: [['a', 1, 10]] },
  { kind: 'confirmed', message: 'm1' },
  { kind: 'attempt', message: 'm2', source, items: [['a', 2, 9]] },
  { kind: 'in-doubt', message: 'm2', reason: 'the connection was cut' },
  { kind: 'attempt', message: 'm2', source, items: [['a', 2, 9]] },
  { kind: 'confirmed', message: 'm2' },
  { kind: 'attempt', message: 'm3', source, items: [['a', 4, 8]] },
  { kind: 'confirmed', message: 'm3' },
  {
    kind: 'attempt',
    message: 'm4',
    source,
    items: [
      ['b', 3, 10],
      ['c', 5, -1],
    ],
    bad: [1],
  },
  { kind: 'confirmed', message: 'm4' },
  { kind: 'attempt', message: 'm5', source, items: [], poison: true },
  { kind: 'confirmed', message: 'm5' },
  { kind: 'claimed', order: 1, term: 3, holder: 'node-1/boot' },
  applied(2, 'a', 1),
  applied(3, 'b', 3),
  { kind: 'claimed', order: 4, term: 5, holder: 'node-2/boot' },
  applied(5, 'a', 4, { oldVersion: 1, price: 8, term: 5, fenceTerm: 5 }),
  { kind: 'row', source, sku: 'a', version: 4, price: 8 },
  { kind: 'row', source, sku: 'b', version: 3, price: 10 },
  dead('m4/1'),
  dead('m5', 'not JSON'),
  event(1, 'a', 1),
  event(2, 'b', 3),
  event(3, 'a', 4),
  { kind: 'effect', source, sku: 'a', version: 4, recipient, messageId, state: 'sent', unknowns: 0 },
  { kind: 'mail', messageId },
  looked(1),
  looked(4),
  streamed(1, 'a', 1),
  streamed(2, 'b', 3),
  streamed(3, 'a', 4),
  drained(),
];

const without = (...dropped: readonly HistoryRecord[]): HistoryRecord[] => {
  const texts = dropped.map((record) => JSON.stringify(record));
  const left = good.filter((record) => !texts.includes(JSON.stringify(record)));
  if (left.length !== good.length - dropped.length)
    throw new Error('what is to be dropped is not in the history');
  return left;
};
const exchange = (old: HistoryRecord, ...others: readonly HistoryRecord[]): HistoryRecord[] => [
  ...without(old),
  ...others,
];

async function reported(history: readonly HistoryRecord[]): Promise<Invariant[]> {
  return (await check(history)).findings.map(({ invariant }) => invariant);
}

describe('the checker of chaos runs', () => {
  test('a good history holds, and what was in it is counted', async () => {
    const verdict = await check(good);
    expect(verdict.findings).toEqual([]);
    expect(verdict.counts).toMatchObject({
      messages: 5,
      confirmed: 5,
      confirmedItems: 6,
      dead: 2,
      applied: 3,
      superseded: 1,
    });
  });

  const rowA: HistoryRecord = { kind: 'row', source, sku: 'a', version: 4, price: 8 };
  const rowB: HistoryRecord = { kind: 'row', source, sku: 'b', version: 3, price: 10 };
  const lastOfA = applied(5, 'a', 4, { oldVersion: 1, price: 8, term: 5, fenceTerm: 5 });
  const effect: HistoryRecord = {
    kind: 'effect',
    source,
    sku: 'a',
    version: 4,
    recipient,
    messageId,
    state: 'sent',
    unknowns: 0,
  };

  test.each<[string, Invariant[], HistoryRecord[]]>([
    [
      'a confirmed item that became no row',
      ['I1', 'I7'],
      [
        ...good,
        { kind: 'attempt', message: 'm6', source, items: [['d', 6, 1]] },
        { kind: 'confirmed', message: 'm6' },
      ],
    ],
    ['a dead letter without a reason', ['I1'], exchange(dead('m5', 'not JSON'), dead('m5', ''))],
    ['a poison message that vanished', ['I1', 'I7'], without(dead('m5', 'not JSON'))],
    ['a good item that was dead-lettered', ['I1', 'I7'], [...good, dead('m4/0')]],
    ['a good message that was dead-lettered whole', ['I1'], [...good, dead('m2', 'delivery limit')]],
    ['a dead letter of a message that nobody published', ['I1'], [...good, dead('m9')]],
    [
      'a row that nobody published',
      ['I2'],
      [...good, { kind: 'row', source, sku: 'x', version: 9, price: 1 }],
    ],
    ['a row with other content than was published', ['I2'], exchange(rowB, { ...rowB, price: 11 })],
    [
      'a malformed item that was written',
      ['I2'],
      [...good, { kind: 'row', source, sku: 'c', version: 5, price: -1 }],
    ],
    [
      'a version applied twice',
      ['I3', 'I7'],
      [...good, applied(6, 'a', 4, { oldVersion: 4, price: 8, term: 5, fenceTerm: 5 })],
    ],
    [
      'an older version applied after a newer one',
      ['I4'],
      [
        ...without(rowA, drained(), looked(4)),
        applied(6, 'a', 2, { oldVersion: 4, price: 9, term: 5, fenceTerm: 5 }),
        { kind: 'row', source, sku: 'a', version: 4, price: 8 },
        event(4, 'a', 2),
        drained({ itemVersions: 4, feedLast: 3 }),
      ],
    ],
    [
      'a version that was written past the order of commits',
      ['I4'],
      exchange(lastOfA, { ...lastOfA, oldVersion: 2 }),
    ],
    ['a write of a term that was over at its commit', ['I5'], exchange(lastOfA, { ...lastOfA, term: 3 })],
    [
      'a write in a term that nobody had claimed',
      ['I5'],
      exchange(lastOfA, { ...lastOfA, term: 6, fenceTerm: 6 }),
    ],
    [
      'a term claimed after a higher one',
      ['I5'],
      [...good, { kind: 'claimed', order: 9, term: 4, holder: 'node-3/boot' }],
    ],
    [
      'a term claimed after a higher one by the same process',
      ['I5'],
      [...good, { kind: 'claimed', order: 9, term: 3, holder: 'node-2/boot' }],
    ],
    [
      'a term claimed by two',
      ['I5'],
      [...good, { kind: 'claimed', order: 9, term: 5, holder: 'node-3/boot' }],
    ],
    ['a row without its event', ['I6', 'I8'], without(event(2, 'b', 3))],
    ['a price drop without its effect', ['I6'], exchange(effect, { ...effect, version: 1 })],
    ['an effect twice', ['I6'], [...good, { ...effect, messageId: '<mail-2@baton>', state: 'claimed' }]],
    ['a mail twice whose outcome was known', ['I6'], [...good, { kind: 'mail', messageId }]],
    ['a mail said to be sent that never arrived', ['I6'], without({ kind: 'mail', messageId })],
    ['a mail that no effect names', ['I6'], [...good, { kind: 'mail', messageId: '<mail-2@baton>' }]],
    [
      'a mail without a Message-ID, while another waits for its own',
      ['I6'],
      [
        ...exchange(effect, { ...effect, messageId: '', state: 'gathered' }).filter(
          ({ kind }) => kind !== 'mail',
        ),
        { kind: 'mail', messageId: '' },
      ],
    ],
    [
      'an event of a version that was not applied',
      ['I6'],
      [...without(drained()), event(4, 'c', 5), streamed(4, 'c', 5), drained({ feedLast: 4 })],
    ],
    ['a mail given up', ['I6'], exchange(effect, { ...effect, state: 'failed' })],
    ['a message left in a queue', ['I7'], exchange(drained(), drained({ queues: { items: 1 } }))],
    [
      'versions that the system counts and nobody wrote',
      ['I7'],
      exchange(drained(), drained({ itemVersions: 4 })),
    ],
    ['a row seen at a lower version than before', ['I8'], [...good, looked(1)]],
    ['an event missed in the stream', ['I8'], without(streamed(2, 'b', 3))],
    ['an event missed at the end of the stream', ['I8'], without(streamed(3, 'a', 4))],
    ['an event seen twice in the stream', ['I8'], [...good, streamed(3, 'a', 4)]],
    ['a stream that had to begin anew', ['I8'], [...good, { kind: 'reset', reader: 'stream' }]],
    ['an event that the feed does not have', ['I8'], exchange(streamed(3, 'a', 4), streamed(3, 'b', 4))],
  ])('%s is reported', async (_what, expected, history) => {
    expect(await reported(history)).toEqual(expected);
  });

  test('a mail twice is held when its outcome was unknown and counted', async () => {
    expect(
      await reported([...exchange(effect, { ...effect, unknowns: 1 }), { kind: 'mail', messageId }]),
    ).toEqual([]);
  });

  test('a term claimed again by who holds it is held', async () => {
    expect(await reported([...good, { kind: 'claimed', order: 9, term: 5, holder: 'node-2/boot' }])).toEqual(
      [],
    );
  });

  test('an effect that waits for its mail is held', async () => {
    const waiting = exchange(effect, { ...effect, messageId: '', state: 'gathered' });
    expect(await reported(waiting.filter(({ kind }) => kind !== 'mail'))).toEqual([]);
  });

  test('an empty history holds nothing', async () => {
    expect(await reported([])).toEqual(Object.keys(invariants));
  });

  test('the evidence of a lost item is its attempt, its confirm and the older row, and nothing else', async () => {
    const lost: HistoryRecord[] = [
      { kind: 'attempt', message: 'm6', source, items: [['b', 6, 1]] },
      { kind: 'confirmed', message: 'm6' },
    ];
    const { findings } = await check([...good, ...lost]);
    expect(findings[0]).toMatchObject({ invariant: 'I1', violations: 1 });
    expect(findings[0]?.shortest.evidence).toEqual([...lost, rowB]);
  });
});
