import { setTimeout as sleep } from 'node:timers/promises';
import { expect, test } from 'vitest';
import { problemOf } from '../../../nodes/web/problem-details.ts';
import type { Failure } from '../../../runtime/failure.ts';
import { entries, item, lead, useDatabases, waitForBlocked } from './fresh-database.ts';

const databases = useDatabases();

test('readers: what is written and what is shown live waits for no slow reader, and readers are told to come again', async () => {
  const { store, connect } = await databases.fresh();
  await lead(store);
  const [slow, watcher] = [await connect(), await connect()];
  // Every search takes as long as it may.
  await slow.query('BEGIN');
  await slow.query('LOCK TABLE watches IN ACCESS EXCLUSIVE MODE');
  const end = new AbortController();
  const failures: Failure[] = [];
  const readers = Array.from({ length: 24 }, async () => {
    while (!end.signal.aborted)
      await store.watches().catch((error: unknown) => failures.push(error as Failure));
  });
  try {
    await waitForBlocked(watcher, 3);
    await sleep(200); // All the others are there as well.
    for (let version = 1; version <= 6; version += 1) {
      expect(await store.writeBatch(1, entries(item('a', version, { price: version })))).toEqual([
        { kind: 'applied' },
      ]);
      expect((await store.feedBounds()).last).toBe(version);
      expect(await store.feed({ after: version - 1, limit: 10 })).toHaveLength(1);
      expect(await store.fence()).toMatchObject({ term: 1 });
      await store.ping();
      await sleep(500);
    }
  } finally {
    end.abort();
  }
  await Promise.all(readers);
  await slow.query('COMMIT');
  const told = new Set(failures.map(({ code, message }) => `${code}: ${message}`));
  expect(told).toEqual(
    new Set([
      'BUSY: listing watches: it took more than 3000 ms',
      'BUSY: listing watches: too many others read',
    ]),
  );
  for (const failure of failures)
    expect(problemOf(failure)).toMatchObject({ status: 429, retryAfterMs: 2_000 });
  expect(await store.watches()).toEqual([]);
});

test('readers: a database that is away is not said to be read too much', async () => {
  const away = databases.open('postgres://baton@127.0.0.1:1/baton', 'node-1');
  const asked = Array.from({ length: 24 }, () => away.store.watches().catch((error: unknown) => error));
  for (const error of await Promise.all(asked)) expect(error).toMatchObject({ code: 'DATABASE_UNAVAILABLE' });
  await away.close();
});

test('readers: a text with a NUL, which no row has, is the mistake of whoever asks, and costs no connection', async () => {
  const { store, connect } = await databases.fresh();
  await lead(store);
  const client = await connect();
  const sessions = async () =>
    (
      await client.query('SELECT pid FROM pg_stat_activity WHERE application_name = $1 ORDER BY pid', [
        'node-1',
      ])
    ).rows;
  await store.items({ limit: 1 });
  await store.putWatch(1, { email: 'a@example.test', about: 'prices', source: null, sku: null });
  const before = await sessions();
  const key = { source: 'shop', sku: 'a\0b' };
  for (const ask of [
    () => store.items({ q: '\0', limit: 1 }),
    () => store.items({ after: key, limit: 1 }),
    () => store.item(key),
    () => store.traceItem(key, 1),
    () => store.traceMessage('\0'),
    () => store.deadLetters({ group: '\0' }, { after: 0, limit: 1 }),
    () => store.deadLetterGroups({ code: '\0' }),
    () => store.putWatch(1, { email: 'a@example.test', about: 'prices', source: 'shop', sku: '\0' }),
  ]) {
    const failure = (await ask().catch((error: unknown) => error)) as Failure;
    expect(failure).toMatchObject({ code: 'REQUEST_MALFORMED' });
    expect(problemOf(failure).status).toBe(400);
  }
  expect(await sessions()).toEqual(before);
});
