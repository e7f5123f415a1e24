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
    const readable = messages.filter(({ attempt }) => attempt.poison !== true);
    const items = readable.flatMap(({ body, attempt }) => {
      const page = itemPageSchema.parse(JSON.parse(body));
      return attempt.items.map((attempted, index) => ({
        attempted,
        bad: attempt.bad?.includes(index) ?? false,
        parsed: itemSchema.safeParse(page.items[index]),
      }));
    });
    const good = items.filter(({ bad }) => !bad);
    expect(good.map(({ parsed }) => [parsed.data?.sku, parsed.data?.version, parsed.data?.price])).toEqual(
      good.map(({ attempted }) => attempted),
    );
    const bad = items.filter((item) => item.bad);
    expect(bad.length).toBeGreaterThan(0);
    expect(bad.filter(({ parsed }) => parsed.success)).toEqual([]);
  });

  test('some messages are no JSON', () => {
    const poison = messages.filter(({ attempt }) => attempt.poison);
    expect(poison.length).toBeGreaterThan(0);
    for (const { body } of poison) expect(() => JSON.parse(body) as unknown).toThrow(SyntaxError);
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
