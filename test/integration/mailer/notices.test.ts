// From what happened to the mails about it, on a real database: who is told what, once, gathered and throttled, and that an
// erased address is nowhere any more.
import { randomUUID } from 'node:crypto';
import type { Client } from 'pg';
import { expect, test } from 'vitest';
import type { Watch } from '../../../contracts/public-api.ts';
import type { OutgoingMail, Store } from '../../../nodes/store.ts';
import { digestRules, type Digest, type DigestRules } from '../../../nodes/mailer/notice.ts';
import { makeNotices, queueDigests } from '../../../nodes/mailer/mailer.ts';
import { entries, item, lead, partner, traceparent, useDatabases } from '../database/fresh-database.ts';

const databases = useDatabases();
const step = { eventsMax: 100, noticesMax: 1_000, traceparent };
const settings = { from: 'baton@example.test', domain: 'example.test', pageUrl: 'http://127.0.0.1:1' };
const atOnce: DigestRules = {
  'price-drop': { gatherMs: 0, quietMs: 0 },
  'file-rejected': { gatherMs: 0, quietMs: 0 },
  'leader-changed': { gatherMs: 0, quietMs: 0 },
};

test('a price drop is told to whoever watches the item, its source or all: once an address, in any spelling', async () => {
  const { store } = await databases.fresh();
  await lead(store);
  await watch(store, 'all@example.test');
  await watch(store, 'source@example.test', { source: 'shop' });
  const narrow = await watch(store, 'one@example.test', { source: 'shop', sku: 'a' });
  await watch(store, 'One@Example.test', { source: 'shop' });
  await watch(store, 'other@example.test', { source: 'shop', sku: 'b' });
  await watch(store, 'elsewhere@example.test', { source: 'zoo' });
  await watch(store, 'files@example.test', { about: 'files' });
  await fall(store, 'a');
  const due = await digests(store);
  expect(due.map(({ recipient }) => recipient.toLowerCase()).sort()).toEqual([
    'all@example.test',
    'one@example.test',
    'source@example.test',
  ]);
  // The narrowest of its watches is the one that the mail speaks of.
  expect(due.find(({ recipient }) => recipient === 'one@example.test')?.watch).toBe(narrow.id);
  expect(due[0]?.notices).toEqual([
    {
      kind: 'price-drop',
      source: 'shop',
      sku: 'a',
      title: 'Item a',
      price: 8,
      previousPrice: 10,
      currency: 'EUR',
      inStock: true,
    },
  ]);
});

test('a rise, a new item and a changed stock are told to nobody', async () => {
  const { store } = await databases.fresh();
  await lead(store);
  await watch(store, 'a@example.test');
  await store.writeBatch(1, entries(item('a', 1)));
  await store.writeBatch(1, entries(item('a', 2, { price: 12 })));
  await store.writeBatch(1, entries(item('a', 3, { price: 12, inStock: false })));
  expect(await digests(store)).toEqual([]);
});

test('what comes back cheaper than it went is told as a drop, what comes back at its price or a higher one is not', async () => {
  const { store } = await databases.fresh();
  await lead(store);
  await watch(store, 'a@example.test');
  for (const [sku, price] of [
    ['cheaper', 5],
    ['same', 10],
    ['dearer', 12],
  ] as const) {
    await store.writeBatch(1, entries(item(sku, 1)));
    await store.writeBatch(1, entries(item(sku, 2, { vanished: true, inStock: false })));
    await store.writeBatch(1, entries(item(sku, 3, { price })));
  }
  const [due, ...others] = await digests(store);
  expect(due?.notices).toMatchObject([{ sku: 'cheaper', price: 5, previousPrice: 10 }]);
  expect(others).toEqual([]);
});

