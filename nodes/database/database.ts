// The node's database: everything of Store over one pool of connections, and what a node needs before it may vote.
// Opening connects to nothing, so a node starts while the database is away.
import { readdir } from 'node:fs/promises';
import { parse } from 'node:path';
import { fileURLToPath } from 'node:url';
import { runner } from 'node-pg-migrate';
import { Client } from 'pg';
import type { ClusterDatabase } from '../identity/join-cluster.ts';
import type { Store } from '../store.ts';
import { admit, readRecorded, type Recorded } from './admission.ts';
import { crawlQueries } from './crawls.ts';
import { deadLetterQueries } from './dead-letters.ts';
import { fenceQueries } from './fence.ts';
import { fileQueries } from './files.ts';
import { itemQueries } from './items.ts';
import { listQueries } from './lists.ts';
import { mailQueries } from './mails.ts';
import { connectionConfig, failureOf, openPool, type ConnectionOptions } from './pool.ts';
import { traceQueries } from './traces.ts';
import { Failure } from '../../runtime/failure.ts';

export interface Database extends ClusterDatabase {
  readonly store: Store;
  /** Changes nothing. */
  recorded(): Promise<Recorded>;
  close(): Promise<void>;
}

const migrationsFolder = fileURLToPath(new URL('migrations', import.meta.url));
const migrateWithinMs = 60_000;

export function openDatabase(options: ConnectionOptions): Database {
  const queries = openPool(options);
  return {
    store: {
      ...fenceQueries(queries),
      ...itemQueries(queries),
      ...crawlQueries(queries),
      ...fileQueries(queries),
      ...mailQueries(queries),
      ...listQueries(queries),
      ...deadLetterQueries(queries),
      ...traceQueries(queries),
    },
    migrate: () => migrate(options),
    async cluster(name) {
      // Made by whoever asks first; another who asks at the same time waits here for that.
      await queries.query(
        'making the cluster',
        'INSERT INTO cluster (id, name) VALUES (1, $1) ON CONFLICT (id) DO NOTHING',
        [name],
      );
      const [row] = await queries.query<{ name: string; cluster_id: string }>(
        'reading the cluster',
        'SELECT name, cluster_id FROM cluster WHERE id = 1',
        [],
      );
      if (!row) throw new Failure('INTERNAL', 'the row of the cluster is gone: who deleted it?');
      if (row.name !== name)
        throw new Error(
          `the database belongs to cluster ${row.name}, this node is configured for ${name}: wrong database or wrong BATON_CLUSTER`,
        );
      return { clusterId: row.cluster_id };
    },
    admit: (node) => admit(queries, node),
    recorded() {
      const what = 'reading the recorded terms';
      return queries.urgently(what, (query) => readRecorded(query, what));
    },
    close: () => queries.close(),
  };
}

/** One runner at a time, under an advisory lock; the others wait for it. */
async function migrate(options: ConnectionOptions): Promise<void> {
  const what = 'migrating the schema';
  const client = new Client(connectionConfig(options, migrateWithinMs));
  client.on('error', () => undefined); // The pending query rejects with the same error.
  try {
    await client.connect();
  } catch (cause) {
    client.end().catch(() => undefined); // It never began.
    throw new Failure('DATABASE_UNAVAILABLE', `${what}: no connection to the database`, { cause });
  }
  const fail = (cause: unknown): never => {
    throw failureOf(what, cause);
  };
  try {
    const foreign = await foreignMigration(client).catch(fail);
    if (foreign !== undefined)
      throw new Error(
        `the database was made by a version from before release 0.1 (migration ${foreign}), which no release takes over: use an empty database; locally, start with another --data folder, or delete this one`,
      );
    await runner({
      dbClient: client,
      dir: migrationsFolder,
      direction: 'up',
      migrationsTable: 'migrations',
      advisoryLockMode: 'wait',
      log: () => undefined,
    }).catch(fail);
  } finally {
    await client.end().catch(() => undefined); // It is of no use any more.
  }
}

/**
 * A migration that ran where this release has another one. Those after the last of this release are a newer one's: nodes of
 * two neighbouring releases run side by side.
 */
async function foreignMigration(client: Client): Promise<string | undefined> {
  const { rows: tables } = await client.query<{ known: boolean }>(
    "SELECT to_regclass('migrations') IS NOT NULL AS known",
  );
  if (tables[0]?.known !== true) return undefined;
  const { rows } = await client.query<{ name: string }>('SELECT name FROM migrations ORDER BY run_on, id');
  const own = (await readdir(migrationsFolder)).toSorted().map((file) => parse(file).name);
  return rows.find(({ name }, place) => place < own.length && name !== own[place])?.name;
}
