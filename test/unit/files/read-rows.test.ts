import { Readable } from 'node:stream';
import { gzipSync } from 'node:zlib';
import { expect, test } from 'vitest';
import { readRows } from '../../../nodes/files/read-rows.ts';

async function readAll(bytes: Buffer, format: 'csv' | 'ndjson' | 'json', compressed = false) {
  const rows = [];
  const limits = { unpackedBytesMax: 1_000_000, lineBytesMax: 1_000 };
  for await (const row of readRows(Readable.from([bytes]), { format, compressed }, limits)) rows.push(row);
  return rows;
}
test('files: a gzip bomb ends at the cap on unpacked bytes', async () => {
  const bomb = gzipSync(Buffer.alloc(50_000_000, '{}\n'));
  await expect(readAll(bomb, 'ndjson', true)).rejects.toMatchObject({ code: 'FILE_TOO_LARGE' });
});
test('files: a truncated gzip file, broken JSON and an empty CSV are malformed', async () => {
  await expect(readAll(gzipSync('{}\n').subarray(0, 12), 'ndjson', true)).rejects.toMatchObject({
    code: 'FILE_MALFORMED',
  });
  await expect(readAll(Buffer.from('[{"a":1}, oops'), 'json')).rejects.toMatchObject({
    code: 'FILE_MALFORMED',
  });
  await expect(readAll(Buffer.alloc(0), 'csv')).rejects.toMatchObject({ code: 'FILE_MALFORMED' });
  // Not a reason that stands at each row.
  await expect(readAll(Buffer.from('sku;title;price\na;Teapot;1,50\n'), 'csv')).rejects.toThrow(
    'its first line names no column sku, where columns are separated by commas: sku;title;price',
  );
});
test('files: an element of a JSON array that is larger than a row may be is not assembled', async () => {
  const bomb = Buffer.from(`[{"a":1},[${'[1],'.repeat(5_000_000)}`);
  await expect(readAll(gzipSync(bomb), 'json', true)).rejects.toThrow('longer than 1000 bytes');
  const fits = [{ a: '],[{"'.repeat(100) }, { b: [1, { c: '\\"' }] }, 3];
  const rows = await readAll(Buffer.from(JSON.stringify(fits)), 'json');
  expect(rows.map(({ value }) => value)).toEqual(fits);
});
test.each(['csv', 'json'] as const)(
  'files: %s in another encoding than UTF-8 is refused, not changed',
  async (format) => {
    const words = format === 'csv' ? 'sku,title\na,Café\n' : '[{"sku":"a","title":"Café"}]';
    await expect(readAll(Buffer.from(words, 'latin1'), format)).rejects.toThrow('not UTF-8 after byte 0');
    const [row] = await readAll(Buffer.from(`\ufeff${words}`), format);
    expect(row?.value).toMatchObject({ sku: 'a', title: 'Café' });
    // A character that the file ends in the middle of.
    await expect(readAll(Buffer.from(words).subarray(0, words.indexOf('é') + 1), format)).rejects.toThrow(
      'not UTF-8',
    );
  },
);
test('files: NDJSON takes CRLF, a byte order mark and a last line without its end', async () => {
  const rows = await readAll(Buffer.from('\ufeff{"a":1}\r\n\r\n{"a":2}'), 'ndjson');
  expect(rows).toEqual([
    { row: 1, value: { a: 1 } },
    { row: 2, value: { a: 2 } },
  ]);
});
test('files: columns in any case, a stray quotation mark and commas at the ends of lines are read; a column named twice is not', async () => {
  const text = 'SKU,title,In_Stock,IMAGE URL,ean,,\na,Monitor 19" black,yes,,1,,\nb,"Ä, b",0,,2\nc,C,,,,,x\n';
  expect(await readAll(Buffer.from(text), 'csv')).toEqual([
    { row: 1, value: { sku: 'a', title: 'Monitor 19" black', inStock: true, imageUrl: null, ean: '1' } },
    { row: 2, value: { sku: 'b', title: 'Ä, b', inStock: false, imageUrl: null, ean: '2' } },
    { row: 3, value: undefined, problem: '7 columns, the header has 5' },
  ]);
  await expect(readAll(Buffer.from('sku,Title,TITLE\n'), 'csv')).rejects.toThrow(
    'names the column title twice',
  );
});
test('files: an unclosed quotation mark rejects the file with the line it stands in or runs to', async () => {
  const lines = Array.from({ length: 1_000 }, (_, index) => `${index},x`);
  lines[899] = '899,"x';
  await expect(readAll(Buffer.from(`sku,title\n${lines.join('\n')}\n`), 'csv')).rejects.toThrow(
    /at line (9\d\d|100\d)$/,
  );
});