test('matched by two leaders at once and by a third one again, a drop is one notice and one mail', async () => {
  const { store, node, connect } = await databases.fresh();
  await lead(store);
  await watch(store, 'a@example.test');
  await fall(store, 'a');
  const other = node('node-2').store;
  await Promise.all([store.makeNotices(1, step), other.makeNotices(1, step)]);
  const [[mine], [theirs]] = await Promise.all([digests(store), digests(other)]);
  await Promise.all([
    store.queueDigest(1, mine?.noticeIds ?? [], mail('first')),
    other.queueDigest(1, theirs?.noticeIds ?? [], mail('second')),
  ]);
  await store.queueDigest(1, mine?.noticeIds ?? [], mail('third'));
  const client = await connect();
  expect((await client.query('SELECT key FROM notices')).rows).toEqual([
    { key: `price-drop/shop/a/2/a@example.test` },
  ]);
  expect((await client.query('SELECT count(*) FROM mails')).rows).toEqual([{ count: '1' }]);
  // Nor when the place in the feed were lost: the key tells that it was told.
  await client.query('UPDATE mail_cursor SET matched_to = 0');
  expect(await digests(store)).toEqual([]);
});

test('the feed is matched in bounded steps, and nothing between two steps is left out', async () => {
  const { store } = await databases.fresh();
  await lead(store);
  await watch(store, 'a@example.test');
  for (const sku of ['a', 'b', 'c']) await fall(store, sku);
  expect(await store.measures()).toMatchObject({ feedEvents: 6, feedUnmatched: 6 });
  expect(await store.makeNotices(1, { ...step, eventsMax: 4 })).toBe(true);
  expect(await store.measures()).toMatchObject({ feedEvents: 6, feedUnmatched: 2 });
  expect(await store.makeNotices(1, { ...step, eventsMax: 4 })).toBe(false);
  const [due] = await digests(store);
  expect(due?.notices).toHaveLength(3);
});

test('a step makes a bounded number of notices, however many watch one event, and each watcher is told once', async () => {
  const { store, connect } = await databases.fresh();
  const client = await connect();
  await lead(store);
  await client.query(`INSERT INTO watches (email, about, source)
    SELECT 'Watcher' || i || '@example.test', 'prices', 'shop' FROM generate_series(1, 250) AS i`);
  for (const sku of ['a', 'b', 'c']) await fall(store, sku);
  const told: number[] = [];
  for (let more = true; more && told.length < 20;) {
    const before = await count(client, 'notices');
    more = await store.makeNotices(1, { ...step, noticesMax: 100 });
    told.push((await count(client, 'notices')) - before);
    // Between two steps somebody comes, somebody goes, and somebody is forgotten: nobody else is passed over.
    if (told.length === 1) {
      await watch(store, 'zoe@example.test');
      await store.eraseAddress(1, (await lastTold(client)) ?? '');
    }
  }
  expect(Math.max(...told)).toBe(100);
  const { rows } = await client.query(
    `SELECT sku, count(*)::integer AS watchers FROM (SELECT content->>'sku' AS sku FROM notices) AS each GROUP BY sku ORDER BY sku`,
  );
  expect(rows).toEqual(['a', 'b', 'c'].map((sku) => ({ sku, watchers: 250 })));
  expect(await lastTold(client)).toBeNull();
});

test('mails are made one at a time, whatever waits for how many', async () => {
  const { store, connect } = await databases.fresh();
  const client = await connect();
  await lead(store);
  for (const email of ['a@example.test', 'b@example.test', 'c@example.test']) await watch(store, email);
  await fall(store, 'a');
  await makeNotices(1, store);
  await age(client, 'notices', 60_000);
  const asked: string[] = [];
  await queueDigests(
    1,
    {
      dueDigests: (...given) => store.dueDigests(...given),
      readDigest: (due) => (asked.push('read'), store.readDigest(due)),
      queueDigest: (...given) => (asked.push('queue'), store.queueDigest(...given)),
    },
    settings,
  );
  expect(asked).toEqual(['read', 'queue', 'read', 'queue', 'read', 'queue']);
  expect(await count(client, 'mails')).toBe(3);
});

test('what happens within the time of gathering is one mail, and the next one waits until the quiet time is over', async () => {
  const { store, connect } = await databases.fresh();
  const client = await connect();
  await lead(store);
  await watch(store, 'a@example.test');
  await fall(store, 'a');
  await fall(store, 'b');
  await makeNotices(1, store);
  await queueDigests(1, store, settings);
  expect(await count(client, 'mails')).toBe(0); // They are gathered still.
  await age(client, 'notices', digestRules['price-drop'].gatherMs);
  await queueDigests(1, store, settings);
  expect(await count(client, 'mails')).toBe(1);
  expect(await count(client, 'notices WHERE mail_id IS NULL')).toBe(0);
  await fall(store, 'c');
  await makeNotices(1, store);
  await age(client, 'notices', digestRules['price-drop'].gatherMs);
  await queueDigests(1, store, settings);
  expect(await count(client, 'mails')).toBe(1); // It is quiet time.
  await age(client, 'mails', digestRules['price-drop'].quietMs);
  await queueDigests(1, store, settings);
  expect(await count(client, 'mails')).toBe(2);
});

