// A term that is over writes nothing: each write is refused once the database has seen a newer one, also in its middle.
import { setTimeout as sleep } from 'node:timers/promises';
import { expect, test } from 'vitest';
import { Leadership } from '../../../nodes/leadership.ts';
import { digestRules } from '../../../nodes/mailer/notice.ts';
import { keptFor, sweptTables } from '../../../nodes/retention.ts';
import type { Store } from '../../../nodes/store.ts';
import {
  entries,
  holder,
  item,
  lead,
  partner,
  shop,
  traceparent,
  useDatabases,
  waitForBlocked,
} from './fresh-database.ts';
import { simulatedRaft } from '../node/simulated-edges.ts';
import { apply, leadWithPartner, open, row, stage, upload } from './uploads.ts';

const databases = useDatabases();
const other = 'node-2/boot-1';
const id = '3f0e8a52-9a68-4f0c-8d5e-0c8b4a1d2e11';
const stale = (databaseTerm: number) => ({ code: 'STALE_TERM', details: { databaseTerm } });

test('fencing: a write in term 1 is refused once the database has seen term 2, and leaves no row', async () => {
  const { store } = await databases.fresh();
  await lead(store);
  expect(await store.claim({ term: 2, holder: other })).toEqual({ kind: 'claimed' });
  await expect(store.writeBatch(1, entries(item('a', 1)))).rejects.toMatchObject(stale(2));
  expect(await store.items({ limit: 10 })).toEqual([]);
  expect((await store.feedBounds()).last).toBe(0);
});

/** The methods of the store that begin with a term, but for those that begin with another number. */
type Fenced = Exclude<
  { [K in keyof Store]: Parameters<Store[K]> extends [number, ...unknown[]] ? K : never }[keyof Store],
  'recentFiles' | 'recentMails' | 'recentCrawls' | 'deadLetter' | 'deadLetterActions'
>;

test('fencing: every other fenced write is refused in an old term too', async () => {
  const { store } = await databases.fresh();
  await leadWithPartner(store, { snapshot: true });
  await store.putSource(1, shop('shop'));
  const opened = await open(store);
  const staged = [row('a', 1)];
  await store.stageRows(id, stage(opened, staged));
  const crawl = await store.takeCrawl(1, { owner: 'w', leaseMs: 60_000, source: 'shop' });
  await store.putSource(1, partner('deleted'));
  await store.deleteSource(1, 'deleted');
  await store.claim({ term: 2, holder: other });
  // The compiler asks for each: a write that is not here does not compile.
  const writes: Readonly<Record<Exclude<Fenced, 'writeBatch' | 'sweep'>, () => Promise<unknown>>> = {
    putSource: () => store.putSource(1, partner('p')),
    deleteSource: () => store.deleteSource(1, 'shop'),
    emptyDeletedSource: () => store.emptyDeletedSource(1, 10),
    putWatch: () => store.putWatch(1, { email: 'a@example.test', about: 'prices', source: null, sku: null }),
    deleteWatch: () => store.deleteWatch(1, id),
    takeCrawl: () => store.takeCrawl(1, { owner: 'w', leaseMs: 1_000 }),
    updateCrawl: () =>
      store.updateCrawl(1, crawl?.crawlId ?? '', {
        owner: 'w',
        leaseMs: 1_000,
        status: 'running',
        counts: { pages: 1, notModified: 0, failedPages: 0, itemsSeen: 1, itemsPublished: 1 },
      }),
    takeLease: () => store.takeLease(1, { name: 'l', owner: 'w', leaseMs: 1_000 }),
    openFile: () => open(store, { name: 'acme_other.csv' }),
    applyUpload: () => apply(store, opened.fileId, id, staged.length),
    rejectFile: () => store.rejectFile(1, { fileId: opened.fileId, reason: 'r', problems: [] }),
    fileOutcome: () => store.fileOutcome(1, opened.fileId, { movedTo: 'done/x', reason: null }),
    claimMail: () => store.claimMail(1, id, { attempt: 1, owner: 'w' }),
    mailResult: () => store.mailResult(1, id, { attempt: 1, owner: 'w', outcome: 'sent', detail: '' }),
    makeNotices: () => store.makeNotices(1, { eventsMax: 1, noticesMax: 1, traceparent }),
    dueDigests: () => store.dueDigests(1, digestRules, 10),
    queueDigest: () => store.queueDigest(1, [], undefined),
    eraseAddress: () => store.eraseAddress(1, 'a@example.test'),
    dueMails: () => store.dueMails(1, 10),
    mailPublished: () => store.mailPublished(1, { mailId: id, attempt: 1, traceparent }),
    keepDeadLetters: () => store.keepDeadLetters(1, []),
    settleDeadLetters: () =>
      store.settleDeadLetters(1, {
        action: id,
        kind: 'discard',
        by: 'mara',
        reason: null,
        select: { all: true },
        upTo: 10,
        lettersMax: 10,
      }),
    editDeadLetter: () => store.editDeadLetter(1, { action: id, by: 'mara', id: 1, body: Buffer.from('{}') }),
    deadLettersToSend: () => store.deadLettersToSend(1, { lettersMax: 10, bytesMax: 1_000 }),
    deadLettersSent: () => store.deadLettersSent(1, [1]),
    keepDeliveries: () => store.keepDeliveries(1, 'node-1', []),
  };
  const sweeps = sweptTables.map(
    (table) => [`sweep ${table}`, () => store.sweep(1, table, { ...keptFor[table], rowsMax: 1 })] as const,
  );
  for (const [name, write] of [...Object.entries(writes), ...sweeps])
    expect([name, await write().catch((error: unknown) => error)]).toMatchObject([name, stale(2)]);
  expect(await store.items({ limit: 10 })).toEqual([]);
});

