import { randomUUID } from 'node:crypto';
import { once } from 'node:events';
import { cp, mkdtemp, rm, writeFile } from 'node:fs/promises';
import { createServer, type AddressInfo } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { Client } from 'pg';
import { expect, onTestFinished, test } from 'vitest';
import type { Member } from '../../../contracts/environment.ts';
import { openDatabase } from '../../../nodes/database/database.ts';
import { migrate } from '../../../nodes/database/migrate.ts';
import { claimOnceAgreed, joinCluster, type JoinOptions } from '../../../nodes/identity/join-cluster.ts';
import { makeFirstVoteFile, openVoteFile, readIdentity } from '../../../nodes/identity/vote-file.ts';
import { Failure } from '../../../runtime/failure.ts';
import { makeCertificates } from '../../support/certificates.ts';
import { freePort } from '../../support/ports.ts';
import { entries, item, lead, useDatabases, waitForBlocked } from './fresh-database.ts';

const databases = useDatabases();

test('migrating twice, and by three nodes at once, ends in one schema that works', async () => {
  const url = await databases.server().createDatabase();
  const nodes = ['node-1', 'node-2', 'node-3'].map((name) => databases.open(url, name));
  try {
    await Promise.all(nodes.map((node) => node.migrate()));
    await nodes[0]?.migrate();
    const store = nodes[1]?.store;
    if (!store) throw new Error('there is no second node');
    await lead(store);
    expect(await store.writeBatch(1, entries(item('a', 1)))).toEqual([{ kind: 'applied' }]);
  } finally {
    await Promise.all(nodes.map((node) => node.close()));
  }
});

test('a node of an older release runs on a schema that a newer one has migrated', async () => {
  const { node, connect } = await databases.fresh();
  await (
    await connect()
  ).query("INSERT INTO migrations (name, run_on) VALUES ('0999-of-a-later-release', now())");
  const older = node('node-2');
  await older.migrate();
  await lead(older.store);
  expect(await older.store.writeBatch(1, entries(item('a', 1)))).toEqual([{ kind: 'applied' }]);
});

/** Refuses every claim, and so tells whose functions are in force. */
const otherClaim = `CREATE OR REPLACE FUNCTION claim_fence(given_term bigint, claimer text)
  RETURNS TABLE (claimed boolean, current_term bigint) LANGUAGE sql AS 'SELECT false, 99::bigint'`;

test.each([
  { of: 'a newer version', change: 'release[2:] = ARRAY[release[2], release[3] + 1, 0]', stays: true },
  {
    of: 'more migrations and an older version',
    change: 'release = ARRAY[release[1] + 1, 0, 0, 1]',
    stays: true,
  },
  { of: 'an older version', change: 'release[2:] = ARRAY[0, 0, 99]', stays: false },
  {
    of: 'fewer migrations and a newer version',
    change: 'release = ARRAY[release[1] - 1, 9, 0, 0]',
    stays: false,
  },
  { of: 'another commit of this version', change: 'release = release', stays: false },
])('functions of $of: a node that starts leaves them alone: $stays', async ({ change, stays }) => {
  const { node, connect } = await databases.another();
  const client = await connect();
  await client.query(otherClaim);
  await client.query(`UPDATE functions_in_force SET sha256 = 'other', ${change}`);
  const started = node('node-2');
  await Promise.all([started.migrate(), node('node-3').migrate()]);
  const claim = await started.store.claim({ term: 1, holder: 'node-2/boot-1' });
  expect(claim).toMatchObject(stays ? { kind: 'refused', databaseTerm: 99 } : { kind: 'claimed' });
  const { rows } = await client.query("SELECT sha256 = 'other' AS stays FROM functions_in_force");
  expect(rows).toEqual([{ stays }]);
});

test('an older node that waits while a newer one migrates leaves its functions alone', async () => {
  const { node, connect } = await databases.another();
  const [newer, watcher] = [await connect(), await connect()];
  await newer.query("UPDATE functions_in_force SET sha256 = 'other', release = ARRAY[1, 0, 0, 0]");
  await newer.query("SELECT pg_advisory_lock(hashtext('baton migrations'))");
  const older = node('node-2').migrate();
  await waitForBlocked(watcher, 1);
  await newer.query(otherClaim);
  await newer.query('UPDATE functions_in_force SET release = ARRAY[99, 0, 0, 0]');
  await newer.query("SELECT pg_advisory_unlock(hashtext('baton migrations'))");
  await older;
  expect(await node('node-2').store.claim({ term: 1, holder: 'node-2/boot-1' })).toMatchObject({
    databaseTerm: 99,
  });
});