test('quiet time is of one kind and one address: other mails are not held up', async () => {
  const { store, connect } = await databases.fresh();
  await lead(store);
  await store.putSource(1, partner('acme'));
  for (const email of ['a@example.test', 'b@example.test']) await watch(store, email, { about: 'files' });
  await watch(store, 'a@example.test');
  await reject(store, 'acme_1.csv');
  await fall(store, 'a');
  await makeNotices(1, store);
  const client = await connect();
  await age(client, 'notices', 60_000);
  await queueDigests(1, store, settings);
  expect((await client.query('SELECT kind, recipient FROM mails ORDER BY 1, 2')).rows).toEqual([
    { kind: 'file-rejected', recipient: 'a@example.test' },
    { kind: 'file-rejected', recipient: 'b@example.test' },
    { kind: 'price-drop', recipient: 'a@example.test' },
  ]);
});

test('a rejected file is told with its reason, however it was rejected, and again when it is put back and rejected anew', async () => {
  const { store } = await databases.fresh();
  await lead(store);
  await store.putSource(1, partner('acme'));
  await watch(store, 'owner@example.test', { about: 'files', source: 'acme' });
  await watch(store, 'operator@example.test', { about: 'files' });
  await watch(store, 'other@example.test', { about: 'files', source: 'shop' });
  const judged = await reject(store, 'acme_1.csv'); // By the leader, once it was read.
  await store.rejectFile(1, { fileId: judged, reason: 'said again', problems: [] });
  await open(store, 'nobody_1.csv'); // At sight: there is no such source.
  const unread = await open(store, 'acme_2.csv'); // By ftp-sync, which could not upload it.
  await store.fileOutcome(1, unread.fileId, { movedTo: 'rejected/acme_2.csv', reason: 'larger than 1 GB' });
  const told = Object.fromEntries(
    (await digests(store)).map(({ recipient, notices }) => [
      recipient,
      notices.map((notice) =>
        notice.kind === 'file-rejected' ? [notice.name, notice.reason, ...notice.problems] : notice.kind,
      ),
    ]),
  );
  expect(told).toEqual({
    'operator@example.test': [
      ['acme_1.csv', 'no header', 'row 2: 4 columns'],
      ['nobody_1.csv', 'no source nobody is configured'],
      ['acme_2.csv', 'larger than 1 GB'],
    ],
    'owner@example.test': [
      ['acme_1.csv', 'no header', 'row 2: 4 columns'],
      ['acme_2.csv', 'larger than 1 GB'],
    ],
  });
  await store.fileOutcome(1, judged, { movedTo: 'rejected/acme_1.csv', reason: 'no header' });
  await reject(store, 'acme_1.csv');
  const again = (await digests(store)).find(({ recipient }) => recipient === 'owner@example.test');
  expect(again?.notices).toHaveLength(3);
  expect(await store.measures()).toMatchObject({ files: 0, filesRejected: 4 });
});

test('a file that is applied is told to nobody', async () => {
  const { store } = await databases.fresh();
  await lead(store);
  await store.putSource(1, partner('acme'));
  await watch(store, 'owner@example.test', { about: 'files' });
  const { fileId } = await open(store, 'acme_1.csv');
  await store.applyUpload(1, {
    fileId,
    upload: randomUUID(),
    sha256: 'a'.repeat(64),
    rows: 0,
    invalid: 0,
    problems: [],
  });
  expect(await digests(store)).toEqual([]);
});

