// What docs/partners.md tells partners to send is what is read.
import { readFileSync } from 'node:fs';
import { Readable } from 'node:stream';
import { expect, test } from 'vitest';
import { itemSchema, type Item } from '../../../contracts/item.ts';
import { stageRows } from '../../../nodes/files/stage-rows.ts';

const page = readFileSync(new URL('../../../docs/partners.md', import.meta.url), 'utf8');

test('docs/partners.md: its example is taken whole, with what the table says of what it leaves out', async () => {
  const example = /```csv\n(?<text>.*?)```/s.exec(page)?.groups?.['text'] ?? '';
  const items: Item[] = [];
  const file = { upload: 'u', name: 'acme_1.csv', intake: 1, currency: 'EUR' };
  const store = {
    stageRows: async (_upload: string, rows: readonly { item: Item }[]) =>
      void items.push(...rows.map(({ item }) => item)),
  };
  const staged = await stageRows(Readable.from([Buffer.from(example)]), { ...file, store });
  expect(staged).toEqual({
    rows: 3,
    invalid: 0,
    problems: ['columns that no item has, left out: EAN'],
    broken: undefined,
  });
  const none = { source: 'acme', currency: 'EUR', imageUrl: null, stock: null, vanished: false };
  const page1 = 'https://acme.example/teapot';
  const page3 = 'https://acme.example/tongs';
  expect(items).toMatchObject([
    { ...none, sku: '4711', title: 'Teapot, blue', price: 24.9, inStock: true, stock: 12, url: page1 },
    { ...none, sku: '4712', title: 'Monitor 19" black', price: 129, inStock: false, url: null },
    { ...none, sku: '4713', title: 'Sugar tongs', price: null, inStock: true, url: page3 },
  ]);
});

test('docs/partners.md: its table names what a partner may say of an item', () => {
  const named = new Set([...page.matchAll(/^\| `(\w+)` /gm)].map(([, name]) => name));
  const ours = ['source', 'version', 'vanished'];
  expect(named).toEqual(new Set(Object.keys(itemSchema.shape).filter((name) => !ours.includes(name))));
});