test('the functions in force are not put there again', async () => {
  const { node, connect } = await databases.another();
  const client = await connect();
  await client.query(otherClaim);
  await node('node-2').migrate();
  expect(await node('node-2').store.claim({ term: 1, holder: 'node-2/boot-1' })).toMatchObject({
    databaseTerm: 99,
  });
});

test('a node that ended between the migrations and the functions puts these there at its next start', async () => {
  const { node, connect } = await databases.another();
  const client = await connect();
  await client.query('DELETE FROM functions_in_force');
  await client.query('DROP FUNCTION claim_fence');
  await node('node-2').migrate();
  expect(await node('node-2').store.claim({ term: 1, holder: 'node-2/boot-1' })).toMatchObject({
    kind: 'claimed',
  });
});

test('a database that other migrations made is refused in one line that says what to do, and is not changed', async () => {
  const url = await databases.server().createDatabase();
  const client = await databases.server().connect(url);
  await client.query(
    'CREATE TABLE migrations (id serial PRIMARY KEY, name text NOT NULL, run_on timestamp NOT NULL)',
  );
  await client.query(
    "INSERT INTO migrations (name, run_on) VALUES ('0001-everything', now()), ('0003-notices', now())",
  );
  const node = databases.open(url, 'node-1');
  try {
    const refusal = await node.migrate().catch((error: unknown) => error);
    // No Failure of the database, which a node would wait for.
    expect(refusal).not.toBeInstanceOf(Failure);
    expect(String(refusal)).toMatch(
      /^Error: the database .*0001-everything.*another --data folder, or delete this one$/,
    );
    const { rows } = await client.query("SELECT to_regclass('fence') AS fence");
    expect(rows).toEqual([{ fence: null }]);
  } finally {
    await Promise.all([node.close(), client.end()]);
  }
});

test('a migration that others hold up is tried again, and no node votes or holds up writes meanwhile', async () => {
  const { node, store, connect } = await databases.another();
  await lead(store);
  const [client, blocker] = [await connect(), await connect()];
  // As before the last migration.
  await client.query("DELETE FROM migrations WHERE name = '0007-deliveries'");
  await client.query('DROP TABLE deliveries');
  await blocker.query('BEGIN');
  await blocker.query('LOCK TABLE migrations IN SHARE MODE'); // Who reads it goes on, who migrates waits.

  const said: string[] = [];
  const { clusterId } = await node('node-1').cluster('test');
  const joined = joinCluster({
    database: node('node-1'),
    cluster: 'test',
    nodeId: 'node-1',
    generation: 1,
    members: members(3),
    remembered: { clusterId, generation: 1, term: 0, abstaining: false }, // With which it would vote, were the database away.
    makeFirstVoteFile: () => undefined,
    setVoteFileAside: () => undefined,
    report: (detail) => said.push(detail),
    tryEveryMs: 10,
    signal: AbortSignal.timeout(30_000),
  });
  await expect.poll(() => said).toEqual([expect.stringMatching(/^the database is busy: .*hold locks/)]);
  expect(await Promise.race([joined, Promise.resolve('still waiting')])).toBe('still waiting');
  expect(await store.writeBatch(1, entries(item('a', 1)))).toEqual([{ kind: 'applied' }]);
  await blocker.query('COMMIT');
  expect(await joined).toMatchObject({ clusterId, recordedTerm: null });
  const { rows } = await client.query("SELECT name FROM migrations WHERE name = '0007-deliveries'");
  expect(rows).toHaveLength(1);
});