test('another leader is told once a change; the first one and the same one again are not', async () => {
  const { store } = await databases.fresh();
  await lead(store);
  await watch(store, 'operator@example.test', { about: 'leader' });
  await watch(store, 'prices@example.test');
  const claim = async (term: number, node: string) => {
    await store.claim({ term, holder: `${node}/boot` });
    await store.makeNotices(term, step);
  };
  await store.makeNotices(1, step); // node-1, the first one ever.
  await claim(2, 'node-1');
  await claim(5, 'node-2');
  await store.makeNotices(5, step);
  await claim(6, 'node-3');
  const due = await readAll(store, 6);
  expect(due.map(({ key, notices }) => [key, notices])).toEqual([
    [
      'leader-changed/cluster/6/operator@example.test',
      [
        { kind: 'leader-changed', leader: 'node-2', before: 'node-1', term: 5, at: expect.any(String) },
        { kind: 'leader-changed', leader: 'node-3', before: 'node-2', term: 6, at: expect.any(String) },
      ],
    ],
  ]);
});

test('a watch is of one subject; said twice it is one; with its end goes what it was about to tell', async () => {
  const { store } = await databases.fresh();
  await lead(store);
  const prices = await watch(store, 'a@example.test', { source: 'shop' });
  expect(await watch(store, 'a@example.test', { source: 'shop' })).toEqual(prices);
  const files = await watch(store, 'a@example.test', { about: 'files', source: 'shop' });
  expect(files.id).not.toBe(prices.id);
  expect(await store.watch(prices.id)).toEqual({
    id: prices.id,
    about: 'prices',
    source: 'shop',
    sku: null,
  });
  await fall(store, 'a');
  expect(await digests(store)).toHaveLength(1);
  expect(await store.deleteWatch(1, prices.id)).toBe(true);
  expect(await store.deleteWatch(1, prices.id)).toBe(false);
  expect(await store.watch(prices.id)).toBeUndefined();
  expect(await digests(store)).toEqual([]);
});

test('with a watch goes only what no other watch of its address asks for, and the mail names one that is there', async () => {
  const { store, connect } = await databases.fresh();
  await lead(store);
  await store.putSource(1, partner('acme'));
  const narrow = await watch(store, 'a@example.test', { source: 'shop', sku: 'a' });
  await watch(store, 'A@example.test');
  const source = await watch(store, 'a@example.test', { source: 'shop' });
  await watch(store, 'a@example.test', { source: 'zoo' });
  const alone = await watch(store, 'b@example.test', { source: 'shop', sku: 'a' });
  const file = await watch(store, 'a@example.test', { about: 'files', source: 'acme' });
  await fall(store, 'a');
  await reject(store, 'acme_1.csv');
  await makeNotices(1, store);
  const told = async () =>
    (
      await (
        await connect()
      ).query('SELECT kind, lower(recipient) AS recipient, watch FROM notices ORDER BY 1, 2')
    ).rows;
  expect(await told()).toEqual([
    { kind: 'file-rejected', recipient: 'a@example.test', watch: file.id },
    { kind: 'price-drop', recipient: 'a@example.test', watch: narrow.id },
    { kind: 'price-drop', recipient: 'b@example.test', watch: alone.id },
  ]);
  await store.deleteWatch(1, narrow.id);
  await store.deleteWatch(1, alone.id);
  const files = await watch(store, 'a@example.test', { about: 'files' });
  await store.deleteWatch(1, file.id);
  expect(await told()).toEqual([
    { kind: 'file-rejected', recipient: 'a@example.test', watch: files.id },
    { kind: 'price-drop', recipient: 'a@example.test', watch: source.id },
  ]);
});

test('a recipient whose address is none that mail is sent to gets none, and holds up nobody', async () => {
  const { store, connect } = await databases.fresh();
  await lead(store);
  await watch(store, 'a@example.test');
  await fall(store, 'a');
  await makeNotices(1, store);
  const client = await connect();
  await client.query("UPDATE notices SET recipient = 'a@example.test, b@example.test'");
  await age(client, 'notices', 60_000);
  await queueDigests(1, store, settings);
  expect([await count(client, 'mails'), await count(client, 'notices')]).toEqual([0, 0]);
});

