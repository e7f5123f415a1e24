// A crawl's state as it travels and is stored: NDJSON, zstd, base64, and back. Streamed, so that a large shop is never in
// memory as one text. A page stands beside its items, and the window spans the rest: most of the bytes are URLs that come
// again, and a page with its one item takes some 80 bytes.
import { Readable } from 'node:stream';
import { pipeline } from 'node:stream/promises';
import { constants, createZstdCompress, createZstdDecompress } from 'node:zlib';
import * as z from 'zod';
import { crawlStateSchema, type CrawlState, type PackedCrawlState } from '../../contracts/node-api.ts';
import { newRecord } from './crawl-progress.ts';

const { frontier, pages, contents } = crawlStateSchema.shape;
const lineSchema = z.discriminatedUnion('kind', [
  crawlStateSchema
    .pick({ nextPage: true, nextOrdinal: true, extraction: true, incomplete: true })
    .extend({ kind: z.literal('crawl') }),
  pages.valueType.extend({ kind: z.literal('page'), url: z.string() }),
  contents.valueType.extend({ kind: z.literal('item'), sku: z.string() }),
  frontier.element.extend({ kind: z.literal('frontier') }),
  z.object({ kind: z.literal('visited'), url: z.string() }),
]);
type Line = z.infer<typeof lineSchema>;

const windowLog = 24; // 16 MB.
const chunkLength = 64 * 1024;

export interface Packed {
  readonly sent: PackedCrawlState;
  /** Unpacked, in characters. */
  readonly length: number;
}

export async function packState(state: CrawlState): Promise<Packed> {
  let length = 0;
  function* chunks(): Generator<string> {
    let chunk = '';
    for (const line of linesOf(state)) {
      chunk += `${JSON.stringify(line)}\n`;
      if (chunk.length < chunkLength) continue;
      length += chunk.length;
      yield chunk;
      chunk = '';
    }
    length += chunk.length;
    yield chunk;
  }
  const compressor = createZstdCompress({
    params: {
      [constants.ZSTD_c_windowLog]: windowLog,
      [constants.ZSTD_c_enableLongDistanceMatching]: 1,
    },
  });
  const parts: Buffer[] = [];
  await pipeline(Readable.from(chunks()), compressor, async (compressed: AsyncIterable<Buffer>) => {
    for await (const part of compressed) parts.push(part);
  });
  return { sent: { zstd: Buffer.concat(parts).toString('base64') }, length };
}

function* linesOf(state: CrawlState): Generator<Line> {
  const { nextPage, nextOrdinal, extraction, incomplete } = state;
  yield { kind: 'crawl', nextPage, nextOrdinal, extraction, incomplete };
  const written = new Set<string>();
  const item = (sku: string): Line | undefined => {
    const known = state.contents[sku];
    if (known === undefined || written.has(sku)) return undefined;
    written.add(sku);
    return { kind: 'item', sku, version: known.version, content: known.content };
  };
  const visited = new Set(state.visited);
  for (const [url, page] of Object.entries(state.pages)) {
    yield { kind: 'page', url, ...page };
    if (visited.delete(url)) yield { kind: 'visited', url };
    for (const sku of page.skus) {
      const line = item(sku);
      if (line) yield line;
    }
  }
  for (const url of visited) yield { kind: 'visited', url };
  for (const sku of Object.keys(state.contents)) {
    const line = item(sku);
    if (line) yield line;
  }
  for (const entry of state.frontier) yield { kind: 'frontier', ...entry };
}

export async function unpackState({ zstd }: PackedCrawlState): Promise<CrawlState> {
  const state: CrawlState = {
    frontier: [],
    visited: [],
    nextPage: 0,
    nextOrdinal: 0,
    pages: newRecord(),
    contents: newRecord(),
  };
  const decompressor = createZstdDecompress({
    params: { [constants.ZSTD_d_windowLogMax]: windowLog },
  });
  const bytes = Readable.from([Buffer.from(zstd, 'base64')]);
  await pipeline(bytes, decompressor, async (plain: AsyncIterable<Buffer>) => {
    for await (const line of linesIn(plain)) addLine(state, lineSchema.parse(JSON.parse(line)));
  });
  return state;
}

/** Not readline's, which also end where a text has U+2028. */
async function* linesIn(plain: AsyncIterable<Buffer>): AsyncGenerator<string> {
  const decoder = new TextDecoder();
  let rest = '';
  for await (const part of plain) {
    const lines = (rest + decoder.decode(part, { stream: true })).split('\n');
    rest = lines.pop() ?? '';
    yield* lines;
  }
  if (rest !== '') throw new Error('the stored state of the crawl ends in the middle of a line');
}

function addLine(state: CrawlState, line: Line): void {
  switch (line.kind) {
    case 'crawl': {
      const { kind: _, ...rest } = line;
      Object.assign(state, rest);
      return;
    }
    case 'page': {
      const { kind: _, url, ...page } = line;
      state.pages[url] = page;
      return;
    }
    case 'item': {
      const { kind: _, sku, ...entry } = line;
      state.contents[sku] = entry;
      return;
    }
    case 'frontier': {
      const { kind: _, ...entry } = line;
      state.frontier.push(entry);
      return;
    }
    case 'visited':
      state.visited.push(line.url);
      return;
  }
}
