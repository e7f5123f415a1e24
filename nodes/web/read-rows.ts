// Bytes of a partner's or crawl file in, rows out: CSV, NDJSON or a JSON array, gzipped or not, with a byte order
// mark and CRLF taken as they come. Bounds the unpacked bytes and each line. Never judges what a row says.
import { pipeline, Transform, type Readable } from 'node:stream';
import { createGunzip } from 'node:zlib';
import { parse as parseCsv } from 'csv-parse';
import StreamArray from 'stream-json/streamers/stream-array.js';
import { fileLineBytesMax, unpackedBytesMax, type FileName } from '../../contracts/file.ts';
import { Failure } from '../../runtime/failure.ts';

export interface Row {
  /** From 1, the header not counted. */
  readonly row: number;
  readonly value: unknown;
  /** Set where the row cannot be read at all. */
  readonly problem?: string;
}
export interface ReadLimits {
  readonly unpackedBytesMax: number;
  readonly lineBytesMax: number;
}

/** @throws Failure FILE_TOO_LARGE or FILE_MALFORMED for the file as a whole. */
export async function* readRows(
  bytes: Readable,
  { format, compressed }: Pick<FileName, 'format' | 'compressed'>,
  limits: ReadLimits = { unpackedBytesMax, lineBytesMax: fileLineBytesMax },
): AsyncGenerator<Row> {
  const plain = compressed ? unpack(bytes, limits.unpackedBytesMax) : bytes;
  if (format === 'ndjson') yield* readNdjson(plain, limits.lineBytesMax);
  else if (format === 'csv') yield* readCsv(plain, limits.lineBytesMax);
  else yield* readJson(plain);
}

function unpack(bytes: Readable, max: number): Readable {
  let length = 0;
  const capped = new Transform({
    transform(chunk: Buffer, _encoding, done) {
      length += chunk.length;
      if (length > max) done(new Failure('FILE_TOO_LARGE', `the file unpacks to more than ${max} bytes`));
      else done(null, chunk);
    },
  });
  const gunzip = createGunzip();
  gunzip.on('error', (error) =>
    capped.destroy(new Failure('FILE_MALFORMED', `not a whole gzip file: ${error.message}`)),
  );
  bytes.on('error', (error) => gunzip.destroy(error));
  // Not pipeline(): a bad file must not destroy the upload, whose rest is still counted.
  bytes.pipe(gunzip).pipe(capped);
  capped.on('error', () => bytes.unpipe(gunzip));
  return capped;
}

async function* readNdjson(bytes: Readable, lineMax: number): AsyncGenerator<Row> {
  const decoder = new TextDecoder('utf-8', { fatal: true });
  let rest: Buffer = Buffer.alloc(0);
  let row = 0;
  const read = (line: Buffer): Row | undefined => {
    let text: string;
    try {
      text = decoder.decode(line).trim();
    } catch {
      return { row: ++row, value: undefined, problem: 'not UTF-8' };
    }
    if (text === '') return undefined;
    row += 1;
    try {
      return { row, value: JSON.parse(text) };
    } catch {
      return { row, value: undefined, problem: 'not JSON' };
    }
  };
  for await (const chunk of bytes.iterator({ destroyOnReturn: false }) as AsyncIterable<Buffer>) {
    rest = rest.length === 0 ? chunk : Buffer.concat([rest, chunk]);
    let start = 0;
    for (let end = rest.indexOf(10); end !== -1; end = rest.indexOf(10, start)) {
      const parsed = read(rest.subarray(start, end));
      if (parsed) yield parsed;
      start = end + 1;
    }
    rest = rest.subarray(start);
    if (rest.length > lineMax)
      throw new Failure('FILE_MALFORMED', `the line after row ${row} is longer than ${lineMax} bytes`);
  }
  const last = read(rest);
  if (last) yield last;
}

async function* readCsv(bytes: Readable, lineMax: number): AsyncGenerator<Row> {
  const parser = parseCsv({
    bom: true,
    relax_column_count: true,
    skip_empty_lines: true,
    max_record_size: lineMax,
  });
  bytes.on('error', (error) => parser.destroy(error));
  bytes.pipe(parser);
  let header: string[] | undefined;
  let row = 0;
  try {
    for await (const record of parser as AsyncIterable<string[]>) {
      if (!header) {
        header = record.map((name) => name.trim());
        // Else every row would be bad for a reason that none of them has.
        if (!header.includes('sku'))
          throw new Failure(
            'FILE_MALFORMED',
            `its first line names no column sku, where columns are separated by commas: ${header.join(',').slice(0, 200)}`,
          );
        continue;
      }
      row += 1;
      yield record.length === header.length
        ? { row, value: fromColumns(header, record) }
        : { row, value: undefined, problem: `${record.length} columns, the header has ${header.length}` };
    }
  } catch (error) {
    if (error instanceof Failure) throw error;
    throw new Failure('FILE_MALFORMED', `after row ${row}: ${(error as Error).message}`, { cause: error });
  } finally {
    bytes.unpipe(parser);
  }
  if (!header) throw new Failure('FILE_MALFORMED', 'the file has no header');
}

/** CSV knows text only: columns that are numbers or flags in the schema are read as such when they look like it. */
function fromColumns(header: readonly string[], record: readonly string[]): Record<string, unknown> {
  const value: Record<string, unknown> = {
    url: null,
    imageUrl: null,
    price: null,
    currency: null,
    stock: null,
  };
  for (const [index, name] of header.entries()) {
    const text = (record[index] ?? '').trim();
    if (text === '') value[name] = name === 'sku' || name === 'title' ? '' : null;
    else if (name === 'price' || name === 'stock' || name === 'version')
      value[name] = /^-?\d+(?:\.\d+)?$/.test(text) ? Number(text) : text;
    else if (name === 'inStock' || name === 'vanished')
      value[name] = /^(?:true|1|yes)$/i.test(text) ? true : /^(?:false|0|no)$/i.test(text) ? false : text;
    else value[name] = text;
  }
  return value;
}

async function* readJson(bytes: Readable): AsyncGenerator<Row> {
  const array = StreamArray.withParserAsStream();
  pipeline(bytes.iterator({ destroyOnReturn: false }), array, () => undefined);
  let row = 0;
  try {
    for await (const { value } of array as AsyncIterable<{ value: unknown }>) yield { row: ++row, value };
  } catch (error) {
    throw new Failure('FILE_MALFORMED', `after row ${row}: ${(error as Error).message}`, { cause: error });
  }
}