/** The migrations of this release, and one more for each of these texts. */
async function laterRelease(...texts: string[]): Promise<string> {
  const folder = await mkdtemp(join(tmpdir(), 'baton-test-migrations-'));
  await cp(fileURLToPath(new URL('../../../nodes/database/migrations', import.meta.url)), folder, {
    recursive: true,
  });
  for (const [index, text] of texts.entries()) await writeFile(join(folder, `090${index}-later.sql`), text);
  onTestFinished(() => rm(folder, { recursive: true }));
  return folder;
}
const schemaOf = async (client: Client): Promise<unknown> =>
  (
    await client.query(`SELECT (SELECT count(*) FROM migrations WHERE name LIKE '09%') AS later,
      (SELECT release[1] FROM functions_in_force) AS functions, to_regclass('later') AS relation`)
  ).rows;
const ofThisRelease = [{ later: '0', functions: 7, relation: null }];

test.each([
  { of: 'one file', texts: ['CREATE TABLE later (); SELECT pg_sleep(1.5); SELECT pg_sleep(1.5);'] },
  { of: 'two files', texts: ['CREATE TABLE later (); SELECT pg_sleep(1.5);', 'SELECT pg_sleep(1.5);'] },
])(
  'a migration of $of that takes too long ends the start of its node, and leaves nothing behind',
  async ({ texts }) => {
    const { node, options, connect } = await databases.another();
    const database = node('node-1');
    const { clusterId } = await database.cluster('test');
    const folder = await laterRelease(...texts);
    const start = join1(
      { ...database, migrate: () => migrate(options('node-1'), { folder, withinMs: 2_000 }) },
      { remembered: { clusterId, generation: 1, term: 0, abstaining: false } }, // With which it would vote, were the database away.
    );
    await expect(start).rejects.toThrow(/given up after 2 s .* "A migration that takes long"/);
    expect(await schemaOf(await connect())).toEqual(ofThisRelease);
  },
);

test('a node whose migration is cut off does not start on the old schema, and migrates when it may', async () => {
  const { node, options, connect } = await databases.another();
  const [database, client] = [node('node-1'), await connect()];
  const { clusterId } = await database.cluster('test');
  const folder = await laterRelease('CREATE TABLE later (); SELECT pg_sleep(2);');
  const said: string[] = [];
  const joined = join1(
    { ...database, migrate: () => migrate(options('node-1'), { folder }) },
    {
      remembered: { clusterId, generation: 1, term: 0, abstaining: false },
      report: (detail) => said.push(detail),
    },
  );
  const cut =
    'SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE query LIKE $1 AND datname = current_database()';
  await expect.poll(async () => (await client.query(cut, ['CREATE TABLE later%'])).rowCount).toBe(1);
  await expect.poll(() => said).toEqual([expect.stringMatching(/^the database is busy: .*it was cut off/)]);
  expect(await schemaOf(client)).toEqual(ofThisRelease);
  expect(await joined).toMatchObject({ clusterId, recordedTerm: null });
  expect(await schemaOf(client)).toEqual([{ later: '1', functions: 900, relation: 'later' }]);
}, 30_000);

test('the cluster id is made once by whoever asks first, and another cluster name is refused with both', async () => {
  const { node } = await databases.fresh();
  const [one, two] = [node('node-1'), node('node-2')];
  const ids = await Promise.all([
    one.cluster('shop-prices'),
    two.cluster('shop-prices'),
    one.cluster('shop-prices'),
  ]);
  expect(new Set(ids.map(({ clusterId }) => clusterId)).size).toBe(1);
  await expect(two.cluster('other')).rejects.toThrow(/shop-prices.*other|other.*shop-prices/);
  const elsewhere = (await databases.another()).node('node-1');
  expect((await elsewhere.cluster('shop-prices')).clusterId).not.toBe(ids[0]?.clusterId);
});

test('admission: the first nodes are unknown, and known at their next start', async () => {
  const { node } = await databases.fresh();
  const database = node('node-1');
  const admit = (nodeId: string) => database.admit({ nodeId, generation: 1, members: members(3), term: 0 });
  expect(await Promise.all(['node-1', 'node-2', 'node-3'].map(admit))).toEqual([
    { recordedTerm: null, termAtLeast: 0 },
    { recordedTerm: null, termAtLeast: 0 },
    { recordedTerm: null, termAtLeast: 0 },
  ]);
  expect(await admit('node-2')).toEqual({ recordedTerm: 0, termAtLeast: 0 });
});

