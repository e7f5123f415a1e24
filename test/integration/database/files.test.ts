import { randomUUID } from 'node:crypto';
import { expect, test } from 'vitest';
import { itemVersion, lastVersionOf } from '../../../contracts/ids.ts';
import type { Item } from '../../../contracts/item.ts';
import type { FileAnswer, FileOpenAnswer } from '../../../contracts/node-api.ts';
import { fileQueries } from '../../../nodes/database/files.ts';
import type { Store } from '../../../nodes/store.ts';
import {
  entries,
  item,
  lead,
  partner,
  shop,
  traceparent,
  useDatabases,
  waitForBlocked,
} from './fresh-database.ts';

const databases = useDatabases();
const first = '2026-01-01T00:00:00.000Z';
const second = '2026-01-02T00:00:00.000Z';

test('a file is opened, staged and applied; opened again it is done', async () => {
  const { store } = await databases.fresh();
  await leadWithPartner(store);
  const opened = await open(store);
  const answer = await upload(store, opened, [row('a', 1), row('b', 2, { price: 3.5 })]);
  expect(answer).toMatchObject({
    kind: 'applied',
    rows: 2,
    applied: 2,
    unchanged: 0,
    stale: 0,
    invalid: 0,
    vanished: 0,
    differences: 0,
  });
  const version = itemVersion({ intake: intakeOf(opened), ordinal: 2 });
  expect((await store.item({ source: 'acme', sku: 'b' }))?.item).toMatchObject({ price: 3.5, version });
  expect(await open(store)).toEqual({ kind: 'done', fileId: opened.fileId });
  // For an upload that comes again, its answer having been lost.
  expect(await store.fileIntake(opened.fileId)).toMatchObject({ name: 'acme.csv', settled: answer });
  await store.fileOutcome(1, opened.fileId, { movedTo: 'done/acme.csv', reason: null });
  expect(await open(store)).toMatchObject({ kind: 'done' });
  expect((await store.recentFiles(5))[0]).toMatchObject({
    name: 'acme.csv',
    state: 'moved',
    movedTo: 'done/acme.csv',
    rows: 2,
    reason: null,
  });
  expect((await store.counts()).files).toBe(1);
});

test('an upload that was cut off and tried again has the same row and intake, and counts its rows once', async () => {
  const { store } = await databases.fresh();
  await leadWithPartner(store);
  const opened = await open(store);
  await store.stageRows(randomUUID(), stage(opened, [row('a', 1)]));
  expect(await open(store)).toEqual(opened);
  expect(await upload(store, opened, [row('a', 1), row('b', 2)])).toMatchObject({ rows: 2, applied: 2 });
  // A file with another size or time is another file.
  const next = await open(store, { modifiedAt: second });
  expect(next.fileId).not.toBe(opened.fileId);
  expect(intakeOf(next)).toBe(intakeOf(opened) + 1);
});

test('two that open one file at once get the same row and intake', async () => {
  const { store, connect } = await databases.fresh();
  await leadWithPartner(store);
  const [blocker, watcher] = [await connect(), await connect()];
  await blocker.query('BEGIN');
  // Keeps the first from its intake before the second has looked for the file.
  await blocker.query('SELECT FROM sources FOR UPDATE');
  const answers = [open(store), open(store)];
  await waitForBlocked(watcher, 2);
  await blocker.query('COMMIT');
  const [one, two] = await Promise.all(answers);
  expect(one).toMatchObject({ kind: 'upload' });
  expect(two).toEqual(one);
});

test('applied twice, as after a lost answer, it answers the same and writes nothing more', async () => {
  const { store } = await databases.fresh();
  await leadWithPartner(store);
  const opened = await open(store);
  const rows = [row('a', 1), row('b', 2)];
  const answer = await upload(store, opened, rows);
  const bounds = await store.feedBounds();
  const counts = await store.counts();
  expect(await upload(store, opened, rows)).toEqual(answer);
  expect(await store.feedBounds()).toEqual(bounds);
  expect(await store.counts()).toEqual(counts);
});

