// Brings schema and functions to this release, one node at a time and in one transaction: all of it or nothing. Never waits
// long for the locks of others, since their writes would wait behind it, and never takes a database for one that is away
// once it has seen that this one is of an older release.
import { readdir, readFile } from 'node:fs/promises';
import { join, parse } from 'node:path';
import { fileURLToPath } from 'node:url';
import { Client, type ClientConfig } from 'pg';
import { Failure } from '../../runtime/failure.ts';
import { areInForce, putFunctions, readFunctions, type OwnFunctions } from './functions.ts';
import { connectionConfig, failureOf, type ConnectionOptions } from './pool.ts';

const migrationsFolder = fileURLToPath(new URL('migrations', import.meta.url));
const what = 'migrating the schema';
const lookWithinMs = 2_000;
/** Below the time for which ECS lets a task start. What takes longer is done by hand before: docs/runbook.md. */
export const migrateWithinMs = 240_000;
const lockWithinMs = 3_000;

const transactionTimeout = '25P04';
/** lock_timeout, and statement_timeout: within a transaction the bound of that comes first, so it waited for the lock of all. */
const waitedForLocks = new Set(['55P03', '57014']);

/**
 * @throws Failure DATABASE_UNAVAILABLE or DATABASE_TIMEOUT when the database does not say which release it is of; BUSY when it is of
 * an older one, and this can be tried again: others hold the locks that a migration needs, or it was cut off. Error when
 * the database is of a version that no release takes over, or when a migration fails or takes too long.
 */
export async function migrate(
  options: ConnectionOptions,
  { folder = migrationsFolder, withinMs = migrateWithinMs } = {},
): Promise<void> {
  const own = await readRelease(folder);
  const { foreign, isCurrent } = await withClient(connectionConfig(options, lookWithinMs), (client) =>
    look(client, own),
  );
  if (foreign !== undefined)
    throw new Error(
      `the database was made by a version from before release 0.1 (migration ${foreign}), which no release takes over: use an empty database; locally, start with another --data folder, or delete this one`,
    );
  if (isCurrent) return;
  try {
    await withClient(connectionConfig(options, withinMs), (client) => run(client, own, withinMs));
  } catch (cause) {
    const { code } = cause as { code?: string };
    if (code === transactionTimeout)
      throw new Error(
        `${what} was given up after ${withinMs / 1_000} s and left nothing behind: do what takes long by hand first (docs/runbook.md, "A migration that takes long")`,
        { cause },
      );
    const failure = failureOf(what, cause);
    if (!(failure instanceof Failure)) throw failure;
    const reason = waitedForLocks.has(code ?? '') ? 'others hold locks that it needs' : 'it was cut off';
    throw new Failure('BUSY', `${what}: ${reason}`, { cause });
  }
}

interface Release {
  readonly migrations: readonly { readonly name: string; readonly sql: string }[];
  readonly functions: OwnFunctions;
}
async function readRelease(folder: string): Promise<Release> {
  const migrations = await Promise.all(
    (await readdir(folder))
      .toSorted()
      .map(async (file) => ({ name: parse(file).name, sql: await readFile(join(folder, file), 'utf8') })),
  );
  return { migrations, functions: await readFunctions(migrations.map(({ name }) => name)) };
}

async function withClient<T>(config: ClientConfig, use: (client: Client) => Promise<T>): Promise<T> {
  const client = new Client(config);
  client.on('error', () => undefined); // The pending query rejects with the same error.
  try {
    await client.connect();
  } catch (cause) {
    client.end().catch(() => undefined); // It never began.
    throw new Failure('DATABASE_UNAVAILABLE', `${what}: no connection to the database`, { cause });
  }
  try {
    return await use(client);
  } finally {
    await client.end().catch(() => undefined); // It is of no use any more.
  }
}

/** One node at a time; the others wait for it, which holds up nobody, and then find nothing to do. */
async function run(client: Client, { migrations, functions }: Release, withinMs: number): Promise<void> {
  await client.query("SELECT pg_advisory_lock(hashtext('baton migrations'))");
  await client.query(`SET lock_timeout = ${lockWithinMs}; SET transaction_timeout = ${withinMs}`);
  await client.query('BEGIN');
  await client.query(
    'CREATE TABLE IF NOT EXISTS migrations (id serial PRIMARY KEY, name text NOT NULL, run_on timestamp NOT NULL)',
  );
  for (const { name, sql } of migrations.slice((await migrationsThatRan(client)).length)) {
    await client.query(sql);
    await client.query('INSERT INTO migrations (name, run_on) VALUES ($1, clock_timestamp())', [name]);
  }
  if (!(await areInForce(client, functions))) await putFunctions(client, functions);
  await client.query('COMMIT');
}

/**
 * `foreign`: a migration that ran where this release has another one. Those after the last of this release are a newer one's:
 * nodes of two neighbouring releases run side by side.
 */
async function look(
  client: Client,
  { migrations, functions }: Release,
): Promise<{ foreign: string | undefined; isCurrent: boolean }> {
  try {
    const ran = await migrationsThatRan(client);
    const foreign = ran.find((name, place) => place < migrations.length && name !== migrations[place]?.name);
    const isMigrated = foreign === undefined && ran.length >= migrations.length;
    return { foreign, isCurrent: isMigrated && (await areInForce(client, functions)) };
  } catch (cause) {
    throw failureOf(what, cause);
  }
}

async function migrationsThatRan(client: Client): Promise<string[]> {
  const { rows: tables } = await client.query<{ known: boolean }>(
    "SELECT to_regclass('migrations') IS NOT NULL AS known",
  );
  if (tables[0]?.known !== true) return [];
  const { rows } = await client.query<{ name: string }>('SELECT name FROM migrations ORDER BY id');
  return rows.map(({ name }) => name);
}
