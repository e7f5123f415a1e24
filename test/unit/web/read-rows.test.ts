import { Readable } from 'node:stream';
import { gzipSync } from 'node:zlib';
import { expect, test } from 'vitest';
import { readRows } from '../../../nodes/web/read-rows.ts';

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
test('files: NDJSON takes CRLF, a byte order mark and a last line without its end', async () => {
  const rows = await readAll(Buffer.from('\ufeff{"a":1}\r\n\r\n{"a":2}'), 'ndjson');
  expect(rows).toEqual([
    { row: 1, value: { a: 1 } },
    { row: 2, value: { a: 2 } },
  ]);
});