test('a first start that ends after its admission has lost nothing, and the next one votes', async () => {
  const { node } = await databases.fresh();
  const dataDir = await mkdtemp(join(tmpdir(), 'baton-test-join-'));
  const start = async () => {
    const { clusterId, recordedTerm, termAtLeast } = await joinCluster({
      database: node('node-1'),
      cluster: 'test',
      nodeId: 'node-1',
      generation: 1,
      members: members(3),
      remembered: readIdentity(dataDir),
      makeFirstVoteFile: (of) => makeFirstVoteFile({ ...of, dataDir }),
      setVoteFileAside: () => undefined,
      report: () => undefined,
      tryEveryMs: 10,
      signal: AbortSignal.timeout(10_000),
    });
    return {
      dataDir,
      nodeId: 'node-1',
      generation: 1,
      clusterId,
      termAtLeast,
      knownToDatabase: recordedTerm !== null,
    };
  };
  try {
    expect(await start()).toMatchObject({ knownToDatabase: false }); // And ends before it opens its vote file.
    const again = await start();
    expect(again).toMatchObject({ knownToDatabase: true });
    const file = openVoteFile(again);
    expect(file.recovered).toEqual({ kind: 'found', persisted: { term: 0, votedFor: null } });
    file.close();
    await rm(join(dataDir, 'vote'));
    const lost = openVoteFile(await start());
    expect(lost.recovered).toEqual({ kind: 'lost', term: 0 });
    lost.close();
  } finally {
    await rm(dataDir, { recursive: true });
  }
});

test('admission: a generation with other voters than it had is refused, naming both sets', async () => {
  const { node } = await databases.fresh();
  const database = node('node-1');
  await database.admit({ nodeId: 'node-1', generation: 1, members: members(3), term: 0 });
  await expect(
    database.admit({ nodeId: 'node-2', generation: 1, members: members(4), term: 0 }),
  ).rejects.toThrow(/node-4/);
});

test('admission: a node more than one generation behind keeps the others from going on, and is named', async () => {
  const { node } = await databases.fresh();
  const database = node('node-1');
  const admit = (nodeId: string, generation: number, count: number) =>
    database.admit({ nodeId, generation, members: members(count), term: generation });
  for (const nodeId of ['node-1', 'node-2', 'node-3']) await admit(nodeId, 1, 3);
  await admit('node-1', 2, 4);
  await expect(admit('node-1', 3, 5)).rejects.toThrow(/node-[23].*1/);
  await admit('node-2', 2, 4);
  await expect(admit('node-1', 3, 5)).rejects.toThrow(/node-3.*1/);
  await admit('node-3', 2, 4);
  // node-4 never ran, so it holds nobody up.
  // It begins with the highest term that anybody recorded.
  expect(await admit('node-1', 3, 5)).toEqual({ recordedTerm: 2, termAtLeast: 2 });
});

test('admission: generations neither jump nor fall nor change two voters, and a refused node leaves no trace', async () => {
  const { node, connect } = await databases.fresh();
  const database = node('node-1');
  const admit = (nodeId: string, generation: number, count: number) =>
    database.admit({ nodeId, generation, members: members(count), term: generation });
  for (const nodeId of ['node-1', 'node-2', 'node-3']) await admit(nodeId, 1, 3);
  await expect(admit('node-1', 3, 4)).rejects.toThrow(/2/);
  await expect(admit('node-1', 2, 5)).rejects.toThrow(/one voter/);
  await admit('node-1', 2, 4);
  await expect(admit('node-1', 1, 3)).rejects.toThrow(/generation/);
  const { rows } = await (await connect()).query('SELECT node_id, generation FROM members ORDER BY node_id');
  expect(rows).toEqual([
    { node_id: 'node-1', generation: 2 },
    { node_id: 'node-2', generation: 1 },
    { node_id: 'node-3', generation: 1 },
  ]);
});

test('admission: of two first nodes with different voters one is admitted', async () => {
  const { node, connect } = await databases.fresh();
  const [one, two] = [node('node-1'), node('node-2')];
  const [blocker, watcher] = [await connect(), await connect()];
  await blocker.query('BEGIN');
  // Keeps the first from recording its voters before the second has begun.
  await blocker.query('LOCK TABLE generations IN ACCESS EXCLUSIVE MODE');
  const asked = Promise.allSettled([
    one.admit({ nodeId: 'node-1', generation: 1, members: members(3), term: 0 }),
    two.admit({ nodeId: 'node-2', generation: 1, members: members(5), term: 0 }),
  ]);
  await waitForBlocked(watcher, 2);
  await blocker.query('COMMIT');
  const answers = await asked;
  expect(answers.map(({ status }) => status).sort()).toEqual(['fulfilled', 'rejected']);
});

