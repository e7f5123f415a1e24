// What people configure and look at: sources, watches, the last files, crawls and mails, and the counts.
import type { CrawlView, FileView, MailView } from '../../contracts/public-views.ts';
import { sourceSchema, type Source } from '../../contracts/source.ts';
import type { StoredCounts, Watch } from '../store.ts';
import type { Queries } from './pool.ts';

export async function listSources(queries: Queries): Promise<Source[]> {
  const rows = await queries.read<{ definition: unknown }>(
    'listing sources',
    'SELECT definition FROM sources ORDER BY name',
  );
  return rows.map(({ definition }) => sourceSchema.parse(definition));
}
export async function putSource(queries: Queries, term: number, source: Source): Promise<void> {
  await queries.query(`storing source ${source.name}`, 'SELECT put_source($1, $2, $3)', [
    term,
    source.name,
    JSON.stringify(source),
  ]);
}

export function listWatches(queries: Queries): Promise<Watch[]> {
  return queries.read<Watch & Record<string, unknown>>(
    'listing watches',
    'SELECT id, email, about, source, sku FROM watches ORDER BY email, about, source, sku',
  );
}
export async function findWatch(queries: Queries, id: string): Promise<Omit<Watch, 'email'> | undefined> {
  const [watch] = await queries.read<Omit<Watch, 'email'> & Record<string, unknown>>(
    'reading a watch',
    'SELECT id, about, source, sku FROM watches WHERE id = $1',
    [id],
  );
  return watch;
}
/** Said twice it is one watch. */
export async function putWatch(queries: Queries, term: number, watch: Omit<Watch, 'id'>): Promise<Watch> {
  const [row] = await queries.query<{ id: string }>(
    'storing a watch',
    'SELECT put_watch($1, $2, $3, $4, $5) AS id',
    [term, watch.email, watch.about, watch.source, watch.sku],
  );
  if (!row) throw new Error('storing a watch answered nothing');
  return { id: row.id, ...watch };
}
export async function deleteWatch(queries: Queries, term: number, id: string): Promise<boolean> {
  const [row] = await queries.query<{ deleted: boolean }>(
    'deleting a watch',
    'SELECT delete_watch($1, $2) AS deleted',
    [term, id],
  );
  return row?.deleted === true;
}

export async function recentFiles(queries: Queries, limit: number): Promise<FileView[]> {
  const rows = await queries.read<Omit<FileView, 'at'> & { at: Date } & Record<string, unknown>>(
    'listing files',
    `SELECT file_id AS "fileId", name, CASE WHEN moved_to IS NOT NULL AND state = 'applied' THEN 'moved' ELSE state END AS state,
       (answer->>'rows')::integer AS rows, (answer->>'differences')::integer AS differences, reason, changed_at AS at
     FROM files ORDER BY changed_at DESC LIMIT $1`,
    [limit],
  );
  return rows.map((row) => ({ ...row, at: row.at.toISOString() }));
}
export async function recentCrawls(queries: Queries, limit: number): Promise<CrawlView[]> {
  const rows = await queries.read<Omit<CrawlView, 'at'> & { at: Date } & Record<string, unknown>>(
    'listing crawls',
    `SELECT source, intake, status, coalesce((total->>'pages')::integer, 0) AS pages,
       coalesce((total->>'itemsSeen')::integer, 0) AS "itemsSeen", coalesce((total->>'itemsPublished')::integer, 0) AS "itemsPublished",
       reason, changed_at AS at
     FROM (SELECT * FROM crawls ORDER BY changed_at DESC LIMIT $1) AS last, sum_counts(counts, counts_before) AS total
     ORDER BY changed_at DESC`, // The last ones first: counts are summed up for those that are shown alone.
    [limit],
  );
  return rows.map((row) => ({ ...row, at: row.at.toISOString() }));
}
/** Without the address: a list that anybody on the machine may read names no person. */
export async function recentMails(queries: Queries, limit: number): Promise<MailView[]> {
  const rows = await queries.read<Omit<MailView, 'at'> & { at: Date } & Record<string, unknown>>(
    'listing mails',
    'SELECT mail_id AS "mailId", kind, state, attempt, detail, changed_at AS at FROM mails ORDER BY changed_at DESC LIMIT $1',
    [limit],
  );
  return rows.map((row) => ({ ...row, at: row.at.toISOString() }));
}

export async function storedCounts(queries: Queries): Promise<StoredCounts> {
  const [row] = await queries.follow<StoredCounts & Record<string, unknown>>(
    'counting',
    // All of them are kept by the statements that do what is counted.
    `SELECT items, item_versions AS "itemVersions", files_applied AS files, mails_sent AS "mailsSent"
     FROM feed_head, totals WHERE feed_head.id = 1 AND totals.id = 1`,
  );
  if (!row) throw new Error('the feed has no head, or nothing has totals');
  return row;
}
