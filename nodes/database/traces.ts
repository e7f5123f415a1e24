// How items and messages went: what the leader noted of deliveries, beside the rows, files and mails they became.
import type { Delivery, ItemTrace, MessageTrace, TracedVersion } from '../../contracts/trace.ts';
import type { NotedDelivery, TraceStore } from '../tracing/deliveries.ts';
import { deadLettersOf } from './dead-letters.ts';
import type { Queries, Query } from './pool.ts';
import { storableText } from './storable-text.ts';

const messagesMax = 100;
// What a message may say and a column cannot hold.
const attemptMax = 2 ** 31 - 1;
const firstTime = '0001-01-01T00:00:00Z';
/** Deliveries are noted within a second of the rows they wrote; a leader that is slow has a minute. */
const near = (time: string, of: string): string =>
  `${time} BETWEEN ${of} - interval '1 minute' AND ${of} + interval '1 minute'`;
const iso = (time: string): string => `to_char(${time} AT TIME ZONE 'UTC', 'YYYY-MM-DD"T"HH24:MI:SS.MS"Z"')`;
const delivery = `json_build_object('messageId', message_id, 'url', url, 'fetchedAt', ${iso('fetched_at')},
  'publishedAt', ${iso('published_at')}, 'attempt', attempt, 'receivedAt', ${iso('received_at')},
  'postedAt', ${iso('posted_at')}, 'node', node, 'term', term)`;

const versionsStatement = `
SELECT version, change, written.price, previous_price AS "previousPrice", written.currency, written.term, written.traceparent,
  ${iso('changed_at')} AS "writtenAt",
  coalesce((SELECT json_agg(${delivery} ORDER BY at) FROM deliveries
    WHERE ${near('at', 'changed_at')} AND deliveries.traceparent = written.traceparent), '[]') AS deliveries,
  coalesce((SELECT json_agg(json_build_object('name', name, 'state', state, 'movedTo', moved_to, 'changedAt', ${iso('files.changed_at')})
      ORDER BY files.changed_at) FROM files
    WHERE intake = version >> 24 AND source_of_file(name) = $1), '[]') AS files,
  coalesce((SELECT json_agg(json_build_object('mailId', mail_id, 'kind', mails.kind, 'state', state, 'attempt', attempt,
      'madeAt', ${iso('mails.made_at')}, 'changedAt', ${iso('mails.changed_at')}) ORDER BY mails.made_at)
    FROM notices JOIN mails USING (mail_id) WHERE notices.kind = 'price-drop' AND content->>'source' = $1 AND content->>'sku' = $2
      AND starts_with(notices.key, concat_ws('/', 'price-drop', $1, $2, version, ''))), '[]') AS mails
FROM (SELECT * FROM item_versions WHERE source = $1 AND sku = $2 ORDER BY version DESC LIMIT $3) AS written
  LEFT JOIN LATERAL (SELECT change, previous_price FROM feed
    -- The time of both is one, and there is an index on it; one by key would make each write half as expensive again.
    WHERE feed.at = changed_at AND feed.source = $1 AND feed.sku = $2 AND feed.item_version = version) AS told ON true
ORDER BY version DESC`;

export function traceQueries(queries: Queries): TraceStore {
  const { query, read } = queries;
  return {
    keepDeliveries: (term, node, deliveries) => keepDeliveries(query, term, node, deliveries),
    async traceItem({ source, sku }, limit): Promise<ItemTrace | undefined> {
      const [item] = await read<{ title: string }>(
        'reading an item to trace',
        'SELECT title FROM items WHERE source = $1 AND sku = $2',
        [source, sku],
      );
      if (!item) return undefined;
      const versions = await read<TracedVersion>('tracing an item', versionsStatement, [source, sku, limit]);
      return { source, sku, title: item.title, versions };
    },
    async traceMessage(messageId): Promise<MessageTrace> {
      const deliveries = await read<{ delivery: Delivery; traceparent: string; at: Date }>(
        'tracing a message',
        `SELECT ${delivery} AS delivery, traceparent, at FROM deliveries
         WHERE hashtextextended(message_id, 0) = hashtextextended($1, 0) AND message_id = $1 ORDER BY at LIMIT $2`,
        [messageId, messagesMax],
      );
      const rows = await read<MessageTrace['rows'][number]>(
        'reading the rows of a message',
        `SELECT source, sku, version, ${iso('changed_at')} AS "writtenAt"
         FROM unnest($1::text[], $2::timestamptz[]) AS told (traceparent, at) JOIN item_versions
           ON ${near('changed_at', 'told.at')} AND item_versions.traceparent = told.traceparent
         ORDER BY source, sku, version`,
        [deliveries.map(({ traceparent }) => traceparent), deliveries.map(({ at }) => at)],
      );
      return {
        messageId,
        deliveries: deliveries.map(({ delivery: one }) => one),
        rows,
        deadLetters: await deadLettersOf(queries, messageId),
      };
    },
  };
}

/** In one statement, so no message may say what fails it for all others. */
async function keepDeliveries(
  query: Query,
  term: number,
  node: string,
  deliveries: readonly NotedDelivery[],
): Promise<void> {
  const column = <T>(read: (one: NotedDelivery) => T): T[] => deliveries.map(read);
  await query(
    `noting ${deliveries.length} deliveries`,
    'SELECT keep_deliveries($1, $2, $3, $4, $5, $6, $7, $8, $9, $10)',
    [
      term,
      node,
      column(({ traceparent }) => traceparent),
      column(({ messageId }) => storableText(messageId)),
      column(({ url }) => storableText(url)),
      column(({ fetchedAt }) => (fetchedAt < firstTime ? firstTime : fetchedAt)),
      column(({ publishedAt }) => publishedAt),
      column(({ attempt }) => Math.min(attempt, attemptMax)),
      column(({ receivedAt }) => receivedAt),
      column(({ postedAt }) => postedAt),
    ],
  );
}
