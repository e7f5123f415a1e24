// Sources as people configure them, and how old the last good crawl or file of each is, by the database's clock.
import { sourceSchema } from '../../contracts/source.ts';
import type { SourceAge, SourceStore } from '../store.ts';
import type { Queries } from './pool.ts';

export function sourceQueries(queries: Queries): SourceStore {
  const { query, read } = queries;
  return {
    async sources() {
      const rows = await read<{ definition: unknown }>(
        'listing sources',
        'SELECT definition FROM sources ORDER BY name',
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
    sourceAges: (options) => sourceAges(queries, options),
  };
}

/**
 * From the end of one crawl to the end of the next: the pause that is set and what its pages take at the pace that is
 * set, but not less than the schedule, which calls the scraper once a minute.
 */
const shopIntervalS = `greatest($2, (definition->>'everySeconds')::numeric
  + (definition->>'pagesMax')::numeric * (definition->>'requestEveryMs')::numeric / 1000)`;

const statement = `
SELECT source, kind, incomplete, good_at AS "lastGoodAt", age::float8 AS "ageS", interval_s::float8 AS "intervalS"
FROM (SELECT name AS source, definition->>'kind' AS kind, good_at, coalesce(crawl_reason, file_reason) AS incomplete,
    greatest(0, extract(epoch FROM clock_timestamp() - greatest(good_at, active_since))) AS age,
    CASE definition->>'kind' WHEN 'shop' THEN ${shopIntervalS} ELSE (definition->>'fileEverySeconds')::numeric END AS interval_s
  FROM sources CROSS JOIN LATERAL (SELECT CASE definition->>'kind'
      WHEN 'shop' THEN (SELECT max(changed_at) FROM crawls WHERE crawls.source = sources.name
        AND is_good_crawl(status, counts, counts_before))
      ELSE (SELECT max(opened_at) FROM files WHERE source_of_file(files.name) = sources.name AND state = 'applied')
    END AS good_at) AS last
    LEFT JOIN LATERAL (SELECT reason AS crawl_reason FROM crawls WHERE crawls.source = sources.name AND status = 'finished'
      ORDER BY intake DESC LIMIT 1) AS crawled ON definition->>'kind' = 'shop'
    LEFT JOIN LATERAL (SELECT answer->>'incomplete' AS file_reason FROM files
      WHERE source_of_file(files.name) = sources.name AND state = 'applied' ORDER BY opened_at DESC LIMIT 1) AS filed ON true
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
