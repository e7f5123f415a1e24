// What people configure and look at: sources, watches, the last files, crawls and mails, and the counts.
import type { CrawlView, FileView, MailView, Watch, WatchView } from '../../contracts/public-api.ts';
import { sourceSchema } from '../../contracts/source.ts';
import type { ListStore, StoredCounts } from '../store.ts';
import type { Queries } from './pool.ts';
import { sourceAges } from './source-ages.ts';

export function listQueries(queries: Queries): ListStore {
  const { query, read, follow } = queries;
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

    watches: () =>
      read<Watch>(
        'listing watches',
        'SELECT id, email, about, source, sku FROM watches ORDER BY email, about, source, sku',
      ),
    async watch(id) {
      const [watch] = await read<WatchView>(
        'reading a watch',
        'SELECT id, about, source, sku FROM watches WHERE id = $1',
        [id],
      );
      return watch;
    },
    async putWatch(term, watch) {
      const [row] = await query<{ id: string }>(
        'storing a watch',
        'SELECT put_watch($1, $2, $3, $4, $5) AS id',
        [term, watch.email, watch.about, watch.source, watch.sku],
      );
      if (!row) throw new Error('storing a watch answered nothing');
      return { id: row.id, ...watch };
    },
    async deleteWatch(term, id) {
      const [row] = await query<{ deleted: boolean }>(
        'deleting a watch',
        'SELECT delete_watch($1, $2) AS deleted',
        [term, id],
      );
      return row?.deleted === true;
    },

    async recentFiles(limit) {
      const rows = await read<Dated<FileView>>(
        'listing files',
        `SELECT file_id AS "fileId", name, CASE WHEN moved_to IS NOT NULL AND state = 'applied' THEN 'moved' ELSE state END AS state,
           (answer->>'rows')::integer AS rows, (answer->>'differences')::integer AS differences, reason, moved_to AS "movedTo",
           changed_at AS at
         FROM files ORDER BY changed_at DESC LIMIT $1`,
        [limit],
      );
      return rows.map(asView);
    },
    async recentCrawls(limit) {
      const rows = await read<Dated<CrawlView>>(
        'listing crawls',
        `SELECT source, intake, status, coalesce((total->>'pages')::integer, 0) AS pages,
           coalesce((total->>'itemsSeen')::integer, 0) AS "itemsSeen", coalesce((total->>'itemsPublished')::integer, 0) AS "itemsPublished",
           reason, changed_at AS at
         FROM (SELECT * FROM crawls ORDER BY changed_at DESC LIMIT $1) AS last, sum_counts(counts, counts_before) AS total
         ORDER BY changed_at DESC`, // The last ones first: counts are summed up for those that are shown alone.
        [limit],
      );
      return rows.map(asView);
    },
    async recentMails(limit) {
      const rows = await read<Dated<MailView>>(
        'listing mails',
        // Without the address: a list that anybody on the machine may read names no person.
        'SELECT mail_id AS "mailId", kind, state, attempt, detail, changed_at AS at FROM mails ORDER BY changed_at DESC LIMIT $1',
        [limit],
      );
      return rows.map(asView);
    },

    async counts() {
      const [row] = await follow<StoredCounts>(
        'counting',
        // All of them are kept by the statements that do what is counted.
        `SELECT items, item_versions AS "itemVersions", files_applied AS files, mails_sent AS "mailsSent"
         FROM feed_head, totals WHERE feed_head.id = 1 AND totals.id = 1`,
      );
      if (!row) throw new Error('the feed has no head, or nothing has totals');
      return row;
    },
    async sweep(term, table, { days, rowsMax, from }) {
      const [step] = await query<{ swept: number; reached: Date | null }>(
        `sweeping ${table}`,
        'SELECT swept, reached FROM sweep_step($1, $2, $3, $4, $5)',
        [term, table, days, rowsMax, from ?? null],
      );
      if (!step) throw new Error(`sweeping ${table} answered nothing`);
      return { swept: step.swept, reached: step.reached ?? undefined };
    },
  };
}

type Dated<View> = Omit<View, 'at'> & { at: Date };
const asView = <Row extends { at: Date }>(row: Row) => ({ ...row, at: row.at.toISOString() });
