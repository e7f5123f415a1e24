// Connections to PostgreSQL: verified TLS, a bound on every wait, and every error with a code of contracts/failures.ts.
// A statement is one round trip; no transaction that holds the fence ever waits for a client, since one may be frozen.
import { Pool, types, type PoolClient } from 'pg';
import type { FailureCode } from '../../contracts/failures.ts';
import { describeError, Failure } from '../../runtime/failure.ts';

export interface ConnectionOptions {
  /** postgres://user@host:port/database */
  readonly url: string;
  readonly password: () => Promise<string>;
  /** PEM of the authority that signed the server's certificate. */
  readonly ca: string;
  /** The node's id: shown in pg_stat_activity. */
  readonly applicationName: string;
}
/** Kept by the server under its name: parsed once a connection, and planned once. For what runs many times a second. */
export interface PreparedStatement {
  readonly name: string;
  readonly text: string;
}
export interface Query {
  /**
   * @throws Failure DATABASE_UNAVAILABLE when nothing was sent, DATABASE_TIMEOUT when it may have been done, or the code of
   *   an SQLSTATE of ours (STALE_TERM with `details.databaseTerm`, LEASE_HELD, LEASE_LOST, NOT_FOUND).
   */
  <R extends object>(
    what: string,
    statement: string | PreparedStatement,
    values?: readonly unknown[],
    /** Gives up sooner than the connection's own bound. */
    withinMs?: number,
  ): Promise<R[]>;
}
export interface Queries {
  /** For what writes, and for what a write is to know. */
  readonly query: Query;
  /**
   * For what people look at, over connections of its own: readers wait for each other, and no write waits for them.
   * @throws Failure BUSY when it takes longer than readers may, or waits as long behind others.
   */
  readonly read: Query;
  /** The same for what is looked at all the time and takes no time: the feed, the fence, the counts. No other reader holds it up. */
  readonly follow: Query;
  /**
   * Over connections that no write ever takes, so that a claim and a look at the database's health do not queue behind
   * them. One connection for all that `use` asks.
   */
  urgently<T>(what: string, use: (query: Query) => Promise<T>): Promise<T>;
  close(): Promise<void>;
}

// They are opened when they are needed. Each node reads, looks and migrates, over eight at most; only who leads, and for
// half a minute who led before, has eight to write: seven nodes, with one of each follower that rehearses, need 77 of a
// server's usual hundred.
const connectionsMax = 8; // As many as there are batches in flight.
const readConnectionsMax = 3; // A search through a million items takes a processor of the server for a second.
const followConnectionsMax = 1; // The feed is asked for all readers at once, and each answer is a row or a short page.
const urgentConnectionsMax = 3; // A claim, the one that helps it, and a look at the health.
const connectWithinMs = 2_000;
const statementWithinMs = 10_000;
const readWithinMs = 3_000;
const urgentWithinMs = 5_000;
const readAgainAfterMs = 2_000;
/** A server that is frozen does not keep its own timeout. */
const answerSlackMs = 1_000;
const idleMs = 30_000;

const bigintOid = 20; // Versions, terms and feed ids are at most 2^53-1.
const numericOid = 1700; // numeric(16,4) is exact in a double.
const typeParsers = {
  getTypeParser: (oid: Parameters<typeof types.getTypeParser>[0], format?: 'text' | 'binary') =>
    (oid as number) === bigintOid || (oid as number) === numericOid
      ? Number
      : types.getTypeParser(oid, format),
};

/** What pg is told of every connection. */
export function connectionConfig(
  { url, password, ca, applicationName }: ConnectionOptions,
  withinMs: number,
) {
  const { hostname, port, username, pathname } = new URL(url);
  return {
    // Taken apart here: pg would let a connection string's missing password win over the one given beside it.
    host: hostname,
    port: Number(port || 5_432),
    user: decodeURIComponent(username),
    database: decodeURIComponent(pathname.slice(1)),
    password,
    ssl: { ca, rejectUnauthorized: true, minVersion: 'TLSv1.2' as const },
    application_name: applicationName,
    connectionTimeoutMillis: connectWithinMs,
    keepAlive: true,
    types: typeParsers,
    statement_timeout: withinMs,
    lock_timeout: withinMs,
    query_timeout: withinMs + answerSlackMs,
    idle_in_transaction_session_timeout: 2_000,
    // A write looks at the fence again after it waited: only under this level, and a role may have another default.
    options: '-c default_transaction_isolation=read\\ committed',
  };
}

