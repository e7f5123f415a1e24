// A leader whose database answers every look and takes no write says so within ten seconds, with the cause, and no longer
// once it writes. A real PostgreSQL: with no room on its disk, with a lock that somebody holds, and read-only.
import { existsSync, renameSync, rmSync, symlinkSync } from 'node:fs';
import { mkdtemp } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterEach, beforeEach, expect, test, vi } from 'vitest';
import { healthSchema } from '../../../contracts/public-api.ts';
import { publicRoutes } from '../../../contracts/public-routes.ts';
import { createNode, type BatonNode } from '../../../nodes/node.ts';
import type { Store } from '../../../nodes/store.ts';
import { createLogger } from '../../../runtime/logger.ts';
import { pause } from '../../../runtime/waiting.ts';
import { makeCertificates } from '../../support/certificates.ts';
import { entries, item, shop, useDatabases, type FreshDatabase } from '../database/fresh-database.ts';
import { loneNode, simulatedBroker, simulatedRaft } from './simulated-edges.ts';

const databases = useDatabases();
let database: FreshDatabase;
let store: Store;
let node: BatonNode;
let events: string[];
let writing: AbortController;

beforeEach(async () => {
  database = await databases.fresh();
  ({ store } = database);
  events = [];
  const { raft, become } = simulatedRaft();
  node = await createNode(loneNode(), {
    raft,
    store,
    tls: await makeCertificates(await mkdtemp(join(tmpdir(), 'baton-outages-'))),
    page: undefined,
    broker: simulatedBroker,
    sendAnnouncement: async () => undefined,
    tokens: () => Promise.reject(new Error('nobody asks with one')),
    logger: createLogger({ process: 'node-1', write: (line) => void events.push(line) }),
  });
  become({ kind: 'leader' }, 1);
  await vi.waitUntil(() => node.leadership.state.kind === 'leading', { timeout: 10_000 });
  await node.leadership.write('source', (term) => store.putSource(term, shop('shop')));
  writing = new AbortController();
});
afterEach(async () => {
  writing.abort();
  await node?.close('the test ends');
});

let version = 0;
const write = () =>
  node.leadership.write('batch', (term) => store.writeBatch(term, entries(item('a', ++version))));
/** As deliver does: what failed comes again. */
async function goOnWriting(): Promise<void> {
  while (!writing.signal.aborted) {
    await write().catch(() => undefined);
    await pause(500, writing.signal);
  }
}
async function problems(path: string = publicRoutes.health): Promise<string[]> {
  const answer = await fetch(node.publicUrl + path);
  return healthSchema.parse(await answer.json()).problems;
}
async function said(words: RegExp): Promise<void> {
  await vi.waitUntil(async () => words.test((await problems()).join('\n')), { timeout: 10_000 });
}
async function overAgain(): Promise<void> {
  await vi.waitUntil(async () => (await problems()).length === 0, { timeout: 15_000 });
  expect(store.writeOutage()).toBeUndefined();
  expect(await write()).toEqual([{ kind: 'applied' }]);
}

// A file to which nothing can be added: the server's own attempt to make it larger fails as on a full disk.
test.skipIf(!existsSync('/dev/full'))(
  'a full disk: said within 10 s, and a write is told that it was not done',
  async () => {
    const client = await database.connect();
    const { rows } = await client.query<{ path: string }>(
      "SELECT pg_relation_filepath('items') AS path FROM (SELECT) AS one",
    );
    await client.query('TRUNCATE items');
    const { rows: after } = await client.query<{ path: string }>(
      "SELECT pg_relation_filepath('items') AS path",
    );
    expect(after).not.toEqual(rows);
    const file = join(`/proc/${databases.server().pid}/cwd`, after[0]?.path ?? '');
    renameSync(file, `${file}.kept`);
    symlinkSync('/dev/full', file);
    void goOnWriting();
    try {
      await said(/^writes fail since \S+Z \(writing .*\): the database has no room left on its disk$/m);
      expect(await problems(publicRoutes.readiness)).toEqual(await problems());
      expect(store.writeOutage()).toBeDefined();
      await expect(write()).rejects.toMatchObject({
        code: 'DATABASE_UNAVAILABLE',
        message: expect.stringContaining('no room left') as string,
      });
      expect(events.join('')).toMatch(/"type":"problem".*no room left on its disk.*No space left on device/);
    } finally {
      rmSync(file);
      renameSync(`${file}.kept`, file);
      await client.query(
        'SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE usename = current_user AND pid <> pg_backend_pid()',
      ); // They hold the file open.
    }
    await overAgain();
  },
);

test('a lock on the table of the items: said within 10 s, while other writes succeed', async () => {
  const blocker = await database.connect();
  await blocker.query('BEGIN');
  await blocker.query('LOCK TABLE items IN SHARE MODE'); // As CREATE INDEX takes it.
  void goOnWriting();
  await said(/^writes fail since \S+Z \(writing .*\): another session of the database holds a lock/m);
  await store.takeLease(1, { name: 'l', owner: 'w', leaseMs: 1_000 });
  expect(store.writeOutage()).toBeDefined();
  await blocker.query('ROLLBACK');
  await overAgain();
});

test('a database that became read-only: said within 10 s, until it is not', async () => {
  const client = await database.connect();
  const become = async (readOnly: boolean): Promise<void> => {
    await client.query('SET default_transaction_read_only = off');
    const name = new URL(database.url).pathname.slice(1);
    await client.query(`ALTER DATABASE ${name} SET default_transaction_read_only = ${readOnly}`);
    await client.query(
      'SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE usename = current_user AND pid <> pg_backend_pid()',
    );
  };
  await become(true);
  void goOnWriting();
  await said(/the database takes no writes/);
  await expect(write()).rejects.toMatchObject({ code: 'DATABASE_UNAVAILABLE' });
  expect(store.writeOutage()).toBeDefined();
  await become(false);
  await overAgain();
});
