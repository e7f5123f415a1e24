// What was done last, and how much in all: the last files, crawls and mails, and the counts. Reads only.
import type { CrawlView, FileView, MailView } from '../../contracts/public-api.ts';
import type { Measures, RecentStore, StoredCounts } from '../store.ts';
import type { Queries } from './pool.ts';

export function recentQueries({ read, follow }: Queries): RecentStore {
  return {
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
           coalesce((total->>'failedPages')::integer, 0) AS "failedPages",
           coalesce((total->>'itemsSeen')::integer, 0) AS "itemsSeen", coalesce((total->>'itemsPublished')::integer, 0) AS "itemsPublished",
           reason, problem, changed_at AS at
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
    async measures() {
      const [row] = await follow<Measures>(
        'measuring',
        `SELECT items, item_versions AS "itemVersions", files_applied AS files, files_rejected AS "filesRejected",
           mails_sent AS "mailsSent", last AS "feedEvents", last - matched_to AS "feedUnmatched"
         FROM feed_head, totals, mail_cursor WHERE feed_head.id = 1 AND totals.id = 1 AND mail_cursor.id = 1`,
      );
      if (!row) throw new Error('the feed has no head, nothing has totals, or no cursor');
      return row;
    },
  };
}

type Dated<View> = Omit<View, 'at'> & { at: Date };
const asView = <Row extends { at: Date }>(row: Row) => ({ ...row, at: row.at.toISOString() });
