// Bytes of a partner's or crawl file in, rows out: CSV, NDJSON or a JSON array, gzipped or not, with a byte order
// mark and CRLF taken as they come. Bounds the unpacked bytes and each line. Never judges what a row says.
import { pipeline, Transform, type Readable } from 'node:stream';
import { createGunzip } from 'node:zlib';
import { parse as parseCsv } from 'csv-parse';
import StreamArray from 'stream-json/streamers/stream-array.js';
import { fileLineBytesMax, unpackedBytesMax, type FileName } from '../../contracts/file.ts';
import { itemSchema } from '../../contracts/item.ts';
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
  else if (format === 'csv') yield* readCsv(checked(plain, utf8Only()), limits.lineBytesMax);
  else yield* readJson(checked(checked(plain, utf8Only()), elementsUpTo(limits.lineBytesMax)));
}

/** Not pipeline(): a bad file must not destroy the upload, whose rest is still counted. */
function checked(bytes: Readable, check: Transform): Readable {
  bytes.on('error', (error) => check.destroy(error));
  bytes.pipe(check);
  check.on('error', () => bytes.unpipe(check));
  return check;
}

/** CSV and JSON are read as one text, so one wrong byte is the whole file's: as a replacement character it would become data. */
function utf8Only(): Transform {
  const decoder = new TextDecoder('utf-8', { fatal: true });
  let before = 0;
  const judge = (chunk: Uint8Array, stream: boolean): Failure | undefined => {
    try {
      decoder.decode(chunk, { stream });
      before += chunk.length;
      return undefined;
    } catch {
      return new Failure('FILE_MALFORMED', `not UTF-8 after byte ${before}: save it in that encoding`);
    }
  };
  return new Transform({
    transform(chunk: Buffer, _encoding, done) {
      const wrong = judge(chunk, true);
      if (wrong) done(wrong);
      else done(null, chunk);
    },
    flush: (done) => done(judge(new Uint8Array(), false) ?? null),
  });
}

/** Stops before somebody assembles an element of the outer array that is larger than a row may be. */
function elementsUpTo(max: number): Transform {
  let [depth, length, row] = [0, 0, 1];
  let [inString, escaped] = [false, false];
  return new Transform({
    transform(chunk: Buffer, _encoding, done) {
      for (const byte of chunk) {
        if (inString) {
          if (escaped) escaped = false;
          else if (byte === 0x5c) escaped = true;
          else if (byte === 0x22) inString = false;
        } else if (byte === 0x22) inString = true;
        else if (byte === 0x5b || byte === 0x7b) depth += 1;
        else if (byte === 0x5d || byte === 0x7d) depth -= 1;
        else if (byte === 0x2c && depth === 1) {
          length = 0;
          row += 1;
          continue;
        }
        length += 1;
        if (length > max)
          return done(new Failure('FILE_MALFORMED', `row ${row} is longer than ${max} bytes`));
      }
      return done(null, chunk);
    },
  });
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
  capped.on('error', () => bytes.unpipe(gunzip));
  return checked(checked(bytes, gunzip), capped);
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
    relax_quotes: true, // A quotation mark inside a field is mostly an inch.
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
        header = readHeader(record);
        continue;
      }
      row += 1;
      const columns = withoutEmptyEnd(record, header.length);
      yield columns.length === header.length
        ? { row, value: fromColumns(header, columns) }
        : { row, value: undefined, problem: `${columns.length} columns, the header has ${header.length}` };
    }
  } catch (error) {
    if (error instanceof Failure) throw error;
    // It names the line: the parser is ahead of the rows that were taken from it.
    throw new Failure('FILE_MALFORMED', (error as Error).message, { cause: error });
  } finally {
    bytes.unpipe(parser);
  }
  if (!header) throw new Failure('FILE_MALFORMED', 'the file has no header');
}

const fields = new Map(Object.keys(itemSchema.shape).map((field) => [field.toLowerCase(), field]));

/** Of columns in any case, with spaces or underscores or without: `IN_STOCK` is inStock. Others keep their names. */
function readHeader(record: readonly string[]): string[] {
  const header = withoutEmptyEnd(record, 0).map(
    (name) => fields.get(name.toLowerCase().replaceAll(/[\s_-]/gu, '')) ?? name.trim(),
  );
  // Else every row would be bad for a reason that none of them has.
  if (!header.includes('sku'))
    throw new Failure(
      'FILE_MALFORMED',
      `its first line names no column sku, where columns are separated by commas: ${record.join(',').slice(0, 200)}`,
    );
  const twice = header.find((name, index) => name !== '' && header.indexOf(name) !== index);
  if (twice !== undefined)
    throw new Failure('FILE_MALFORMED', `its first line names the column ${twice.slice(0, 80)} twice`);
  return header;
}

/** Some programs end each line with commas. */
function withoutEmptyEnd(record: readonly string[], lengthMin: number): readonly string[] {
  let { length } = record;
  while (length > lengthMin && record[length - 1]?.trim() === '') length -= 1;
  return record.slice(0, length);
}

/** CSV knows text only: columns that are numbers or flags in the schema are read as such when they look like it. */
function fromColumns(header: readonly string[], record: readonly string[]): Record<string, unknown> {
  const value: Record<string, unknown> = {};
  for (const [index, name] of header.entries()) {
    if (name === '') continue;
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
    if (error instanceof Failure) throw error;
    throw new Failure('FILE_MALFORMED', `after row ${row}: ${(error as Error).message}`, { cause: error });
  }
}