test('an erased address is in no table any more, in whatever spelling, and nobody else loses anything', async () => {
  const { store, connect } = await databases.fresh();
  const client = await connect();
  await lead(store);
  await store.putSource(1, partner('acme'));
  for (const about of ['prices', 'files', 'leader'] as const)
    await watch(store, 'Ann@Example.test', { about });
  await watch(store, 'bob@example.test');
  await fall(store, 'a');
  await makeNotices(1, store);
  await age(client, 'notices', 60_000);
  await queueDigests(1, store, settings);
  await age(client, 'mails', 60_000);
  await client.query(`INSERT INTO suppressions (recipient, detail) VALUES ('ann@example.test', '550')`);
  await fall(store, 'b'); // A notice that stands in no mail yet.
  await reject(store, 'acme_1.csv');
  await makeNotices(1, store);
  expect(await tablesWith(client, 'ann@example.test')).toEqual([
    'mails',
    'notices',
    'suppressions',
    'watches',
  ]);
  expect(await store.eraseAddress(1, 'ANN@example.TEST')).toEqual({ watches: 3, mails: 1, suppressions: 1 });
  expect(await tablesWith(client, 'ann@example.test')).toEqual([]);
  expect(await tablesWith(client, 'bob@example.test')).toEqual(['mails', 'notices', 'watches']);
  expect(await store.eraseAddress(1, 'ann@example.test')).toEqual({ watches: 0, mails: 0, suppressions: 0 });
});

const watch = (store: Store, email: string, fields: Partial<Omit<Watch, 'id' | 'email'>> = {}) =>
  store.putWatch(1, { email, about: 'prices', source: null, sku: null, ...fields });

/** Two versions of an item, the second one cheaper. */
async function fall(store: Store, sku: string): Promise<void> {
  await store.writeBatch(1, entries(item(sku, 1)));
  await store.writeBatch(1, entries(item(sku, 2, { price: 8 })));
}
async function open(store: Store, name: string): Promise<{ fileId: string }> {
  const modifiedAt = '2026-01-01T00:00:00.000Z';
  return store.openFile(1, { name, size: 1, modifiedAt, traceparent });
}
async function reject(store: Store, name: string): Promise<string> {
  const { fileId } = await open(store, name);
  await store.rejectFile(1, { fileId, reason: 'no header', problems: ['row 2: 4 columns'] });
  return fileId;
}
async function digests(store: Store) {
  await store.makeNotices(1, step);
  return (await readAll(store, 1)).toSorted((left, right) => (left.recipient < right.recipient ? -1 : 1));
}
async function readAll(store: Store, term: number): Promise<Digest[]> {
  const due = await store.dueDigests(term, atOnce, 10);
  const read = await Promise.all(due.map((each) => store.readDigest(each)));
  return read.flatMap((digest) => digest ?? []);
}
function mail(key: string): OutgoingMail {
  return {
    key,
    kind: 'price-drop',
    from: 'baton@example.test',
    to: 'a@example.test',
    messageId: `<${key}@example.test>`,
    bytes: Buffer.from(key),
    traceparent,
  };
}
/** As if that much time had passed. */
const age = (client: Client, table: 'notices' | 'mails', ms: number) =>
  client.query(`UPDATE ${table} SET made_at = made_at - ${ms} * interval '1 ms'`);
async function count(client: Client, from: string): Promise<number> {
  return Number((await client.query<{ count: string }>(`SELECT count(*) FROM ${from}`)).rows[0]?.count);
}
const lastTold = async (client: Client) =>
  (await client.query<{ told_to: string | null }>('SELECT told_to FROM mail_cursor')).rows[0]?.told_to;
/** Looks at every column of every table, and into the bytes of mails. */
async function tablesWith(client: Client, address: string): Promise<string[]> {
  const { rows } = await client.query<{ name: string }>(
    `SELECT tablename AS name FROM pg_tables WHERE schemaname = 'public' ORDER BY 1`,
  );
  expect(rows.length).toBeGreaterThan(15);
  const found: string[] = [];
  for (const { name } of rows) {
    const hex = Buffer.from(address).toString('hex');
    const { rowCount } = await client.query(
      `SELECT FROM ${name} AS t WHERE t::text ILIKE '%' || $1 || '%' OR t::text ILIKE '%' || $2 || '%' LIMIT 1`,
      [address, hex],
    );
    if (rowCount) found.push(name);
  }
  return found;
}