test('fencing: an upload of many statements whose term ends in its middle writes nothing after that', async () => {
  const { store, node, connect } = await databases.fresh();
  await leadWithPartner(store, { snapshot: true });
  await upload(store, await open(store), [row('a', 1), row('gone', 2)]);
  const [blocker, watcher] = [await connect(), await connect()];
  await blocker.query('BEGIN');
  // Holds the statement that applies the rows in its middle; that of what vanished comes after it.
  await blocker.query('SELECT FROM feed_head FOR UPDATE');
  const next = await open(store, { size: 101 });
  const cutOff = upload(store, next, [row('a', 1, { price: 8 })]).catch((error: unknown) => error);
  await waitForBlocked(watcher, 1);
  const claim = node('node-2').store.claim({ term: 2, holder: other });
  await waitForBlocked(watcher, 2);
  await blocker.query('COMMIT');
  expect(await claim).toEqual({ kind: 'claimed' });
  expect(await cutOff).toMatchObject(stale(2));
  const items = await store.items({ limit: 10 });
  expect(items.map(({ sku, price, vanished }) => [sku, price, vanished])).toEqual([
    ['a', 8, false],
    ['gone', 10, false],
  ]);
  expect(await store.fileIntake(next.fileId)).not.toHaveProperty('settled');
});

test('fencing: a term is claimed by one holder, which may ask again, and an older term is told the newer one', async () => {
  const { store, node } = await databases.fresh();
  const second = node('node-2').store;
  const claims = await Promise.all([
    store.claim({ term: 3, holder }),
    second.claim({ term: 3, holder: other }),
  ]);
  expect(claims.map(({ kind }) => kind).sort()).toEqual(['claimed', 'refused']);
  const winner = (await store.fence()).holder as string;
  expect(await store.claim({ term: 3, holder: winner })).toEqual({ kind: 'claimed' });
  expect(await store.claim({ term: 2, holder: winner })).toEqual({ kind: 'refused', databaseTerm: 3 });
  expect(await store.fence()).toEqual({ term: 3, holder: winner });
});

test('fencing: after a failover that lost its claim a leader claims its term again, and writes on', async () => {
  const { store, connect } = await databases.fresh();
  await lead(store);
  const { raft, become, refused } = simulatedRaft();
  const leadership = new Leadership({
    nodeId: 'node-1',
    bootId: 'boot-1',
    members: [],
    raft,
    claim: (claim) => store.claim(claim),
    emit: () => undefined,
    repeatClaimMs: 10,
    patienceMs: 10_000,
  });
  const write = (version: number) =>
    leadership.write('test', (term) => store.writeBatch(term, entries(item('a', version))));
  become({ kind: 'leader' }, 5);
  expect(await write(1)).toEqual([{ kind: 'applied' }]);
  await (await connect()).query(`UPDATE fence SET term = 4, holder = '${other}'`);
  await expect(write(2)).rejects.toMatchObject(stale(4));
  expect(await write(2)).toEqual([{ kind: 'applied' }]);
  expect(await store.fence()).toEqual({ term: 5, holder: 'node-1/boot-1' });
  expect(refused).toEqual([]);
});

