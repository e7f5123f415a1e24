import { expect, test } from 'vitest';
import { createRetention, sweptTables } from '../../../nodes/retention.ts';
import { lead, retain, traceparent, useDatabases, waitForBlocked } from './fresh-database.ts';

const databases = useDatabases();
const expired = 50_000;
const perStep = 5_000;
const fill = `INSERT INTO item_versions SELECT 'shop', 'sku-' || i, 1, 'title', NULL, NULL, 1, 'EUR', true, NULL, false, 1, '${traceparent}',
  clock_timestamp() - interval '401 days' + i * interval '1 ms' FROM generate_series(1, ${expired}) AS i`;
const count = 'SELECT count(*)::integer AS versions FROM item_versions';

test('retention: fifty thousand rows that are past their time go in one round, in small steps', async () => {
  const { store, connect } = await databases.fresh();
  await lead(store);
  const client = await connect();
  await client.query(fill);
  // A step more says that there are no more.
  expect(await retain(store)).toBe(sweptTables.length + expired / perStep);
  expect((await client.query(count)).rows).toEqual([{ versions: 0 }]);
});

test('retention: a claim waits for one step, and the round ends with the term', async () => {
  const { store, node, connect } = await databases.fresh();
  await lead(store);
  const [client, watcher] = [await connect(), await connect()];
  await client.query(fill);
  // The third step of that table is held up in its middle, where it holds the fence.
  await client.query('BEGIN');
  await client.query(`SELECT FROM item_versions WHERE sku = 'sku-${2 * perStep + 1}' FOR UPDATE`);
  const round = retain(store).catch((error: unknown) => error);
  await waitForBlocked(watcher, 1);
  const claim = node('node-2').store.claim({ term: 2, holder: 'node-2/boot-1' });
  await waitForBlocked(watcher, 2);
  await client.query('COMMIT');
  expect(await claim).toEqual({ kind: 'claimed' });
  expect(await round).toMatchObject({ code: 'STALE_TERM' });
  expect((await watcher.query(count)).rows).toEqual([{ versions: expired - 3 * perStep }]);
});

test('retention: a table that cannot be swept holds up no other, and is told when the round ends', async () => {
  const asked: string[] = [];
  const step = createRetention({
    async sweep(_term, table, { rowsMax }) {
      asked.push(table);
      if (table === 'feed') throw new Error('broken');
      return { swept: table === 'files' && asked.filter((name) => name === table).length < 3 ? rowsMax : 0 };
    },
  });
  const round = async (): Promise<void> => {
    while (await step(1));
  };
  await expect(round()).rejects.toThrow('broken');
  expect(asked.toSorted()).toEqual([...sweptTables, 'files', 'files'].toSorted());
  // In turns: all others came before the second step of files.
  expect(asked.slice(-2)).toEqual(['files', 'files']);
  await expect(round()).rejects.toThrow('broken');
});
