// Dead letters in the database alone: two who decide at once, the bound of a step, and how long what is kept.
import { randomUUID } from 'node:crypto';
import { expect, test } from 'vitest';
import { readLetter } from '../../../nodes/dead-letters/read-letter.ts';
import type { Store } from '../../../nodes/store.ts';
import { lead, useDatabases, retain } from '../database/fresh-database.ts';

const databases = useDatabases();

async function keep(store: Store, count: number, bytes = 10, queue = 'items'): Promise<number[]> {
  await store.keepDeadLetters(
    1,
    Array.from({ length: count }, (_, index) =>
      readLetter(
        queue,
        {
          body: Buffer.alloc(bytes),
          headers: {},
          messageId: `m-${index}`,
          type: 'item-page',
          timestamp: undefined,
        },
        new Date(),
      ),
    ),
  );
  return (await store.deadLetters({}, { after: 0, limit: 500 })).map(({ id }) => id);
}
const action = (kind: 'retry' | 'discard') => ({
  action: randomUUID(),
  kind,
  by: kind,
  reason: null,
  select: { all: true } as const,
  upTo: Number.MAX_SAFE_INTEGER,
  lettersMax: 1_000,
});

test('two who decide about the same letters at once: each letter is decided about once', async () => {
  const { store, node, connect } = await databases.fresh();
  await lead(store);
  await keep(store, 400);
  const other = node('node-2').store;
  const settled = await Promise.all([
    store.settleDeadLetters(1, action('retry')),
    other.settleDeadLetters(1, action('discard')),
    store.settleDeadLetters(1, action('retry')),
    other.settleDeadLetters(1, action('discard')),
  ]);
  expect(settled.reduce((sum, one) => sum + one)).toBe(400);
  const { rows } = await (
    await connect()
  ).query(`SELECT count(*)::integer AS acted, count(DISTINCT dead_letter_id)::integer AS letters,
    (SELECT sum(letters)::integer FROM dead_letter_actions) AS said FROM dead_letter_acted`);
  expect(rows).toEqual([{ acted: 400, letters: 400, said: 400 }]);
});

test('open letters are counted by queue, without looking at them, and as they are', async () => {
  const { store, node, connect } = await databases.fresh();
  await lead(store);
  const other = node('node-2').store;
  const client = await connect();
  const counted = async () => {
    const { rows } = await client.query<{ open: unknown }>(
      `SELECT coalesce(jsonb_object_agg(queue, letters), '{}') AS open FROM (
         SELECT queue, count(*) AS letters FROM dead_letters WHERE state IN ('waiting', 'sending') GROUP BY queue) AS by_queue`,
    );
    return rows[0]?.open;
  };
  expect(await store.openDeadLetters()).toEqual({});
  await keep(store, 300);
  const ids = await keep(store, 100, 10, 'files');
  await keep(store, 110, 10, 'files'); // Of which a hundred are there already.
  expect(await store.openDeadLetters()).toEqual({ items: 300, files: 110 });
  const step = { lettersMax: 10 };
  await Promise.all([
    store.settleDeadLetters(1, { ...action('retry'), ...step }),
    other.settleDeadLetters(1, { ...action('discard'), ...step, select: { queue: 'files' } }),
    keep(store, 320),
    store.settleDeadLetters(1, { ...action('discard'), ...step }),
    other.settleDeadLetters(1, { ...action('retry'), select: { ids: ids.slice(-20) } }),
  ]);
  expect(await store.openDeadLetters()).toEqual(await counted());
  const sending = await store.deadLettersToSend(1, { lettersMax: 25, bytesMax: 1e6 });
  await Promise.all([
    store.deadLettersSent(
      1,
      sending.map(({ id }) => id),
    ),
    other.deadLettersSent(1, sending.map(({ id }) => id).toReversed()),
    other.settleDeadLetters(1, { ...action('discard'), select: { ids: ids.slice(-5) } }),
    keep(store, 10),
  ]);
  expect(await store.openDeadLetters()).toEqual(await counted());

  await client.query('BEGIN');
  await client.query('LOCK TABLE dead_letters IN ACCESS EXCLUSIVE MODE');
  expect(await store.openDeadLetters()).toMatchObject({ items: expect.any(Number) });
  await client.query('ROLLBACK');
});

test('a step of sending takes no more bytes than it may, and one letter at least', async () => {
  const { store } = await databases.fresh();
  await lead(store);
  await keep(store, 5, 1_000);
  await store.settleDeadLetters(1, action('retry'));
  const bytesOf = async (bytesMax: number): Promise<number> =>
    (await store.deadLettersToSend(1, { lettersMax: 100, bytesMax })).length;
  expect([await bytesOf(1), await bytesOf(1_000), await bytesOf(1_001), await bytesOf(1e6)]).toEqual([
    1, 1, 2, 5,
  ]);
});

test('settled letters go after 90 days and actions after 400; what waits stays', async () => {
  const { store, connect } = await databases.fresh();
  await lead(store);
  const [waiting, sending, sent, discarded] = (await keep(store, 4)) as [number, number, number, number];
  await store.settleDeadLetters(1, { ...action('retry'), select: { ids: [sending, sent] } });
  await store.deadLettersSent(1, [sent]);
  await store.settleDeadLetters(1, { ...action('discard'), select: { ids: [discarded] } });
  const database = await connect();
  const after = async (days: number): Promise<{ letters: number[]; actions: number }> => {
    await database.query(`UPDATE dead_letters SET changed_at = clock_timestamp() - $1 * interval '1 day'`, [
      days,
    ]);
    await database.query(`UPDATE dead_letter_actions SET at = clock_timestamp() - $1 * interval '1 day'`, [
      days,
    ]);
    await retain(store);
    const letters = (await store.deadLetters({}, { after: 0, limit: 10 })).map(({ id }) => id);
    return { letters, actions: (await store.deadLetterActions(10)).length };
  };
  expect(await after(89)).toEqual({ letters: [waiting, sending, sent, discarded], actions: 2 });
  expect(await after(91)).toEqual({ letters: [waiting, sending], actions: 2 });
  expect(await after(401)).toEqual({ letters: [waiting, sending], actions: 0 });
});
