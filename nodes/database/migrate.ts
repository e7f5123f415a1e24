// Brings schema and functions to this release, one node at a time. Never waits long for the locks of others, since their writes
// would wait behind it, and never takes a database that is busy with it for one that is away.
import { readdir } from 'node:fs/promises';
import { parse } from 'node:path';
import { fileURLToPath } from 'node:url';
import { runner } from 'node-pg-migrate';
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

const lockNotAvailable = '55P03';
const queryCanceled = '57014';

/**
 * @throws Failure DATABASE_UNAVAILABLE or DATABASE_TIMEOUT when the database gives no answer, BUSY when others hold the locks
 * that a migration needs, and it can be tried again; Error when the database is of a version that no release takes over, or
 * when a migration fails or takes too long.
 */
export async function migrate(options: ConnectionOptions): Promise<void> {
  const own = await readRelease();
  const { foreign, isCurrent } = await withClient(connectionConfig(options, lookWithinMs), (client) =>
    look(client, own),
  );
  if (foreign !== undefined)
    throw new Error(
      `the database was made by a version from before release 0.1 (migration ${foreign}), which no release takes over: use an empty database; locally, start with another --data folder, or delete this one`,
    );
  if (isCurrent) return;
  await withClient(connectionConfig(options, migrateWithinMs), (client) => run(client, own));
}

interface Release {
  readonly migrations: readonly string[];
  readonly functions: OwnFunctions;
}
async function readRelease(): Promise<Release> {
  const migrations = (await readdir(migrationsFolder)).toSorted().map((file) => parse(file).name);
  return { migrations, functions: await readFunctions(migrations) };
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
async function run(client: Client, own: Release): Promise<void> {
  try {
    await client.query("SELECT pg_advisory_lock(hashtext('baton migrations'))");
    await client.query(`SET lock_timeout = ${lockWithinMs}`);
    if ((await migrationsThatRan(client)).length < own.migrations.length)
      await runner({
        dbClient: client,
        dir: migrationsFolder,
        direction: 'up',
        migrationsTable: 'migrations',
        noLock: true,
        log: () => undefined,
      });
    // In a transaction of its own: should the node end in between, the old functions run on the new schema, as they do in
    // the nodes of the release before.
    if (!(await areInForce(client, own.functions))) await putFunctions(client, own.functions);
  } catch (cause) {
    switch ((cause as { code?: string }).code) {
      case lockNotAvailable:
        throw new Failure('BUSY', `${what}: others hold locks that it needs`, { cause });
      case queryCanceled:
        throw new Error(
          `${what} was given up after ${migrateWithinMs / 1_000} s and left nothing behind: do what takes long by hand first (docs/runbook.md, "A migration that takes long")`,
          { cause },
        );
      default:
        throw failureOf(what, cause);
    }
  }
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
    const foreign = ran.find((name, place) => place < migrations.length && name !== migrations[place]);
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
  const { rows } = await client.query<{ name: string }>('SELECT name FROM migrations ORDER BY run_on, id');
  return rows.map(({ name }) => name);
}
