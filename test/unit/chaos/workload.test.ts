// What a chaos run throws: from its seed alone, and of every kind.
import { describe, expect, test } from 'vitest';
import { itemPageSchema } from '../../../contracts/item-page.ts';
import { itemSchema } from '../../../contracts/item.ts';
import { drawFaults, faultKinds, type Fault } from '../../chaos/faults.ts';
import { messagesOf } from '../../chaos/workload.ts';

const crawl = { seed: 7, source: 'shop', intake: 3, messages: 2_000 };
const messages = [...messagesOf(crawl)];

describe('workload of a chaos run', () => {
  test('a publisher that starts again has the very same messages, another seed has others', () => {
    const attempts = (seed: number) => [...messagesOf({ ...crawl, seed })].map(({ attempt }) => attempt);
    expect(attempts(7)).toEqual(messages.map(({ attempt }) => attempt));
    expect(attempts(8)).not.toEqual(attempts(7));
    expect(new Set(messages.map(({ messageId }) => messageId)).size).toBe(crawl.messages);
  });

  test('each item says what its attempt says, and the bad ones are those that no schema takes', () => {
    const kinds = { good: 0, bad: 0, poison: 0 };
    for (const { body, attempt } of messages) {
      if (attempt.poison) {
        kinds.poison++;
        expect(() => JSON.parse(body) as unknown).toThrow(SyntaxError);
        continue;
      }
      const { items } = itemPageSchema.parse(JSON.parse(body));
      expect(items).toHaveLength(attempt.items.length);
      for (const [index, item] of items.entries()) {
        const parsed = itemSchema.safeParse(item);
        expect(parsed.success).toBe(!(attempt.bad ?? []).includes(index));
        kinds[parsed.success ? 'good' : 'bad']++;
        if (parsed.success)
          expect([parsed.data.sku, parsed.data.version, parsed.data.price]).toEqual(attempt.items[index]);
      }
    }
    expect(Math.min(...Object.values(kinds))).toBeGreaterThan(0);
  });

  test('versions are never used twice, and those of an item come out of order', () => {
    const versions = messages.flatMap(({ attempt }) =>
      attempt.items.map(([sku, version]) => ({ sku, version })),
    );
    expect(new Set(versions.map(({ version }) => version)).size).toBe(versions.length);
    const hot = versions.filter(({ sku }) => sku === 'hot-0').map(({ version }) => version);
    expect(hot.length).toBeGreaterThan(10);
    expect(hot).not.toEqual(hot.toSorted((one, other) => one - other));
  });
});

describe('faults of a chaos run', () => {
  const draw = (seed: number, count: number): Fault[] =>
    drawFaults({ seed, sources: ['shop'] })
      .take(count)
      .toArray();

  test('the same seed draws the same ones', () => {
    expect(draw(7, 200)).toEqual(draw(7, 200));
    expect(draw(8, 200)).not.toEqual(draw(7, 200));
  });

  test('every kind comes once on every target before any comes again', () => {
    const first = draw(7, 500).map(({ kind, target }) => `${kind} ${target}`);
    const deck = first.findIndex(
      (fault, index) => first.indexOf(fault) < index && !/-handler deliver/.test(fault),
    );
    expect(new Set(first.slice(0, deck))).toEqual(new Set(first));
    expect(new Set(draw(7, deck).map(({ kind }) => kind))).toEqual(new Set(faultKinds));
  });
});
