// What runs every minute, for every reader or for every price reads what it needs, however large the tables are: told by
// the server's own count of rows that scans returned, so it is the plan that ran and not one that was asked for.
import { randomUUID } from 'node:crypto';
import { setTimeout as sleep } from 'node:timers/promises';
import { expect, test } from 'vitest';
import type { Client } from 'pg';
import { createRetention, keptFor, sweptTables } from '../../../nodes/retention.ts';
import type { Store, Swept } from '../../../nodes/store.ts';
import { digestRules } from '../../../nodes/mailer/notice.ts';
import {
  entries,
  holder,
  item,
  lead,
  partner,
  traceparent,
  useDatabases,
  type FreshDatabase,
} from './fresh-database.ts';

const databases = useDatabases();
const many = 10_000;

/** Rows and index entries of each table that scans returned while `use` ran. */
const rowsRead = (fresh: FreshDatabase, use: (store: Store) => Promise<void>) =>
  counted(
    fresh,
    `seq_tup_read + coalesce((SELECT sum(idx_tup_read) FROM pg_stat_user_indexes AS i WHERE i.relid = t.relid), 0)`,
    use,
  );
/** Pages of each table and its indexes that were looked at while `use` ran: dead entries count here, and as rows they do not. */
const pagesRead = (fresh: FreshDatabase, use: (store: Store) => Promise<void>) =>
  counted(
    fresh,
    `(SELECT heap_blks_hit + heap_blks_read + coalesce(idx_blks_hit + idx_blks_read, 0) FROM pg_statio_user_tables AS i WHERE i.relid = t.relid)`,
    use,
  );

async function counted({ url, connect }: FreshDatabase, what: string, use: (store: Store) => Promise<void>) {
  const watcher = await connect();
  const look = async (): Promise<Map<string, number>> => {
    const { rows } = await watcher.query<{ relname: string; read: string }>(
      `SELECT relname, ${what} AS read FROM pg_stat_user_tables AS t`,
    );
    return new Map(rows.map(({ relname, read }) => [relname, Number(read)]));
  };
  const before = await look();
  const database = databases.open(url, 'measured');
  await use(database.store);
  await database.close();
  // A session has told all its numbers when it is gone, which may be after we left.
  const sessions = `SELECT FROM pg_stat_activity WHERE application_name = 'measured'`;
  while ((await watcher.query(sessions)).rows.length > 0) await sleep(5);
  const after = await look();
  return (table: string): number => (after.get(table) ?? 0) - (before.get(table) ?? 0);
}

