// Reading and writing beside a million items, and the live stream with as many readers as a node takes. Everything goes
// over HTTP, as users reach it; only the million is put there by SQL.
import { request } from 'undici';
import { startBenchSystem, type BenchSystem } from './bench-system.ts';
import { measured, median, quantile, round, type Bench, type Result } from './bench.ts';
import { benchSource } from './item-messages.ts';
import { Writer } from './item-writer.ts';
import { measureSlowReader, measureSubscribers } from './read-live.ts';

const itemsInTable = 1_000_000;
const rowsAtOnce = 50_000; // A statement has ten seconds.
const readsPerTurn = 20; // A node answers 1,200 requests a minute from one address.
const pageLength = 100;
const flatWithin = 1.2;

export const bench: Bench = async ({ rounds }) => {
  const system = await startBenchSystem(['--broker', 'development']);
  try {
    const writer = new Writer(system);
    await writer.write(); // Warms up, and makes the pages that are read first.
    const empty = await measure(system, writer, rounds, [0]);
    await fill(system);
    const full = await measure(system, writer, rounds, [0, 0.5, 0.9]);
    const [first, middle, deep] = full.reads.map((took) => quantile(took, 0.95));
    const emptyP95 = quantile(empty.reads[0] ?? [], 0.95);
    const live = await measureSubscribers(system, writer);
    const slow = await measureSlowReader(system, writer);
    return [
      {
        ...measured(
          'writes with a million items in the table, beside an empty one',
          'items/s',
          median(full.writes),
        ),
        ...beside(median(full.writes), median(empty.writes), { least: 1 / flatWithin }),
      },
      {
        ...measured(
          `a page of ${pageLength}, p95 with a million items, beside an empty table`,
          'ms',
          first ?? NaN,
        ),
        ...beside(first ?? NaN, emptyP95, { most: flatWithin }),
      },
      {
        ...measured('the same page half way down, beside the first one', 'ms', middle ?? NaN),
        ...beside(middle ?? NaN, first ?? NaN, { most: flatWithin }),
      },
      {
        ...measured('the same page after nine tenths, beside the first one', 'ms', deep ?? NaN),
        ...beside(deep ?? NaN, first ?? NaN, { most: flatWithin }),
      },
      ...live,
      ...slow,
    ];
  } finally {
    await system.close();
  }
};

async function measure(
  system: BenchSystem,
  writer: Writer,
  rounds: number,
  depths: readonly number[],
): Promise<{ writes: number[]; reads: number[][] }> {
  const { url } = await system.leader();
  const writes: number[] = [];
  const reads: number[][] = depths.map(() => []);
  for (let turn = 0; turn < rounds; turn++) {
    writes.push(await writer.write());
    for (const [index, depth] of depths.entries())
      for (let read = 0; read < readsPerTurn; read++)
        reads[index]?.push(await readPage(url, depth * itemsInTable + turn * readsPerTurn + read));
  }
  return { writes, reads };
}

/** Milliseconds for the page that begins behind this row. */
async function readPage(url: string, row: number): Promise<number> {
  // As the API gives it out: the key of the last item of the page before.
  const cursor = Buffer.from(JSON.stringify([benchSource, filledSku(row)])).toString('base64url');
  const began = performance.now();
  const { statusCode, body } = await request(`${url}/items?limit=${pageLength}&cursor=${cursor}`);
  const { items } = (await body.json()) as { items: unknown[] };
  if (statusCode !== 200 || items.length !== pageLength)
    throw new Error(`the page behind row ${row}: status ${statusCode}, ${items.length} items`);
  return performance.now() - began;
}

/** Sorts before those of the writer, and in the order of its rows. */
function filledSku(row: number): string {
  return `a-${String(row).padStart(8, '0')}`;
}

/** Items with one version each, as so many messages would have left them. */
async function fill({ database }: BenchSystem): Promise<void> {
  for (let first = 0; first < itemsInTable; first += rowsAtOnce)
    await database.query(
      'filling the tables',
      `WITH filled AS (
         INSERT INTO items (source, sku, version, title, url, price, currency, in_stock, stock, vanished, term, traceparent, changed_at)
         SELECT $1, 'a-' || lpad(row::text, 8, '0'), 1, 'Article ' || row, 'https://shop.example/p/' || row, row % 100, 'EUR', true, 1, false, 1,
           '00-00000000000000000000000000000001-0000000000000001-01', clock_timestamp()
         FROM generate_series($2::integer, $3::integer) AS row
         RETURNING *)
       INSERT INTO item_versions SELECT * FROM filled`,
      [benchSource, first, first + rowsAtOnce - 1],
    );
  await database.query('filling the tables', 'VACUUM (ANALYZE) items'); // As the server would, a minute later.
}

function beside(
  ours: number,
  other: number,
  { least, most }: { least?: number; most?: number },
): Pick<Result, 'peer' | 'ratio' | 'goal' | 'met'> {
  const ratio = ours / other;
  return {
    peer: round(other, other < 100 ? 1 : 0),
    ratio: round(ratio, 2),
    goal: least === undefined ? `<= ${most}` : `>= ${round(least, 2)}`,
    met: least === undefined ? ratio <= (most ?? Infinity) : ratio >= least,
  };
}