/** A start of node-1 with this vote file. */
function join1(
  database: JoinOptions['database'],
  over: Partial<JoinOptions> & Pick<JoinOptions, 'remembered'>,
): ReturnType<typeof joinCluster> {
  return joinCluster({
    database,
    cluster: 'test',
    nodeId: 'node-1',
    generation: 1,
    members: members(3),
    makeFirstVoteFile: () => undefined,
    setVoteFileAside: () => undefined,
    report: () => undefined,
    tryEveryMs: 10,
    signal: AbortSignal.timeout(10_000),
    ...over,
  });
}

test('admission: a node with the vote file of another cluster is refused before it has written anything', async () => {
  const { node, connect } = await databases.fresh();
  await node('node-1').cluster('test');
  const remembered = { clusterId: randomUUID(), generation: 2, term: 9, abstaining: false };
  const start = join1(node('node-1'), { remembered, generation: 2, members: members(4) });
  await expect(start).rejects.toThrow(/belongs to cluster .* wrong data folder or wrong database/);
  const { rows } = await (await connect()).query('SELECT node_id FROM members');
  expect(rows).toEqual([]);
});

test('admission: a database restored from before a change of members is named as such, and helped by forgetting the members', async () => {
  const { node, connect } = await databases.fresh();
  const database = node('node-1');
  const { clusterId } = await database.cluster('test');
  for (const nodeId of ['node-1', 'node-2', 'node-3'])
    await database.admit({ nodeId, generation: 1, members: members(3), term: 4 });
  const remembered = { clusterId, generation: 3, term: 9, abstaining: false };
  const start = (generation: number) =>
    join1(database, { remembered, generation, members: members(generation + 2) });
  for (const generation of [1, 2, 3])
    await expect(start(generation)).rejects.toThrow(
      /vote file of node-1 has seen generation 3 .* the database knows 1 .* Restoring the database/,
    );
  const client = await connect();
  const { rows } = await client.query('SELECT max(generation) AS newest FROM generations');
  expect(rows).toEqual([{ newest: 1 }]);
  await client.query('DELETE FROM members');
  await client.query('DELETE FROM generations');
  expect(await start(3)).toMatchObject({ clusterId, recordedTerm: null });
  expect(await database.admit({ nodeId: 'node-2', generation: 3, members: members(5), term: 9 })).toEqual({
    recordedTerm: null,
    termAtLeast: 9,
  });
});

test('admission: a node that was started without the database is stopped when its vote file proves to be an older one', async () => {
  const { node } = await databases.fresh();
  const database = node('node-1');
  const { clusterId } = await database.cluster('test');
  await database.admit({ nodeId: 'node-1', generation: 1, members: members(3), term: 7 });
  for (const [term, abstaining, said, asidesMade] of [
    [7, false, /^agrees$/, 0],
    [6, true, /^agrees$/, 0],
    [6, false, /older .*term 6.*term 7/, 1],
  ] as const) {
    let asked = 0;
    let asides = 0;
    const awayAtFirst = {
      ...database,
      migrate: async () => {
        asked += 1;
        if (asked === 1) throw new Failure('DATABASE_UNAVAILABLE', 'ordered by the test');
      },
    };
    const joined = await join1(awayAtFirst, {
      remembered: { clusterId, generation: 1, term, abstaining },
      setVoteFileAside: () => void (asides += 1),
    });
    const claim = claimOnceAgreed(joined.agreed, (wanted) => database.store.claim(wanted));
    await expect(claim({ term: 1, holder: 'node-1/boot-1' })).rejects.toMatchObject({
      code: 'DATABASE_UNAVAILABLE',
    });
    expect(await joined.agreed.then(() => 'agrees', String)).toMatch(said);
    expect(asides).toBe(asidesMade);
    const claimed = await claim({ term: 1, holder: 'node-1/boot-1' }).catch((error: unknown) => error);
    expect(claimed).toMatchObject(asidesMade === 0 ? { kind: 'claimed' } : { code: 'DATABASE_UNAVAILABLE' });
  }
});