/** Every row is `days` old, and a little apart from the others. */
const age = (days: number): string => `clock_timestamp() - interval '${days} days' + i * interval '1 ms'`;
const from = `FROM generate_series(1, ${many}) AS i`;
const fills: Readonly<Record<Exclude<Swept, 'bytes of mails'>, (days: number) => string>> = {
  staged_rows: (
    days,
  ) => `INSERT INTO staged_rows (upload, place, source, sku, version, title, in_stock, vanished, staged_at)
    SELECT '3f0e8a52-9a68-4f0c-8d5e-0c8b4a1d2e11', i, 'shop', 'sku-' || i, 1, 'title', true, false, ${age(days)} ${from}`,
  leases: (days) => `INSERT INTO leases SELECT 'lease-' || i, 'w', ${age(days)} ${from}`,
  leaderships: (
    days,
  ) => `INSERT INTO leaderships SELECT i, 'node-1/boot', 'no leader was heard', ${age(days)} ${from}
    ON CONFLICT DO NOTHING`, // Who fills it leads.
  feed: (
    days,
  ) => `INSERT INTO feed SELECT i, 'shop', 'sku-' || i % 100, i, 'price', 'title', 1, 2, 'EUR', true, 1, '${traceparent}',
    ${age(days)} ${from}`,
  deliveries: (
    days,
  ) => `INSERT INTO deliveries SELECT '${traceparent}', 'message-' || i, 'https://shop.example/', clock_timestamp(),
    NULL, 1, clock_timestamp(), clock_timestamp(), 'node-1', 1, ${age(days)} ${from}`,
  item_versions: (
    days,
  ) => `INSERT INTO item_versions SELECT 'shop', 'sku-' || i % 100, i, 'title', NULL, NULL, 1, 'EUR', true, NULL,
    false, 1, '${traceparent}', ${age(days)} ${from}`,
  crawls: (days) =>
    `INSERT INTO crawls (source, intake, status, changed_at) SELECT 'shop', i, 'finished', ${age(days)} ${from}`,
  files: (
    days,
  ) => `INSERT INTO files (name, size, modified_at, intake, state, traceparent, opened_at, changed_at)
    SELECT 'shop_' || i || '.csv', 1, clock_timestamp(), i, 'applied', '${traceparent}', ${age(days)}, ${age(days)} ${from}`,
  mails: (
    days,
  ) => `INSERT INTO mails (key, kind, sender, recipient, message_id, bytes, traceparent, state, changed_at)
    SELECT 'key-' || i, 'price-drop', 'a@example.test', i || '@example.test', 'id', CASE WHEN ${days} < 100 THEN 'bytes'::bytea END,
      '${traceparent}', 'sent', ${age(days)} ${from}`,
  dead_letters: (
    days,
  ) => `INSERT INTO dead_letters (queue, routing_key, message_id, type, code, reason, group_id, headers, body, retries,
      fingerprint, times, state, died_at, changed_at)
    SELECT 'items', 'items', 'message-' || i, 't', 'CODE', 'reason', 'group', '{}', 'body', 0, sha256(i::text::bytea), 1, 'sent',
      clock_timestamp(), ${age(days)} ${from}`,
  dead_letter_actions: (days) =>
    `INSERT INTO dead_letter_actions SELECT gen_random_uuid(), ${age(days)}, 'retry', 'w', NULL, '{}', 0 ${from}`,
};
async function fill(
  client: Client,
  days: number,
  tables = Object.keys(fills) as (keyof typeof fills)[],
): Promise<void> {
  for (const table of tables) await client.query(fills[table](days));
  await client.query(`UPDATE mail_cursor SET matched_to = ${many}`);
  await client.query('VACUUM (ANALYZE)');
}
const tableOf = (swept: Swept): string => (swept === 'bytes of mails' ? 'mails' : swept);

test('retention reads no table on a day on which nothing is past its time, however often it looks', async () => {
  const fresh = await databases.fresh();
  await lead(fresh.store);
  await fill(await fresh.connect(), 0);
  const read = await rowsRead(fresh, async (store) => {
    for (const table of sweptTables)
      // More than five times: then PostgreSQL asks itself whether one plan would do for every cutoff.
      for (let look = 0; look < 8; look += 1)
        expect(await store.sweep(1, table, { ...keptFor[table], rowsMax: 10 })).toMatchObject({
          swept: 0,
        });
  });
  for (const table of new Set(sweptTables.map(tableOf)))
    // The planner looks at an end of an index, and the feed is looked at from its lower end.
    expect(read(table), table).toBeLessThan(100);
});

test('a step of retention reads what it takes', async () => {
  const fresh = await databases.fresh();
  await lead(fresh.store);
  const client = await fresh.connect();
  await fill(client, 500);
  await client.query(`UPDATE mails SET bytes = 'bytes' WHERE recipient < '2'`);
  const read = await rowsRead(fresh, async (store) => {
    for (const table of sweptTables)
      expect(await store.sweep(1, table, { ...keptFor[table], rowsMax: 100 }), table).toMatchObject({
        swept: 100,
      });
  });
  for (const table of new Set(sweptTables.map(tableOf)))
    expect(read(table), table).toBeLessThan(table === 'mails' ? 1_000 : 500);
});