test('a file that repeats what is stored makes news and history only of what changed', async () => {
  const { store } = await databases.fresh();
  await leadWithPartner(store);
  const rows = Array.from({ length: 20 }, (_, index) => row(`s${index}`, index + 1));
  await upload(store, await open(store), rows);
  const before = await store.counts();
  const bounds = await store.feedBounds();
  const answer = await upload(store, await open(store, { modifiedAt: second }), [
    ...rows.slice(1),
    row('s0', 30, { price: 1 }),
  ]);
  expect(answer).toMatchObject({ rows: 20, applied: 1, unchanged: 19, stale: 0 });
  expect((await store.counts()).itemVersions).toBe(before.itemVersions + 1);
  expect((await store.feedBounds()).last).toBe(bounds.last + 1);
});

test('an older file that comes late changes nothing, not even where the newer one said the same', async () => {
  const { store } = await databases.fresh();
  await leadWithPartner(store);
  await upload(store, await open(store, { name: 'acme_0.csv' }), [row('a', 1)]);
  const older = await open(store, { name: 'acme_1.csv' });
  // Repeats what is stored, which still makes it the newest word on `a`.
  await upload(store, await open(store, { name: 'acme_2.csv' }), [row('a', 1)]);
  expect(await upload(store, older, [row('a', 1, { price: 99 })])).toMatchObject({ applied: 0, stale: 1 });
  expect((await store.item({ source: 'acme', sku: 'a' }))?.item.price).toBe(10);
});

test('the same key twice in a file: the later row is meant', async () => {
  const { store } = await databases.fresh();
  await leadWithPartner(store);
  const answer = await upload(store, await open(store), [
    row('a', 1),
    row('b', 2),
    row('a', 3, { price: 7 }),
  ]);
  expect(answer).toMatchObject({ rows: 3, applied: 2, stale: 1 });
  expect((await store.item({ source: 'acme', sku: 'a' }))?.item.price).toBe(7);
});

test('more rows than one statement takes are all applied, and what a snapshot of them leaves out has vanished', async () => {
  const { store } = await databases.fresh();
  await leadWithPartner(store, { snapshot: true });
  const count = 11_000;
  const rows = Array.from({ length: count }, (_, index) => row(`s${index}`, index + 1));
  expect(await upload(store, await open(store), rows)).toMatchObject({
    rows: count,
    applied: count,
    vanished: 0,
  });
  expect((await store.counts()).items).toBe(count);
  expect((await store.feedBounds()).last).toBe(count);
  const answer = await upload(store, await open(store, { modifiedAt: second }), [row('s7', 1)]);
  expect(answer).toMatchObject({ rows: 1, unchanged: 1, vanished: count - 1 });
  expect((await store.feedBounds()).last).toBe(count + count - 1);
});

test('a snapshot marks what it leaves out as vanished, and a later one that has it again brings it back', async () => {
  const { store } = await databases.fresh();
  await leadWithPartner(store, { snapshot: true });
  await store.putSource(1, partner('other'));
  await store.writeBatch(1, entries(item('x', 1, { source: 'other' })));
  await upload(store, await open(store), [row('a', 1), row('b', 2)]);
  const without = await upload(store, await open(store, { modifiedAt: second }), [row('a', 1)]);
  expect(without).toMatchObject({ vanished: 1 });
  expect((await store.item({ source: 'acme', sku: 'b' }))?.item).toMatchObject({ vanished: true, price: 10 });
  expect((await store.item({ source: 'other', sku: 'x' }))?.item.vanished).toBe(false);
  await upload(store, await open(store, { size: 9 }), [row('a', 1), row('b', 2)]);
  const changes = (await store.feed({ after: 0, limit: 100 })).filter(({ sku }) => sku === 'b');
  expect(changes.map(({ change }) => change)).toEqual(['new', 'vanished', 'returned']);
});

