// A migrated and empty database for each test, in a PostgreSQL of the file's own. Emptied, not made anew: copying the
// three hundred files of a database for each test would be most of what the tests do.
import { setTimeout as sleep } from 'node:timers/promises';
import { afterAll, beforeAll } from 'vitest';
import type { Client } from 'pg';
import type { Item } from '../../../contracts/item.ts';
import type { BatchRequest } from '../../../contracts/node-api.ts';
import type { Source } from '../../../contracts/source.ts';
import { openDatabase, type Database } from '../../../nodes/database/database.ts';
import { openPool, type ConnectionOptions, type Queries } from '../../../nodes/database/pool.ts';
import { createRetention } from '../../../nodes/retention.ts';
import type { Store } from '../../../nodes/store.ts';
import { startTestPostgres, type TestPostgres } from '../../support/postgres.ts';

export interface FreshDatabase {
  readonly url: string;
  readonly store: Store;
  /** Another node on the same database, with connections of its own. */
  readonly node: (name: string) => Database;
  /** How a node connects. */
  readonly options: (name: string) => ConnectionOptions;
  /** What the store asks through, for a test that has to come between two of its statements. */
  readonly pool: () => Queries;
  /** A bare connection, for what a test does or looks at beside the code under test. */
  readonly connect: () => Promise<Client>;
}

// The rows that the migration makes are made again; crawls go with their sources.
const empty = `DO $$ DECLARE name text; BEGIN
  FOR name IN SELECT tablename FROM pg_tables WHERE schemaname = 'public' AND tablename NOT IN ('migrations', 'functions_in_force')
  LOOP EXECUTE format('DELETE FROM %I', name); END LOOP;
  INSERT INTO fence VALUES (1, 0, NULL);
  INSERT INTO feed_head (id) VALUES (1);
  INSERT INTO totals (id) VALUES (1);
  INSERT INTO mail_cursor VALUES (1, 0);
END $$`;

export function useDatabases() {
  let server: TestPostgres;
  let url: string;
  const opened: { close(): Promise<void> }[] = [];
  const closeAll = async (): Promise<void> => {
    await Promise.all(opened.splice(0).map((one) => one.close()));
  };
  const optionsOf = (at: string, applicationName: string): ConnectionOptions => ({
    url: at,
    password: async () => server.password,
    ca: server.ca,
    applicationName,
  });
  const open = (at: string, applicationName: string): Database =>
    openDatabase(optionsOf(at, applicationName));
  const migrate = async (): Promise<string> => {
    const made = await server.createDatabase();
    const database = open(made, 'migrating');
    await database.migrate();
    await database.close();
    return made;
  };
  const use = (at: string): FreshDatabase => {
    const node = (name: string): Database => {
      const database = open(at, name);
      opened.push(database);
      return database;
    };
    return {
      url: at,
      store: node('node-1').store,
      node,
      options: (name) => optionsOf(at, name),
      pool() {
        const pool = openPool(optionsOf(at, 'node-1'));
        opened.push(pool);
        return pool;
      },
      async connect() {
        const client = await server.connect(at);
        opened.push({ close: () => client.end() });
        return client;
      },
    };
  };
  beforeAll(async () => {
    server = await startTestPostgres();
    url = await migrate();
  });
  afterAll(async () => {
    await closeAll();
    await server.close();
  });
  return {
    server: () => server,
    open,
    /** The file's database, emptied; what earlier tests opened on it is closed. */
    async fresh(): Promise<FreshDatabase> {
      await closeAll();
      const client = await server.connect(url);
      await client.query(empty);
      await client.end();
      return use(url);
    },
    /** A second one beside it. */
    another: async (): Promise<FreshDatabase> => use(await migrate()),
  };
}

export const traceparent = `00-${'a'.repeat(32)}-${'b'.repeat(16)}-01`;
export const holder = 'node-1/boot-1';

export const shop = (name: string, settings: Partial<Extract<Source, { kind: 'shop' }>> = {}): Source => ({
  kind: 'shop',
  name,
  startUrls: ['https://shop.example/'],
  everySeconds: 3_600,
  currency: null,
  requestEveryMs: 0,
  pagesMax: 10,
  enabled: true,
  ...settings,
});
export const partner = (
  name: string,
  settings: Partial<Extract<Source, { kind: 'partner' }>> = {},
): Source => ({
  kind: 'partner',
  name,
  currency: null,
  snapshot: false,
  badRowsShareMax: 0.5,
  enabled: true,
  ...settings,
});

export function item(sku: string, version: number, content: Partial<Item> = {}): Item {
  return {
    source: 'shop',
    sku,
    version,
    title: `Item ${sku}`,
    url: null,
    imageUrl: null,
    price: 10,
    currency: 'EUR',
    inStock: true,
    stock: null,
    vanished: false,
    ...content,
  };
}
export const entries = (...items: Item[]): (BatchRequest['items'][number] & { item: Item })[] =>
  items.map((one) => ({ messageId: `${one.sku}/${one.version}`, traceparent, item: one }));

/** Leads term 1 with the source `shop`. */
export async function lead(store: Store, term = 1): Promise<void> {
  const claim = await store.claim({ term, holder });
  if (claim.kind !== 'claimed') throw new Error(`term ${term} was refused: ${claim.databaseTerm}`);
  await store.putSource(term, shop('shop'));
}

/** As if the leader had handed out so many intakes of each source. */
export async function handOut({ connect }: Pick<FreshDatabase, 'connect'>, intakes: number): Promise<void> {
  const client = await connect();
  await client.query('UPDATE sources SET last_intake = $1', [intakes]);
}

/** A whole round of retention in term 1, as the leader's job goes through it. @returns its steps. */
export async function retain(store: Store): Promise<number> {
  const step = createRetention(store);
  let steps = 1;
  while (await step(1)) steps += 1;
  return steps;
}

const blockedWithinMs = 20_000;
/** Until that many sessions of the database wait for a lock. `watcher` must not be in a transaction: it would see the same for ever. */
export async function waitForBlocked(watcher: Client, sessions: number): Promise<void> {
  const end = performance.now() + blockedWithinMs;
  for (;;) {
    const { rows } = await watcher.query<{ blocked: string }>(
      `SELECT count(*) AS blocked FROM pg_stat_activity WHERE datname = current_database() AND wait_event_type = 'Lock'`,
    );
    const blocked = Number(rows[0]?.blocked);
    if (blocked >= sessions) return;
    if (performance.now() > end)
      throw new Error(`${blocked} sessions wait for a lock after ${blockedWithinMs} ms, not ${sessions}`);
    await sleep(5);
  }
}