test('what retention took away is passed over no more, though nothing was vacuumed since', async () => {
  const fresh = await databases.another();
  await lead(fresh.store);
  const client = await fresh.connect();
  for (const table of new Set(sweptTables.map(tableOf)))
    await client.query(`ALTER TABLE ${table} SET (autovacuum_enabled = off)`);
  await fill(client, 500);
  let { store } = fresh;
  const step = createRetention({ sweep: (...asked) => store.sweep(...asked) });
  const round = async (): Promise<void> => {
    while (await step(1));
  };
  await round();
  const read = await pagesRead(fresh, async (measured) => {
    store = measured;
    for (let look = 0; look < 10; look += 1) {
      await round();
      expect(await store.feedBounds()).toMatchObject({ first: many + 1 });
    }
  });
  // Ten times the way down an index, where ten thousand entries are thirty pages; of mails the planner opens eight indexes.
  for (const table of new Set(sweptTables.map(tableOf)))
    expect(read(table), table).toBeLessThan(table === 'mails' ? 250 : 100);
});

test('the lists of the page read as many rows as they show, and sum up for those alone', async () => {
  const fresh = await databases.fresh();
  await lead(fresh.store);
  await fill(await fresh.connect(), 0, ['crawls', 'files', 'mails']);
  const read = await rowsRead(fresh, async (store) => {
    expect((await store.recentCrawls(50)).map(({ intake }) => intake)).toEqual(
      Array.from({ length: 50 }, (_, index) => many - index),
    );
    expect(await store.recentFiles(50)).toHaveLength(50);
    expect(await store.recentMails(50)).toHaveLength(50);
    expect(await store.sources()).toHaveLength(1);
    expect(await store.sourceAges({ limit: 10, intervalSMin: 60 })).toHaveLength(1);
    await store.putSource(1, partner('shop'));
    expect(await store.sourceAges({ limit: 10, intervalSMin: 60 })).toMatchObject([{ kind: 'partner' }]);
  });
  for (const table of ['crawls', 'files', 'mails']) expect(read(table), table).toBeLessThanOrEqual(60);
});

test('the trace of an item does not go through the feed', async () => {
  const fresh = await databases.fresh();
  await lead(fresh.store);
  await fresh.store.writeBatch(1, entries(item('a', 1)));
  await fresh.store.writeBatch(1, entries(item('a', 2, { price: 5 })));
  const client = await fresh.connect();
  await client.query('UPDATE feed SET id = id + 1000000');
  await fill(client, 0, ['feed', 'item_versions']);
  const read = await rowsRead(fresh, async (store) => {
    const trace = await store.traceItem({ source: 'shop', sku: 'a' }, 20);
    expect(trace?.versions).toMatchObject([
      { change: 'price', price: 5, previousPrice: 10 },
      { change: 'new', price: 10, previousPrice: null },
    ]);
  });
  expect(read('feed')).toBeLessThanOrEqual(10);
});

test('who watches a price is looked up, not searched for among all watches', async () => {
  const fresh = await databases.fresh();
  await lead(fresh.store);
  const skus = Array.from({ length: 100 }, (_, index) => `sku-${index}`);
  await fresh.store.writeBatch(1, entries(...skus.map((sku) => item(sku, 1))));
  await fresh.store.writeBatch(1, entries(...skus.map((sku) => item(sku, 2, { price: 1 }))));
  const client = await fresh.connect();
  // Many of the same source, and many of the same sku: neither alone is enough to look up.
  await client.query(`INSERT INTO watches (email, source, sku)
    SELECT i || '@example.test', 'shop', 'other-' || i ${from} UNION ALL SELECT i || '@example.test', 'shop-' || i, 'sku-' || i % 100 ${from}`);
  await client.query(`INSERT INTO watches (email, source, sku) VALUES
    ('one@example.test', 'shop', 'sku-1'), ('One@example.test', NULL, NULL), ('one@example.test', NULL, 'sku-1'),
    ('two@example.test', 'shop', NULL), ('three@example.test', NULL, 'sku-2'), ('nobody@example.test', 'shop2', NULL)`);
  await client.query('VACUUM (ANALYZE) watches');
  const read = await rowsRead(
    fresh,
    async (store) => void (await store.makeNotices(1, { eventsMax: 500, noticesMax: 5_000, traceparent })),
  );
  expect(read('watches')).toBeLessThan(1_000);
  const { rows } = await client.query<{ recipient: string; notices: number }>(
    `SELECT lower(recipient) AS recipient, count(*)::integer AS notices FROM notices WHERE recipient !~ '^[0-9]'
     GROUP BY lower(recipient) ORDER BY notices, recipient`,
  );
  expect(rows).toEqual([
    { recipient: 'three@example.test', notices: 1 },
    { recipient: 'one@example.test', notices: 100 },
    { recipient: 'two@example.test', notices: 100 },
  ]);
});