test('an older snapshot that is applied after a newer one brings back nothing that the newer one says is gone', async () => {
  const { store } = await databases.fresh();
  await leadWithPartner(store, { snapshot: true });
  await upload(store, await open(store, { name: 'acme_1.csv' }), [row('a', 1), row('gone', 2)]);
  await upload(store, await open(store, { name: 'acme_2.csv' }), [row('a', 1)]);
  const older = await open(store, { name: 'acme_3.csv' });
  await upload(store, await open(store, { name: 'acme_4.csv' }), [row('a', 1, { price: 4 })]);
  const bounds = await store.feedBounds();
  const rows = [row('a', 1), row('gone', 2), row('never-stored', 3)];
  const answer = await upload(store, older, rows);
  expect(answer).toMatchObject({ kind: 'applied', rows: 3, applied: 0, stale: 3, vanished: 0 });
  expect(answer.problems.join()).toMatch(/newer/);
  expect(
    (await store.items({ limit: 10 })).map(({ sku, price, vanished }) => [sku, price, vanished]),
  ).toEqual([
    ['a', 4, false],
    ['gone', 10, true],
  ]);
  expect(await store.feedBounds()).toEqual(bounds);
  // And with an item that no snapshot named since.
  const newest = await open(store, { name: 'acme_5.csv' });
  expect(await upload(store, newest, rows)).toMatchObject({ applied: 3, stale: 0 });
});

test('a snapshot that is settled while an older one is being applied makes that one late', async () => {
  const { store, connect, pool } = await databases.fresh();
  await leadWithPartner(store, { snapshot: true });
  const older = await open(store, { name: 'acme_1.csv' });
  const newer = await open(store, { name: 'acme_2.csv' });
  const client = await connect();
  const queries = pool();
  const meanwhile = fileQueries({
    ...queries,
    async query(what, statement, values) {
      if (what === 'applying staged rows')
        await client.query('UPDATE sources SET snapshot_version = $1', [lastVersionOf(intakeOf(newer))]);
      return await queries.query(what, statement, values);
    },
  });
  expect(await upload({ ...store, ...meanwhile }, older, [row('gone', 1)])).toMatchObject({
    applied: 0,
    stale: 1,
  });
  expect(await store.items({ limit: 10 })).toEqual([]);
});

test('a snapshot with a bad row says of nothing that it is gone: an older one still tells what it alone names', async () => {
  const { store } = await databases.fresh();
  await leadWithPartner(store, { snapshot: true });
  const older = await open(store, { name: 'acme_1.csv' });
  await upload(store, await open(store, { name: 'acme_2.csv' }), [row('a', 1)], 1);
  expect(await upload(store, older, [row('a', 1, { price: 99 }), row('b', 2)])).toMatchObject({
    applied: 1,
    stale: 1,
    vanished: 0,
  });
});

test('a file of a partner without snapshots lets nothing vanish', async () => {
  const { store } = await databases.fresh();
  await leadWithPartner(store);
  await upload(store, await open(store), [row('a', 1), row('b', 2)]);
  expect(await upload(store, await open(store, { modifiedAt: second }), [row('a', 1)])).toMatchObject({
    vanished: 0,
  });
});

test('a snapshot with a bad row lets nothing vanish and says so, and one without rows is rejected', async () => {
  const { store } = await databases.fresh();
  await leadWithPartner(store, { snapshot: true });
  await upload(store, await open(store), [row('a', 1), row('b', 2), row('c', 3)]);
  const bad = await upload(store, await open(store, { modifiedAt: second }), [row('a', 1), row('b', 2)], 1);
  expect(bad).toMatchObject({ kind: 'applied', invalid: 1, vanished: 0 });
  expect(bad.problems.join()).toMatch(/vanish/);
  const empty = await upload(store, await open(store, { size: 0 }), []);
  expect(empty).toMatchObject({ kind: 'rejected', reason: expect.stringMatching(/vanish/) });
  expect((await store.items({ limit: 10 })).filter(({ vanished }) => vanished)).toEqual([]);
});

test('too large a share of bad rows rejects the file whole; at the limit it is applied', async () => {
  const { store } = await databases.fresh();
  await leadWithPartner(store, { badRowsShareMax: 0.5 });
  const opened = await open(store);
  const answer = await upload(store, opened, [row('a', 1)], 2);
  expect(answer).toMatchObject({ kind: 'rejected', rows: 3, invalid: 2, applied: 0 });
  expect(answer.reason).toBe('2 of 3 rows are bad, at most 50 % may be; row 2: inStock: missing');
  expect(await store.item({ source: 'acme', sku: 'a' })).toBeUndefined();
  expect(await open(store)).toEqual({ kind: 'rejected', fileId: opened.fileId, reason: answer.reason });
  expect(await upload(store, await open(store, { modifiedAt: second }), [row('a', 1)], 1)).toMatchObject({
    kind: 'applied',
    invalid: 1,
  });
});

