// Sources as people configure and delete them, and how old the last good crawl or file of each is, by the database's clock.
import { lastVersionOf } from '../../contracts/ids.ts';
import { sourceSchema } from '../../contracts/source.ts';
import { newTraceparent } from '../../runtime/trace.ts';
import type { SourceAge, SourceStore } from '../store.ts';
import type { Queries } from './pool.ts';
import { write, writeStatement, writtenColumns } from './write-items.ts';

export function sourceQueries(queries: Queries): SourceStore {
  const { query, read } = queries;
  return {
    async sources() {
      const rows = await read<{ definition: unknown }>(
        'listing sources',
        'SELECT definition FROM sources WHERE deleted_at IS NULL ORDER BY name',
      );
      return rows.map(({ definition }) => sourceSchema.parse(definition));
    },
    async putSource(term, source) {
      await query(`storing source ${source.name}`, 'SELECT put_source($1, $2, $3)', [
        term,
        source.name,
        JSON.stringify(source),
      ]);
    },
    async deleteSource(term, name) {
      const [row] = await query<{ deleted: boolean }>(
        `deleting source ${name}`,
        'SELECT delete_source($1, $2) AS deleted',
        [term, name],
      );
      return row?.deleted === true;
    },
    emptyDeletedSource: (term, rowsMax) => emptyDeletedSource(queries, term, rowsMax),
    sourceAges: (options) => sourceAges(queries, options),
  };
}

/** Who reads the feed is told of each item, as when a shop sells it no more; then the items go. */
const emptyStatement = writeStatement({
  given: `SELECT source, sku FROM items WHERE source = $2 AND NOT vanished ORDER BY source, sku LIMIT $5 FOR UPDATE`,
  applied: `applied AS (
    UPDATE items SET vanished = true, in_stock = false, version = $3, term = fence_held.term, traceparent = $4,
      changed_at = clock_timestamp()
    FROM given, fence_held, sources
    WHERE items.source = given.source AND items.sku = given.sku AND items.version < $3
      AND sources.name = $2 AND sources.deleted_at IS NOT NULL
    RETURNING ${writtenColumns}
  )`,
  repeats: 'recorded',
});

async function emptyDeletedSource(queries: Queries, term: number, rowsMax: number): Promise<boolean> {
  const [source] = await queries.query<{ name: string; last_intake: number }>(
    'looking for deleted sources',
    `SELECT name, last_intake FROM sources WHERE deleted_at IS NOT NULL AND emptied_at IS NULL ORDER BY deleted_at LIMIT 1`,
  );
  if (!source) return false;
  const { given } = await write(queries, `emptying source ${source.name}`, emptyStatement, [
    term,
    source.name,
    lastVersionOf(source.last_intake),
    newTraceparent(),
    rowsMax,
  ]);
  const [step] = await queries.query<{ removed: number }>(
    `emptying source ${source.name}`,
    'SELECT remove_vanished($1, $2, $3) AS removed',
    [term, source.name, rowsMax],
  );
  return given + (step?.removed ?? 0) > 0;
}

/**
 * From the end of one crawl to the end of the next: the pause that is set and what its pages take at the pace that is
 * set, but not less than the schedule, which calls the scraper once a minute.
 */
const shopIntervalS = `greatest($2, (definition->>'everySeconds')::numeric
  + (definition->>'pagesMax')::numeric * (definition->>'requestEveryMs')::numeric / 1000)`;

const statement = `
SELECT source, kind, incomplete, empty, good_at AS "lastGoodAt", age::float8 AS "ageS", interval_s::float8 AS "intervalS"
FROM (SELECT name AS source, definition->>'kind' AS kind, good_at, incomplete, empty,
    greatest(0, extract(epoch FROM clock_timestamp() - greatest(good_at, active_since))) AS age,
    CASE definition->>'kind' WHEN 'shop' THEN ${shopIntervalS} ELSE (definition->>'fileEverySeconds')::numeric END AS interval_s
  FROM sources CROSS JOIN LATERAL (SELECT CASE definition->>'kind'
      WHEN 'shop' THEN (SELECT max(changed_at) FROM crawls WHERE crawls.source = sources.name
        AND is_good_crawl(status, counts, counts_before))
      ELSE (SELECT max(opened_at) FROM files WHERE source_of_file(files.name) = sources.name AND state = 'applied')
    END AS good_at) AS last
    LEFT JOIN LATERAL (SELECT reason AS incomplete,
        CASE WHEN NOT is_good_crawl(status, counts, counts_before) THEN coalesce(problem, 'no page shows an item') END AS empty
      FROM crawls WHERE crawls.source = sources.name AND status = 'finished'
      ORDER BY intake DESC LIMIT 1) AS crawled ON true
  WHERE (definition->>'enabled')::boolean) AS aged
ORDER BY age / interval_s DESC NULLS LAST, source LIMIT $1`;

async function sourceAges(
  queries: Queries,
  { limit, intervalSMin }: { limit: number; intervalSMin: number },
): Promise<SourceAge[]> {
  const rows = await queries.read<Omit<SourceAge, 'lastGoodAt'> & { lastGoodAt: Date | null }>(
    'looking at the age of sources',
    statement,
    [limit, intervalSMin],
  );
  return rows.map((row) => ({ ...row, lastGoodAt: row.lastGoodAt?.toISOString() ?? null }));
}