test('fencing: a write that waited behind a claim is refused, with no row and no event', async () => {
  const { store, connect } = await databases.fresh();
  await lead(store);
  const claimer = await connect();
  const watcher = await connect();
  await claimer.query('BEGIN');
  await claimer.query(`UPDATE fence SET term = 2, holder = '${other}'`);
  const write = store.writeBatch(1, entries(item('a', 1))).catch((error: unknown) => error);
  await waitForBlocked(watcher, 1);
  await claimer.query('COMMIT');
  expect(await write).toMatchObject(stale(2));
  expect(await store.items({ limit: 10 })).toEqual([]);
});

test('fencing: a lease that was asked for before a claim and answered after it is refused', async () => {
  const { store, connect } = await databases.fresh();
  await lead(store);
  const [claimer, watcher] = [await connect(), await connect()];
  await claimer.query('BEGIN');
  await claimer.query(`UPDATE fence SET term = 2, holder = '${other}'`);
  const lease = store
    .takeLease(1, { name: 'l', owner: 'w', leaseMs: 60_000 })
    .catch((error: unknown) => error);
  await waitForBlocked(watcher, 1);
  await claimer.query('COMMIT');
  expect(await lease).toMatchObject(stale(2));
  expect(await store.takeLease(2, { name: 'l', owner: 'another', leaseMs: 1_000 })).toBeDefined();
});

test('fencing: no write overtakes a claim that waits', async () => {
  const { store, node, connect } = await databases.fresh();
  await lead(store);
  const [writer, watcher] = [await connect(), await connect()];
  await writer.query('BEGIN');
  await writer.query('SELECT FROM fence WHERE term = 1 FOR SHARE');
  const claim = node('node-2').store.claim({ term: 2, holder: other });
  await waitForBlocked(watcher, 1);
  // Share lockers of a row join those who have it, past whoever waits for it: without end, a claim would starve.
  const write = store.writeBatch(1, entries(item('a', 1))).catch((error: unknown) => error);
  await waitForBlocked(watcher, 2);
  await writer.query('COMMIT');
  expect(await claim).toEqual({ kind: 'claimed' });
  expect(await write).toMatchObject(stale(2));
});

test('fencing: a claim waits for the write under way, and the write is kept', async () => {
  const { store, node, connect } = await databases.fresh();
  await lead(store);
  const blocker = await connect();
  const watcher = await connect();
  await blocker.query('BEGIN');
  // Holds the write in its middle: the fence is held by then, the feed is numbered last.
  await blocker.query('SELECT FROM feed_head FOR UPDATE');
  const write = store.writeBatch(1, entries(item('a', 1)));
  await waitForBlocked(watcher, 1);
  const claim = node('node-2').store.claim({ term: 2, holder: other });
  await waitForBlocked(watcher, 2);
  await blocker.query('COMMIT');
  expect(await write).toEqual([{ kind: 'applied' }]);
  expect(await claim).toEqual({ kind: 'claimed' });
  expect(await store.items({ limit: 10 })).toHaveLength(1);
});

test('fencing: a frozen client that holds the fence delays a claim by about a second, and loses its session', async () => {
  const { store, connect } = await databases.fresh();
  await lead(store);
  const frozen = await connect();
  await frozen.query('BEGIN');
  await frozen.query('SELECT FROM fence WHERE term = 1 FOR SHARE');
  const startedAt = performance.now();
  expect(await store.claim({ term: 2, holder: other })).toEqual({ kind: 'claimed' });
  const took = performance.now() - startedAt;
  expect(took).toBeGreaterThan(900);
  expect(took).toBeLessThan(8_000);
  await expect(frozen.query('COMMIT')).rejects.toThrow(/terminat|not queryable|closed/i);
});

test('fencing: a claim is not starved by writers that never pause', async () => {
  const { store, node } = await databases.fresh();
  await lead(store);
  const writers = Array.from({ length: 4 }, async (_, writer): Promise<unknown> => {
    for (let version = 1; ; version++)
      try {
        await store.writeBatch(1, entries(item(`w${writer}`, version)));
      } catch (error) {
        return error;
      }
  });
  await sleep(100);
  const startedAt = performance.now();
  expect(await node('node-2').store.claim({ term: 2, holder: other })).toEqual({ kind: 'claimed' });
  // Well before any session would have been ended for it.
  expect(performance.now() - startedAt).toBeLessThan(4_000);
  for (const end of await Promise.all(writers)) expect(end).toMatchObject(stale(2));
});