export function openPool(options: ConnectionOptions): Queries {
  const open = (max: number, withinMs: number): Pool => {
    const pool = new Pool({ ...connectionConfig(options, withinMs), max, idleTimeoutMillis: idleMs });
    // An idle connection that ends (a stopping server, 57P01) says so here, and nobody has to do anything about it.
    pool.on('error', () => undefined);
    return pool;
  };
  const writers = open(connectionsMax, statementWithinMs);
  const readers = open(readConnectionsMax, readWithinMs);
  const followers = open(followConnectionsMax, readWithinMs);
  const urgent = open(urgentConnectionsMax, urgentWithinMs);
  return {
    query: (what, statement, values) =>
      onConnection(writers, what, (query) => query(what, statement, values)),
    read: reader(readers),
    follow: reader(followers),
    urgently: (what, use) => onConnection(urgent, what, use),
    async close() {
      await Promise.all([writers, readers, followers, urgent].map((pool) => pool.end()));
    },
  };
}

/** A read that was given up did nothing: the reader is told to come again, not that something may have been written. */
function reader(pool: Pool): Query {
  let underWay = 0;
  return async (what, statement, values) => {
    try {
      return await onConnection(pool, what, async (query) => {
        underWay += 1;
        return await query<never>(what, statement, values).finally(() => (underWay -= 1));
      });
    } catch (error) {
      const { code, cause } = error as { code?: unknown; cause?: { code?: unknown } };
      const tookLong = tookTooLong.has(String(cause?.code));
      // Where no connection is had at all, none is under way.
      const waitedLong = code === 'DATABASE_UNAVAILABLE' && underWay > 0;
      if (!tookLong && !waitedLong) throw error;
      throw new Failure(
        'BUSY',
        `${what}: ${tookLong ? `it took more than ${readWithinMs} ms` : 'too many others read'}`,
        { cause: error, details: { retryAfterMs: readAgainAfterMs } },
      );
    }
  };
}
const tookTooLong = new Set(['57014', '55P03']); // statement_timeout and lock_timeout

async function onConnection<T>(pool: Pool, what: string, use: (query: Query) => Promise<T>): Promise<T> {
  const client = await pool.connect().catch((cause: unknown) => {
    throw new Failure('DATABASE_UNAVAILABLE', `${what}: no connection to the database`, { cause });
  });
  let broken: Error | undefined;
  const onError = (error: Error): void => void (broken = error);
  client.on('error', onError);
  try {
    return await use((inner, statement, values, withinMs) => ask(client, inner, statement, values, withinMs));
  } catch (error) {
    // It may still wait for the answer that was given up, or be in the middle of a transaction: nobody uses it again.
    if (!(error instanceof Failure) || error.code === 'DATABASE_TIMEOUT') broken ??= error as Error;
    throw error;
  } finally {
    client.off('error', onError);
    client.release(broken);
  }
}

async function ask<R extends object>(
  client: PoolClient,
  what: string,
  statement: string | PreparedStatement,
  values: readonly unknown[] = [],
  withinMs?: number,
): Promise<R[]> {
  try {
    const within = withinMs === undefined ? {} : { query_timeout: withinMs };
    const asked = typeof statement === 'string' ? { text: statement } : statement;
    // What a statement answers is believed, as all of the schema is: its types are written beside it.
    return (await client.query({ ...asked, values: [...values], ...within })).rows as R[];
  } catch (cause) {
    throw failureOf(what, cause);
  }
}

const ownStates: Readonly<Record<string, FailureCode>> = {
  BT001: 'STALE_TERM',
  BT002: 'LEASE_HELD',
  BT003: 'LEASE_LOST',
  BT004: 'NOT_FOUND',
};

/** A NUL, in a text and in jsonb. */
const unstorableText = new Set(['22021', '22P05']);

/** The server has read it and takes it at no time, in whatever company: class 22, data that is none, and 54, beyond its limits. */
export function isRefusedAsData(error: unknown): boolean {
  const { code } = ((error as Error).cause ?? {}) as { code?: unknown };
  return typeof code === 'string' && /^(?:22|54)/.test(code);
}

/** The Failure that says what an error of pg means for the caller; a mistake of ours stays what it is. */
export function failureOf(what: string, cause: unknown): unknown {
  const { code, detail } = cause as { code?: string; detail?: string };
  const own = code === undefined ? undefined : ownStates[code];
  if (own)
    return new Failure(own, `${what}: ${describeError(cause)}`, {
      details: own === 'STALE_TERM' ? { databaseTerm: Number(detail) } : {},
    });
  if (code !== undefined && unstorableText.has(code))
    return new Failure('REQUEST_MALFORMED', `${what}: a character of it cannot be stored`, { cause });
  // Class 22, 23, 42, 54: data and statements that the server has read and refused.
  if (code !== undefined && /^(?:22|23|42|54|P0|BT)/.test(code)) return new Error(what, { cause });
  // Class 57P03: it starts up or shuts down, and has read nothing.
  if (code === '57P03' || code === '53300') return new Failure('DATABASE_UNAVAILABLE', what, { cause });
  return new Failure('DATABASE_TIMEOUT', what, { cause });
}