test('a rejected file that was moved and put back is tried anew, with the intake it had', async () => {
  const { store } = await databases.fresh();
  await leadWithPartner(store);
  const opened = await open(store);
  await store.rejectFile(1, { fileId: opened.fileId, reason: 'not CSV', problems: [] });
  await store.fileOutcome(1, opened.fileId, { movedTo: 'rejected/acme.csv', reason: 'not CSV' });
  await upload(store, await open(store, { name: 'acme_newer.csv' }), [row('a', 1, { price: 2 })]);
  expect(await open(store)).toEqual(opened);
  // It is older than what came meanwhile.
  expect(await upload(store, opened, [row('a', 1), row('b', 2)])).toMatchObject({
    kind: 'applied',
    applied: 1,
    stale: 1,
  });
});

test('a file of an unknown source, a wrong name or a crawl that never was is rejected at its opening', async () => {
  const { store } = await databases.fresh();
  await leadWithPartner(store);
  await store.putSource(1, shop('shop'));
  const refused = async (name: string) => {
    const answer = await open(store, { name });
    expect(answer).toMatchObject({ kind: 'rejected' });
    return answer.kind === 'rejected' ? answer.reason : '';
  };
  expect(await refused('nobody.csv')).toMatch(/nobody/);
  expect(await refused('acme.xlsx')).toMatch(/name/);
  expect(await refused('shop_crawl-99.ndjson')).toMatch(/crawl 99/);
  expect(await refused('acme_crawl-1.ndjson')).toMatch(/crawl 1/);
});

test('a source that is switched off takes no file, not even one that was opened before, until it is switched on', async () => {
  const { store } = await databases.fresh();
  await leadWithPartner(store);
  const before = await open(store);
  await store.putSource(1, { ...partner('acme'), enabled: false });
  for (const name of ['acme.csv', 'acme_2.csv'])
    expect(await open(store, { name })).toMatchObject({
      kind: 'rejected',
      reason: expect.stringContaining('acme is switched off') as unknown,
    });
  await store.fileOutcome(1, before.fileId, { movedTo: 'rejected/acme.csv', reason: null });
  await store.putSource(1, partner('acme'));
  expect(await open(store)).toEqual(before);
});

test('the file of a crawl that is over is taken, also when the shop was switched off since', async () => {
  const { store } = await databases.fresh();
  await lead(store);
  await store.putSource(1, shop('shop'));
  const crawl = await store.takeCrawl(1, { owner: 'w', leaseMs: 60_000 });
  await store.putSource(1, { ...shop('shop'), enabled: false });
  expect(await open(store, { name: `shop_crawl-${crawl?.intake}.ndjson` })).toMatchObject({ kind: 'upload' });
});

test('a file that ftp-sync moved to rejected/ by itself is rejected in the ledger too', async () => {
  const { store } = await databases.fresh();
  await leadWithPartner(store);
  const opened = await open(store);
  await store.fileOutcome(1, opened.fileId, {
    movedTo: 'rejected/acme.csv',
    reason: 'FILE_TOO_LARGE: more than 1 GB',
  });
  expect((await store.recentFiles(1))[0]).toMatchObject({
    state: 'rejected',
    movedTo: 'rejected/acme.csv',
    reason: 'FILE_TOO_LARGE: more than 1 GB',
  });
  await expect(store.fileOutcome(1, randomUUID(), { movedTo: 'done/x', reason: null })).rejects.toMatchObject(
    { code: 'NOT_FOUND' },
  );
});

test('a file that ftp-sync rejected and did not get to move stays rejected, until it is known to lie in rejected/', async () => {
  const { store } = await databases.fresh();
  await leadWithPartner(store);
  const opened = await open(store);
  await store.fileOutcome(1, opened.fileId, { movedTo: null, reason: 'larger than 1 GB' });
  expect((await store.recentFiles(1))[0]).toMatchObject({ state: 'rejected', reason: 'larger than 1 GB' });
  expect(await open(store)).toMatchObject({ kind: 'rejected', reason: 'larger than 1 GB' });
  await store.fileOutcome(1, opened.fileId, { movedTo: 'rejected/acme.csv', reason: null });
  expect(await open(store)).toEqual(opened);
});

