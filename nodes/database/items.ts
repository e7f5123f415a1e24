// Items: batches as write-items.ts writes them, and what any node reads without a term: pages by key, an item with its
// history, the feed by id, and all items as a stream.
import { Readable } from 'node:stream';
import type { Item } from '../../contracts/item.ts';
import { eventVersion } from '../../contracts/event.ts';
import type { FeedBounds, ItemEvent, ItemStore } from '../store.ts';
import { itemFields, itemSelection } from './item-columns.ts';
import type { Queries } from './pool.ts';
import { rehearseBatch, writeBatch } from './write-items.ts';

const historyMax = 200;
const exportPageLength = 2_000;

export function itemQueries(queries: Queries): ItemStore {
  const { read, follow } = queries;
  return {
    rehearse: () => rehearseBatch(queries),
    writeBatch: (term, items) => writeBatch(queries, term, items),
    items: ({ source, q, inStock, after, limit }) =>
      read<Item>(
        'listing items',
        `SELECT ${itemSelection} FROM items
         WHERE ($1::text IS NULL OR source = $1)
           AND ($2::text IS NULL OR title ILIKE $2 OR sku ILIKE $2)
           AND ($3::boolean IS NULL OR in_stock = $3)
           AND ($4::text IS NULL OR (source, sku) > ($4, $5))
         ORDER BY source, sku LIMIT $6`,
        [
          source ?? null,
          q === undefined ? null : `%${q.replaceAll(/[\\%_]/g, '\\$&')}%`,
          inStock ?? null,
          after?.source ?? null,
          after?.sku ?? null,
          limit,
        ],
      ),
    async item({ source, sku }) {
      const [item] = await read<Item>(
        'reading an item',
        `SELECT ${itemSelection} FROM items WHERE source = $1 AND sku = $2`,
        [source, sku],
      );
      if (!item) return undefined;
      const history = await read<Item>(
        'reading the history of an item',
        `SELECT ${itemSelection}, term, traceparent, changed_at AS "changedAt" FROM item_versions
         WHERE source = $1 AND sku = $2 ORDER BY version DESC LIMIT $3`,
        [source, sku, historyMax],
      );
      return { item, history };
    },
    async feedBounds() {
      const [bounds] = await follow<FeedBounds>(
        'reading the bounds of the feed',
        'SELECT feed, first, last FROM feed_head WHERE id = 1',
      );
      if (!bounds) throw new Error('the feed has no head');
      return bounds;
    },
    async feed({ after, limit }) {
      const rows = await follow<Omit<ItemEvent, 'at'> & { at: Date }>(
        'reading the feed',
        `SELECT id, source, sku, item_version AS "itemVersion", change, title, price, previous_price AS "previousPrice", currency,
           in_stock AS "inStock", term, traceparent, at
         FROM feed WHERE id > $1 ORDER BY id LIMIT $2`,
        [after, limit],
      );
      return rows.map((row) => ({
        ...row,
        version: eventVersion,
        type: 'item.changed',
        process: 'database',
        at: row.at.toISOString(),
      }));
    },
    /**
     * Every item that has not vanished, in bounded memory: by pages of keys, so a slow reader holds nothing open.
     * @throws Failure as long as nothing was sent; after that the stream breaks off with it.
     */
    exportItems: async (format) =>
      Readable.from(exportLines(queries, format, await exportPage(queries, undefined)), {
        objectMode: false,
      }),
  };
}

const csvColumns = itemFields.filter((field) => field !== 'vanished'); // None of them has.

async function* exportLines(
  queries: Queries,
  format: 'csv' | 'ndjson',
  first: readonly Item[],
): AsyncGenerator<string> {
  if (format === 'csv') yield `${csvColumns.join(',')}\n`;
  for (let page = first; page.length > 0; page = await exportPage(queries, page.at(-1)))
    yield page
      .map((item) =>
        format === 'csv' ? csvColumns.map((name) => csvField(item[name])).join(',') : JSON.stringify(item),
      )
      .join('\n')
      .concat('\n');
}

function exportPage(queries: Queries, last: Item | undefined): Promise<Item[]> {
  // One export at a time, for a partner: readers that are many do not break it off.
  return queries.query<Item>(
    'exporting items',
    `SELECT ${itemSelection} FROM items WHERE NOT vanished AND ($1::text IS NULL OR (source, sku) > ($1, $2)) ORDER BY source, sku LIMIT $3`,
    [last?.source ?? null, last?.sku ?? null, exportPageLength],
  );
}

/** RFC 4180; a text that a spreadsheet would take for a formula gets an apostrophe. */
function csvField(value: string | number | boolean | null): string {
  if (value === null) return '';
  const text = typeof value === 'string' && /^[=+\-@\t\r]/.test(value) ? `'${value}` : String(value);
  return /[",\r\n]/.test(text) ? `"${text.replaceAll('"', '""')}"` : text;
}
