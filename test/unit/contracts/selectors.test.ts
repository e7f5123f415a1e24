// Selectors that no page can be read with are refused where a source is stored, by name.
import { expect, test } from 'vitest';
import { newSourceSchema, splitSelector } from '../../../contracts/selectors.ts';
import { issuesOf } from '../../../runtime/issues.ts';

const shop = (selectors: object) => ({
  kind: 'shop',
  name: 'shop',
  startUrls: ['https://shop.example/'],
  everySeconds: 3_600,
  selectors: { item: 'li', title: 'b', ...selectors },
});

test.each([
  ['item', 'h3['],
  ['price', '>>>'],
  ['sku', 'b:nosuch@data-sku'],
  ['next', 'a[rel="next"@href'],
])('selectors: %s "%s" is refused, and named', (name, selector) => {
  const answer = newSourceSchema.safeParse(shop({ [name]: selector }));
  expect(answer.error && issuesOf(answer.error)).toEqual([
    {
      path: `selectors.${name}`,
      message: expect.stringContaining(`"${selector}" is no CSS selector: `),
    },
  ]);
});

test('selectors: those that read an attribute, of the item itself too, are taken', () => {
  const selectors = { sku: '@data-sku', url: 'h3 > a@href', price: '.price:not(.old)', next: 'a.next' };
  expect(newSourceSchema.parse(shop(selectors))).toMatchObject({ selectors });
  expect(splitSelector('@data-sku')).toEqual({ css: '', attribute: 'data-sku' });
  expect(splitSelector('h3 a')).toEqual({ css: 'h3 a', attribute: undefined });
});