test('staged rows that are gone when the file is applied apply nothing and vanish nothing', async () => {
  const { store, connect } = await databases.fresh();
  await leadWithPartner(store, { snapshot: true });
  await upload(store, await open(store), [row('a', 1), row('b', 2)]);
  const opened = await open(store, { modifiedAt: second });
  const id = randomUUID();
  await store.stageRows(id, stage(opened, [row('a', 1, { price: 5 }), row('b', 2)]));
  await (await connect()).query('DELETE FROM staged_rows WHERE sku = $1', ['b']);
  await expect(apply(store, opened.fileId, id, 2)).rejects.toMatchObject({
    rule: { next: 'retry-same-key' },
  });
  expect((await store.items({ limit: 10 })).map(({ price, vanished }) => [price, vanished])).toEqual([
    [10, false],
    [10, false],
  ]);
});

test('rows are staged by upload: another upload of the same file never mixes in', async () => {
  const { store } = await databases.fresh();
  await leadWithPartner(store);
  const opened = await open(store);
  const [one, two] = [randomUUID(), randomUUID()];
  await store.stageRows(one, stage(opened, [row('old', 1)]));
  await store.stageRows(two, stage(opened, [row('a', 1)]));
  expect(await apply(store, opened.fileId, two, 1)).toMatchObject({ applied: 1 });
  expect((await store.items({ limit: 10 })).map(({ sku }) => sku)).toEqual(['a']);
});

test('a crawl file whose messages were all delivered has 0 differences, and what the crawl did not see vanishes', async () => {
  const { store } = await databases.fresh();
  await lead(store);
  const earlier = await crawl(store);
  await store.writeBatch(
    1,
    entries(crawled('a', earlier, 0), crawled('b', earlier, 1), crawled('c', earlier, 2)),
  );
  const intake = await crawl(store);
  const changed = crawled('b', intake, 0, { price: 8 });
  await store.writeBatch(1, entries(changed));
  // `a` is unmodified, so the file repeats its old version; `c` was not seen.
  const opened = await open(store, { name: `shop_crawl-${intake}.ndjson` });
  expect(intakeOf(opened)).toBe(intake);
  const answer = await upload(store, opened, [
    { place: 1, item: crawled('a', earlier, 0) },
    { place: 2, item: changed },
  ]);
  expect(answer).toMatchObject({
    kind: 'applied',
    rows: 2,
    applied: 0,
    unchanged: 2,
    vanished: 1,
    differences: 0,
  });
  expect((await store.item({ source: 'shop', sku: 'c' }))?.item.vanished).toBe(true);
  expect((await store.item({ source: 'shop', sku: 'a' }))?.item.vanished).toBe(false);
});

test('what a newer crawl has seen does not vanish by an older crawl file', async () => {
  const { store } = await databases.fresh();
  await lead(store);
  const older = await crawl(store);
  const newer = await crawl(store);
  await store.writeBatch(1, entries(crawled('a', older, 0), crawled('b', newer, 0)));
  const opened = await open(store, { name: `shop_crawl-${older}.ndjson` });
  expect(await upload(store, opened, [{ place: 1, item: crawled('a', older, 0) }])).toMatchObject({
    vanished: 0,
  });
  expect((await store.item({ source: 'shop', sku: 'b' }))?.item.vanished).toBe(false);
});

test('a crawl file brings back what it names and an earlier one let vanish, though its version is of old', async () => {
  const { store } = await databases.fresh();
  await lead(store);
  const first = await crawl(store);
  const [a, b] = [crawled('a', first, 0), crawled('b', first, 1, { stock: 7 })];
  await store.writeBatch(1, entries(a, b));
  const file = async (intake: number, size: number, items: readonly Item[]) => {
    const opened = await open(store, { name: `shop_crawl-${intake}.ndjson`, size });
    const rows = items.map((item, index) => ({ place: index + 1, item }));
    return await upload(store, opened, rows);
  };
  const next = await crawl(store);
  expect(await file(next, 1, [a])).toMatchObject({ vanished: 1, differences: 0 });
  // Of the same crawl, deposited anew by another worker: neither is newer than the other.
  expect(await file(next, 2, [a, b])).toMatchObject({ vanished: 0, differences: 0, stale: 1 });
  const last = await crawl(store);
  expect(await file(last, 2, [a, b])).toMatchObject({
    applied: 1,
    unchanged: 1,
    stale: 0,
    vanished: 0,
    differences: 1,
  });
  const version = itemVersion({ intake: last, ordinal: 2 ** 24 - 1 });
  expect((await store.item({ source: 'shop', sku: 'b' }))?.item).toEqual({ ...b, version });
  const changes = (await store.feed({ after: 0, limit: 100 })).filter(({ sku }) => sku === 'b');
  expect(changes.map(({ change }) => change)).toEqual(['new', 'vanished', 'returned']);
  // Again it says nothing new, and an older file takes nothing back.
  expect(await file(last, 3, [a, b])).toMatchObject({ applied: 0, differences: 0 });
  expect(await file(next, 3, [a])).toMatchObject({ vanished: 0, differences: 0 });
  expect((await store.item({ source: 'shop', sku: 'b' }))?.item).toMatchObject({ version });
});

