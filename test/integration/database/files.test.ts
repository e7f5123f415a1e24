// The ledger of files, and what their rows do: once each, in whatever order and however often they are uploaded.
import { randomUUID } from 'node:crypto';
import { expect, test } from 'vitest';
import { itemVersion } from '../../../contracts/ids.ts';
import { lead, partner, shop, useDatabases, waitForBlocked } from './fresh-database.ts';
import { apply, intakeOf, leadWithPartner, open, row, stage, upload } from './uploads.ts';

const databases = useDatabases();
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
  expect(await open(store)).toEqual({ kind: 'done', fileId: opened.fileId, answer });
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
  expect(await store.file(opened.fileId)).toEqual((await store.recentFiles(1))[0]);
  expect(await store.file(randomUUID())).toBeUndefined();
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
