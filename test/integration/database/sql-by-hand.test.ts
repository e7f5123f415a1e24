// nodes/sql.ts as a process, in the place of node-1: what is typed by hand where only nodes reach the database.
import { execFile } from 'node:child_process';
import { mkdtemp, readFile, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { afterAll, beforeAll, beforeEach, expect, test } from 'vitest';
import { nodeEnvironment } from '../../support/node-environment.ts';
import { membersAt } from '../../support/raft-threads.ts';
import { entries, item, lead, useDatabases, type FreshDatabase } from './fresh-database.ts';

const databases = useDatabases();
const root = fileURLToPath(new URL('../../..', import.meta.url));
const restored = ['--file', 'nodes/database/restored.sql'];
let folder: string;
let database: FreshDatabase;
let env: Record<string, string>;

beforeAll(async () => {
  folder = await mkdtemp(join(tmpdir(), 'baton-test-sql-'));
});
afterAll(() => rm(folder, { recursive: true }));
beforeEach(async () => {
  database = await databases.another();
  const members = membersAt([7001, 7002, 7003]);
  env = await nodeEnvironment(folder, {
    url: database.url,
    server: databases.server(),
    members,
    generation: 1,
  });
});

const sql = (...args: string[]): Promise<{ code: number; rows: unknown[]; said: string }> =>
  new Promise((resolve) => {
    const program = execFile(
      process.execPath,
      ['nodes/sql.ts', ...args],
      { cwd: root, env },
      (error, out, said) =>
        resolve({
          code: typeof error?.code === 'number' ? error.code : 0,
          rows: out
            .split('\n')
            .filter(Boolean)
            .map((line) => JSON.parse(line) as unknown),
          said,
        }),
    );
    program.stdin?.end();
  });

test('statements run one after another, each by itself, and their rows are printed', async () => {
  const made = 'CREATE INDEX CONCURRENTLY IF NOT EXISTS by_hand ON items (title)';
  expect(await sql('--yes', made, "SELECT to_regclass('by_hand')::text AS name")).toEqual({
    code: 0,
    rows: [{ name: 'by_hand' }],
    said: expect.stringMatching(/^CREATE INDEX CONCURRENTLY .*\nSELECT .*\nCREATE\nSELECT 1\n$/),
  });
  const stopped = await sql('--yes', 'SELECT 1 / 0', 'CREATE TABLE later ()');
  expect(stopped).toMatchObject({ code: 1, said: expect.stringMatching(/division by zero/) as unknown });
  expect(await sql('--yes', "SELECT to_regclass('later') AS later")).toMatchObject({
    rows: [{ later: null }],
  });
});

test('without a yes nothing is done, and without a statement it says how it is called', async () => {
  expect(await sql('CREATE TABLE later ()')).toMatchObject({
    code: 4,
    said: expect.stringMatching(/^CREATE TABLE later/) as unknown,
  });
  expect(await sql('--yes', "SELECT to_regclass('later') AS later")).toMatchObject({
    rows: [{ later: null }],
  });
  for (const wrong of [['--yes'], ['--now', 'SELECT 1'], ['--file', 'nowhere.sql']])
    expect(await sql(...wrong)).toMatchObject({ code: 2, rows: [] });
  expect((await sql()).said).toMatch(/^nothing to run: node nodes\/sql.ts/);
});

test('a restored database: its feed has another id and nodes are admitted anew, as often as it is done', async () => {
  const node = databases.open(database.url, 'node-1');
  await lead(node.store);
  expect(await node.store.writeBatch(1, entries(item('a', 1)))).toEqual([{ kind: 'applied' }]);
  // As the backup knows them, and with vote files that are newer.
  for (const nodeId of ['node-1', 'node-2', 'node-3'])
    await node.admit({ nodeId, generation: 1, members: membersAt([7001, 7002, 7003]), term: 4 });
  const client = await databases.server().connect(database.url);
  const feed = async () => (await client.query('SELECT feed FROM feed_head')).rows;
  const before = await feed();

  const refused = await sql('--yes', ...restored);
  expect(refused.code).toBe(1);
  expect(refused.said).toMatch(/connected to this database: .*node-1.* Stop all nodes/);
  expect(await feed()).toEqual(before);

  await Promise.all([node.close(), client.end()]);
  const first = await sql('--yes', ...restored);
  expect(first).toMatchObject({ code: 0, rows: [] });
  expect(first.said).toMatch(/the feed has another id, intakes go on beyond those of the backup, and the 3 nodes/);
  expect((await sql('--yes', ...restored)).said).toMatch(/the 0 nodes/);

  const { rows } = await sql(
    '--yes',
    'SELECT feed FROM feed_head',
    'SELECT term FROM fence',
    'SELECT sku FROM items',
  );
  expect(rows).toEqual([{ feed: expect.any(String) as unknown }, { term: 1 }, { sku: 'a' }]);
  expect(rows[0]).not.toEqual(before[0]);
  const again = database.node('node-1');
  const five = membersAt([7001, 7002, 7003, 7004, 7005]);
  expect(await again.admit({ nodeId: 'node-1', generation: 3, members: five, term: 9 })).toMatchObject({
    recordedTerm: null,
  });
});

test('docs/runbook.md and docs/aws.md name the file that is in the image', async () => {
  for (const page of ['runbook', 'aws'])
    expect(await readFile(join(root, 'docs', `${page}.md`), 'utf8')).toContain('nodes/database/restored.sql');
});