test('a crawl file waits for messages that are under way, and stores and counts what never came', async () => {
  const { store, connect } = await databases.fresh();
  await lead(store);
  const intake = await crawl(store);
  const opened = await open(store, { name: `shop_crawl-${intake}.ndjson` });
  const rows = [0, 1].map((ordinal) => ({
    place: ordinal + 1,
    item: crawled(`s${ordinal}`, intake, ordinal),
  }));
  await store.writeBatch(1, entries(crawled('s0', intake, 0)));
  await expect(upload(store, opened, rows)).rejects.toMatchObject({
    code: 'BUSY',
    details: { retryAfterMs: expect.any(Number) },
  });
  await (await connect()).query("UPDATE files SET opened_at = clock_timestamp() - interval '10 minutes'");
  expect(await upload(store, opened, rows)).toMatchObject({
    kind: 'applied',
    applied: 1,
    unchanged: 1,
    differences: 1,
  });
});

test('what a message of a crawl left otherwise than the crawl file says is set right, and news of a newer crawl stay', async () => {
  const { store } = await databases.fresh();
  await lead(store);
  const earlier = await crawl(store);
  const [a, b, c] = [crawled('a', earlier, 0), crawled('b', earlier, 1), crawled('c', earlier, 2)];
  await store.writeBatch(1, entries(a, b, c));
  const intake = await crawl(store);
  const newer = await crawl(store);
  const fresh = crawled('c', newer, 0, { price: 7 });
  await store.writeBatch(1, entries(crawled('a', intake, 0, { price: 9 }), crawled('b', intake, 1), fresh));
  const opened = await open(store, { name: `shop_crawl-${intake}.ndjson` });
  const rows = [a, b, c].map((item, index) => ({ place: index + 1, item }));
  expect(await upload(store, opened, rows)).toMatchObject({
    applied: 1,
    stale: 2,
    vanished: 0,
    differences: 1,
  });
  const version = itemVersion({ intake, ordinal: 2 ** 24 - 1 });
  const items = await store.items({ limit: 10 });
  expect(items).toMatchObject([{ ...a, version }, crawled('b', intake, 1), fresh]);
  expect((await store.feed({ after: 0, limit: 100 })).at(-1)).toMatchObject({
    sku: 'a',
    change: 'price',
    price: 10,
    previousPrice: 9,
  });
});

test('what a message of the crawl itself brought does not vanish by its file; by the next one it does', async () => {
  const { store } = await databases.fresh();
  await lead(store);
  const intake = await crawl(store);
  const a = crawled('a', intake, 0);
  await store.writeBatch(1, entries(a, crawled('b', intake, 1)));
  const file = async (of: number) =>
    upload(store, await open(store, { name: `shop_crawl-${of}.ndjson` }), [{ place: 1, item: a }]);
  expect(await file(intake)).toMatchObject({ unchanged: 1, vanished: 0 });
  expect(await file(await crawl(store))).toMatchObject({ unchanged: 1, vanished: 1 });
});