test('a snapshot goes through its rows and the items of its source a few times, whatever the planner knows of other files', async () => {
  const fresh = await databases.fresh();
  await fresh.store.claim({ term: 1, holder });
  await fresh.store.putSource(1, partner('acme', { snapshot: true }));
  const opened = await fresh.store.openFile(1, {
    name: 'acme.csv',
    size: 1,
    modifiedAt: '2026-01-01T00:00:00.000Z',
    traceparent,
  });
  if (opened.kind !== 'upload') throw new Error(`the file is ${opened.kind}`);
  const client = await fresh.connect();
  const columns = 'source, sku, version, title, in_stock, vanished';
  const rows = 3 * many;
  const stage = (upload: string, source: string, count: number) =>
    client.query(`INSERT INTO staged_rows (upload, place, ${columns}) SELECT '${upload}', i, '${source}', 'sku-' || i,
      ${opened.intake * 2 ** 24} + i, 'title', true, false FROM generate_series(1, ${count}) AS i`);
  await stage(randomUUID(), 'other', rows);
  await client.query('VACUUM (ANALYZE) staged_rows');
  await client.query(`INSERT INTO items (${columns}, term, traceparent, changed_at)
    SELECT 'acme', 'sku-' || i, i, 'title', true, false, 1, '${traceparent}', clock_timestamp() FROM generate_series(1, ${rows}) AS i`);
  const upload = randomUUID();
  await stage(upload, 'acme', rows / 2);
  const read = await rowsRead(fresh, async (store) => {
    const file = { fileId: opened.fileId, upload, sha256: 'f'.repeat(64), problems: [] };
    expect(await store.applyUpload(1, { ...file, rows: rows / 2, invalid: 0 })).toMatchObject({
      unchanged: rows / 2,
      vanished: rows / 2,
    });
    await store.clearStaged(upload);
  });
  expect(read('staged_rows')).toBeLessThan(5 * rows);
  expect(read('items')).toBeLessThan(6 * rows);
  const { rowCount } = await client.query('SELECT FROM staged_rows WHERE upload = $1', [upload]);
  expect(rowCount).toBe(0);
});

test('the addresses that a mail is due to are found in as many steps as there are addresses, however much waits for each', async () => {
  const fresh = await databases.fresh();
  await lead(fresh.store);
  const client = await fresh.connect();
  await client.query(`INSERT INTO notices (key, kind, recipient, watch, content, traceparent, made_at)
    SELECT 'price-drop/shop/' || i || '/1/' || i % 20, 'price-drop', i % 20 || '@example.test', gen_random_uuid(), '{}', '${traceparent}',
      clock_timestamp() - interval '1 hour' ${from}`);
  await client.query('VACUUM (ANALYZE) notices');
  const read = await rowsRead(fresh, async (store) => {
    expect(await store.dueDigests(1, digestRules, 50)).toHaveLength(20);
  });
  expect(read('notices')).toBeLessThan(100);
});
