import { expect, test } from 'vitest';
import { entries, item, lead, traceparent, useDatabases, retain } from './fresh-database.ts';

const databases = useDatabases();

test('feed: with four writers at once the ids are dense, and a reader never sees a gap', async () => {
  const { store, node } = await databases.fresh();
  await lead(store);
  const reader = node('node-2').store;
  const batches = 25;
  const size = 8;
  let writing = true;
  const seen: number[] = [];
  const read = async (): Promise<void> => {
    for (let more = true; more;) {
      more = writing;
      const page = await reader.feed({ after: seen.at(-1) ?? 0, limit: 50 });
      for (const { id } of page) {
        // A gap that is filled later would be skipped for good by a reader that resumes by id.
        expect(id).toBe((seen.at(-1) ?? 0) + 1);
        seen.push(id);
      }
      if (page.length > 0) more = true;
    }
  };
  const reading = read();
  await Promise.all(
    [0, 1, 2, 3].map(async (writer) => {
      for (let batch = 0; batch < batches; batch++)
        await store.writeBatch(
          1,
          // Half of the keys are shared with the other writers, so that they wait for each other's rows too.
          entries(
            ...Array.from({ length: size }, (_, index) =>
              index % 2 === 0
                ? item(`own-${writer}-${batch}-${index}`, 1)
                : item(`shared-${index}`, batch * 4 + writer + 1, { price: batch * 4 + writer }),
            ),
          ),
        );
    }),
  );
  writing = false;
  await reading;
  const { first, last } = await store.feedBounds();
  expect({ first, last }).toEqual({ first: 1, last: seen.length });
  expect(seen.length).toBeGreaterThan(4 * batches * (size / 2));
});

test('feed: what changed nothing takes no id, and the first is 1', async () => {
  const { store } = await databases.fresh();
  await lead(store);
  expect(await store.feedBounds()).toMatchObject({ first: 1, last: 0 });
  await store.writeBatch(1, entries(item('a', 2)));
  await store.writeBatch(1, entries(item('a', 2)));
  await store.writeBatch(1, entries(item('a', 1)));
  expect(await store.feedBounds()).toMatchObject({ first: 1, last: 1 });
});

test('retention: what is past its time is swept, and no event that watches were not matched against', async () => {
  const { store, connect } = await databases.fresh();
  await lead(store);
  await store.writeBatch(1, entries(item('a', 1), item('b', 1), item('c', 1)));
  await store.writeBatch(1, entries(item('a', 2, { price: 1 })));
  const mail = {
    key: 'k',
    kind: 'price-drop' as const,
    from: 'baton@example.test',
    to: 'a@example.test',
    messageId: '<k@example.test>',
    bytes: Buffer.from('rendered'),
    traceparent,
  };
  await store.queueDigest(1, [], mail);
  await store.makeNotices(1, { eventsMax: 2, noticesMax: 100, traceparent });
  const [due] = await store.dueMails(1, 1);
  if (!due) throw new Error('no mail is due');
  await store.claimMail(1, due.mailId, { attempt: 1, owner: 'w' });
  await store.mailResult(1, due.mailId, { attempt: 1, owner: 'w', outcome: 'sent', detail: '' });
  await store.takeLease(1, { name: 'l', owner: 'w', leaseMs: 1_000 });
  await store.stageRows(due.mailId, [{ row: 1, item: item('d', 1) }]);
  const counts = await store.counts();
  await retain(store);
  expect(await store.feedBounds()).toMatchObject({ first: 1, last: 4 });

  const client = await connect();
  await client.query("UPDATE feed SET at = at - interval '31 days'");
  await client.query(
    "UPDATE item_versions SET changed_at = changed_at - interval '401 days' WHERE version = 1",
  );
  await client.query("UPDATE mails SET changed_at = changed_at - interval '31 days'");
  await client.query("UPDATE leases SET expires_at = expires_at - interval '2 days'");
  await client.query("UPDATE staged_rows SET staged_at = staged_at - interval '2 days'");
  await retain(store);
  expect(await store.feedBounds()).toMatchObject({ first: 3, last: 4 });
  expect((await store.item({ source: 'shop', sku: 'a' }))?.history).toMatchObject([{ version: 2 }]);
  expect((await store.item({ source: 'shop', sku: 'b' }))?.item).toEqual(item('b', 1));
  const { rows } = await client.query(
    `SELECT (SELECT count(*) FROM mails WHERE bytes IS NULL) AS erased, (SELECT count(*) FROM leases) AS leases,
       (SELECT count(*) FROM staged_rows) AS staged`,
  );
  expect(rows).toEqual([{ erased: '1', leases: '0', staged: '0' }]);
  // What was counted was done, whatever is left of it.
  expect(await store.counts()).toEqual(counts);
});