test('a message of a crawl whose file was applied comes too late, as does one of an earlier crawl', async () => {
  const { store } = await databases.fresh();
  await lead(store);
  const intake = await crawl(store);
  const a = crawled('a', intake, 0);
  await store.writeBatch(1, entries(a));
  const next = await crawl(store);
  await upload(store, await open(store, { name: `shop_crawl-${next}.ndjson` }), [{ place: 1, item: a }]);
  const late = entries(
    crawled('a', next, 5, { price: 9 }),
    crawled('b', next, 6),
    crawled('c', intake, 7),
    a,
  );
  expect((await store.writeBatch(1, late)).map(({ kind }) => kind)).toEqual([
    'stale',
    'stale',
    'stale',
    'unchanged',
  ]);
  expect((await store.items({ limit: 10 })).map(({ sku, price }) => [sku, price])).toEqual([['a', 10]]);
  const newer = crawled('b', await crawl(store), 0);
  expect(await store.writeBatch(1, entries(newer))).toEqual([{ kind: 'applied' }]);
});

test('a crawl file with versions above its own intake is rejected whole', async () => {
  const { store } = await databases.fresh();
  await lead(store);
  const intake = await crawl(store);
  const opened = await open(store, { name: `shop_crawl-${intake}.ndjson` });
  const forged = { place: 2, item: crawled('z', intake + 1, 0) };
  const answer = await upload(store, opened, [{ place: 1, item: crawled('a', intake, 0) }, forged]);
  expect(answer).toMatchObject({ kind: 'rejected', applied: 0 });
  expect(await store.items({ limit: 10 })).toEqual([]);
});

interface Row {
  readonly place: number;
  readonly item: Item;
}
/** A partner's row: its version comes from its place, once the file's intake is known. */
function row(sku: string, place: number, content: Partial<Item> = {}): Row {
  return { place, item: item(sku, 0, { source: 'acme', ...content }) };
}
function crawled(sku: string, intake: number, ordinal: number, content: Partial<Item> = {}): Item {
  return item(sku, itemVersion({ intake, ordinal }), content);
}
function stage(opened: FileOpenAnswer, rows: readonly Row[]) {
  return rows.map(({ place, item }) => ({
    row: place,
    item:
      item.version === 0
        ? { ...item, version: itemVersion({ intake: intakeOf(opened), ordinal: place }) }
        : item,
  }));
}

async function leadWithPartner(store: Store, settings: Parameters<typeof partner>[1] = {}): Promise<void> {
  await store.claim({ term: 1, holder: 'node-1/boot-1' });
  await store.putSource(1, partner('acme', settings));
}
/** A crawl from its lease to its end; answers its intake. */
async function crawl(store: Store): Promise<number> {
  const lease = await store.takeCrawl(1, { owner: 'w', leaseMs: 60_000, source: 'shop' });
  if (!lease) throw new Error('no crawl was handed out');
  await store.updateCrawl(1, lease.crawlId, {
    owner: 'w',
    leaseMs: 60_000,
    status: 'finished',
    counts: { pages: 1, notModified: 0, failedPages: 0, itemsSeen: 1, itemsPublished: 1 },
    state: { zstd: '' },
  });
  return lease.intake;
}
function open(
  store: Store,
  file: { name?: string; size?: number; modifiedAt?: string } = {},
): Promise<FileOpenAnswer> {
  return store.openFile(1, { name: 'acme.csv', size: 100, modifiedAt: first, traceparent, ...file });
}
const known = new Map<string, number>();
/** Of an opened file; remembered, since a file that is done tells it no more. */
function intakeOf(opened: FileOpenAnswer): number {
  if (opened.kind === 'upload') known.set(opened.fileId, opened.intake);
  const intake = known.get(opened.fileId);
  if (intake === undefined) throw new Error(`the file is ${opened.kind}`);
  return intake;
}
async function upload(
  store: Store,
  opened: FileOpenAnswer,
  rows: readonly Row[],
  invalid = 0,
): Promise<FileAnswer> {
  const id = randomUUID();
  const staged = stage(opened, rows);
  for (let start = 0; start < staged.length; start += 5_000)
    await store.stageRows(id, staged.slice(start, start + 5_000));
  return apply(store, opened.fileId, id, rows.length + invalid, invalid);
}
function apply(store: Store, fileId: string, id: string, rows: number, invalid = 0): Promise<FileAnswer> {
  // The last ones are the bad ones.
  const problems = Array.from(
    { length: invalid },
    (_, nth) => `row ${rows - invalid + nth + 1}: inStock: missing`,
  );
  return store.applyUpload(1, { fileId, upload: id, sha256: 'f'.repeat(64), rows, invalid, problems });
}
