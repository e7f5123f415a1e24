// Of each key the newest version once, in requests that the leader takes.
import { describe, expect, it } from 'vitest';
import { itemSchema } from '../../../contracts/item.ts';
import { batchBytesMax, batchItemsMax, batchRequestSchema } from '../../../contracts/node-api.ts';
import { selectNewest, splitIntoBatches, toEntry } from '../../../functions/intermediary/plan-batches.ts';
import { item, traceparent } from './simulated-edges.ts';

const candidate = (origin: string, raw: ReturnType<typeof item>) => ({
  origin,
  messageId: 'm',
  traceparent,
  item: itemSchema.parse(raw),
});

describe('newest', () => {
  it.each([
    ['rising', [1, 2, 3]],
    ['falling', [3, 2, 1]],
    ['mixed', [2, 3, 1]],
  ])('newest: of %s versions of a key only the highest is kept', (_, versions) => {
    const { newest, superseded, reused } = selectNewest(
      versions.map((version) => candidate(`v${version}`, item('a', version))),
    );
    expect(newest.map(({ origin }) => origin)).toEqual(['v3']);
    expect({ superseded, reused }).toEqual({ superseded: 2, reused: [] });
  });

  it('newest: the same item twice is one item', () => {
    const { newest, superseded, reused } = selectNewest([
      candidate('first', item('a', 1)),
      candidate('again', item('a', 1)),
    ]);
    expect(newest.map(({ origin }) => origin)).toEqual(['first']);
    expect({ superseded, reused }).toEqual({ superseded: 1, reused: [] });
  });

  it('newest: the same version with another price is handed back, not dropped', () => {
    const { newest, superseded, reused } = selectNewest([
      candidate('first', item('a', 1)),
      candidate('other', item('a', 1, { price: 1 })),
    ]);
    expect(newest.map(({ origin }) => origin)).toEqual(['first']);
    expect(reused.map(({ origin }) => origin)).toEqual(['other']);
    expect(superseded).toBe(0);
  });

  it('newest: the same sku of two sources is two items', () => {
    const { newest } = selectNewest([
      candidate('one', item('a', 1)),
      candidate('two', item('a', 2, { source: 'other' })),
    ]);
    expect(newest).toHaveLength(2);
  });
});

describe('batches', () => {
  it('batches: nothing makes no request', () => {
    expect(splitIntoBatches([])).toEqual([]);
  });

  it('batches: 1,001 items are two requests, in order', () => {
    const all = Array.from({ length: batchItemsMax + 1 }, (_, index) =>
      candidate(`${index}`, item(`s${index}`, 1)),
    );
    const batches = splitIntoBatches(all);
    expect(batches.map((batch) => batch.length)).toEqual([batchItemsMax, 1]);
    expect(batches.flat()).toEqual(all);
  });

  it('batches: no request is larger than the leader reads, whatever the items weigh', () => {
    // Four bytes a character in UTF-8: characters would undercount.
    const all = Array.from({ length: 400 }, (_, index) =>
      candidate(`${index}`, item(`s${index}`, 1, { title: '🫖'.repeat(1 + (index % 7) * 30) })),
    );
    const bytesMax = 40_000;
    const batches = splitIntoBatches(all, { bytesMax });
    expect(batches.flat()).toEqual(all);
    for (const batch of batches) {
      const request = { items: batch.map(toEntry) };
      expect(Buffer.byteLength(JSON.stringify(request))).toBeLessThanOrEqual(bytesMax);
      expect(batchRequestSchema.safeParse(request).success).toBe(true);
    }
    expect(batches.length).toBeGreaterThan(2);
    expect(batches.length).toBeLessThan(40);
  });

  it.each(['\uffee', '"', '\\'])('batches: %j is counted as what JSON writes', (character) => {
    const all = Array.from({ length: 100 }, (_, index) =>
      candidate(`${index}`, item(`s${index}`, 1, { title: character.repeat(500) })),
    );
    const bytesMax = 100_000;
    for (const batch of splitIntoBatches(all, { bytesMax }))
      expect(Buffer.byteLength(JSON.stringify({ items: batch.map(toEntry) }))).toBeLessThanOrEqual(bytesMax);
  });

  it('batches: an item alone may never exceed a request', () => {
    const heaviest = item('s'.repeat(200), 1, {
      version: 2 ** 53 - 1,
      title: '\u{10ffff}'.repeat(250),
      url: `https://example.org/${'a'.repeat(1_900)}`,
      imageUrl: `https://example.org/${'a'.repeat(1_900)}`,
    });
    const [batch] = splitIntoBatches([candidate('heaviest', heaviest)]);
    expect(Buffer.byteLength(JSON.stringify(batch))).toBeLessThan(batchBytesMax / 1_000);
  });
});