test('opening fails for no database that is away; its first use says so within the bound, definitely', async () => {
  const database = databases.open(`postgres://baton@127.0.0.1:${await freePort()}/baton`, 'node-1');
  try {
    const away = { code: 'DATABASE_UNAVAILABLE' };
    await expect(database.store.ping()).rejects.toMatchObject(away);
    await expect(database.migrate()).rejects.toMatchObject(away);
    await expect(database.store.claim({ term: 1, holder: 'a' })).rejects.toMatchObject(away);
    await expect(database.store.writeBatch(1, entries(item('a', 1)))).rejects.toMatchObject(away);
  } finally {
    await database.close();
  }
});

test('a server that only reads, as a demoted primary does, answers, and says so', async () => {
  const { node, connect } = await databases.another();
  expect(await node('node-1').store.ping()).toEqual({ readOnly: false });
  const client = await connect();
  const { rows } = await client.query('SELECT current_database() AS name');
  await client.query(`ALTER DATABASE ${rows[0].name} SET default_transaction_read_only = on`);
  expect(await node('node-2').store.ping()).toEqual({ readOnly: true });
});

test('a server that takes connections and never answers is unavailable, and is not waited for without end', async () => {
  const silent = createServer(() => undefined);
  silent.listen(0, '127.0.0.1');
  await once(silent, 'listening');
  const { port } = silent.address() as AddressInfo;
  const database = databases.open(`postgres://baton@127.0.0.1:${port}/baton`, 'node-1');
  try {
    const startedAt = performance.now();
    await expect(database.store.fence()).rejects.toMatchObject({ code: 'DATABASE_UNAVAILABLE' });
    expect(performance.now() - startedAt).toBeLessThan(20_000); // Two seconds, and what a busy machine adds.
  } finally {
    await database.close();
    silent.close();
  }
});

test('connections whose sessions are ended by the server are replaced, and the process lives on', async () => {
  const { store, connect } = await databases.fresh();
  await lead(store);
  const other = await connect();
  await other.query(
    'SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE datname = current_database() AND pid <> pg_backend_pid()',
  );
  await expect
    .poll(() => store.writeBatch(1, entries(item('a', 1))).catch(() => undefined))
    .toEqual([{ kind: expect.stringMatching(/applied|unchanged/) }]);
});

test('a server whose certificate is of another authority is refused', async () => {
  const { url } = await databases.fresh();
  const folder = await mkdtemp(join(tmpdir(), 'baton-test-authority-'));
  const { ca } = await makeCertificates(folder);
  const password = async () => databases.server().password;
  const database = openDatabase({ url, password, ca, applicationName: 'node-1' });
  try {
    await expect(database.store.ping()).rejects.toMatchObject({ code: 'DATABASE_UNAVAILABLE' });
  } finally {
    await database.close();
    await rm(folder, { recursive: true });
  }
});

test('a connection without TLS, or with a wrong password, is turned away by the server', async () => {
  const { port } = new URL(databases.server().url);
  const settings = { host: '127.0.0.1', port: Number(port), user: 'baton', database: 'baton' };
  const attempt = async (extra: object): Promise<unknown> => {
    const client = new Client({ ...settings, ...extra });
    client.on('error', () => undefined);
    return client.connect().catch((error: unknown) => error);
  };
  expect(await attempt({ password: databases.server().password })).toMatchObject({ code: '28000' });
  const tls = { ssl: { ca: databases.server().ca, rejectUnauthorized: true } };
  expect(await attempt({ password: 'wrong', ...tls })).toMatchObject({ code: '28P01' });
  expect(await attempt({ password: databases.server().password, user: 'postgres', ...tls })).toMatchObject({
    code: '28000',
  });
});

function members(count: number): Member[] {
  return Array.from({ length: count }, (_, index) => ({
    id: `node-${index + 1}`,
    udp: `127.0.0.1:${7_000 + index}`,
    internalUrl: `https://127.0.0.1:${8_000 + index}`,
    publicUrl: `http://127.0.0.1:${9_000 + index}`,
    voter: true,
  }));
}
