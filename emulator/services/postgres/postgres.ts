// PostgreSQL of a laptop as a supervised service: the binaries of the npm package, TLS 1.3 only, one role, loopback.
// The supervisor owns the process: a postmaster whose launcher was killed lives on, so it is found by pid and folder.
// Never runs as root and never listens on a Unix socket.
import { mkdir, readFile } from 'node:fs/promises';
import { dirname } from 'node:path';
import { Client } from 'pg';
import { pause } from '../../../runtime/waiting.ts';
import type { Service, ServiceCommand } from '../service.ts';
import { findBinaries, linkLibraries, type PostgresBinaries } from './binaries.ts';
import { databaseName, dataFolder, prepareDataFolder, roleName, serverFiles } from './data-folder.ts';
import { asUser, databaseUser, type RunAs } from './system-user.ts';

export interface PostgresOptions {
  /** Its own: holds the data, its copy of the certificate and pg_hba.conf. */
  readonly folder: string;
  readonly port: number;
  readonly certFile: string;
  readonly keyFile: string;
  /** The authority that signed the certificate: the readiness check verifies it as every client does. */
  readonly caFile: string;
  /** The password of the role `baton`. */
  readonly password: string;
  /** Those of the npm package when left out. */
  readonly binaries?: PostgresBinaries;
  /** Settings in addition to ours; tests turn fsync off. */
  readonly settings?: Readonly<Record<string, string>>;
}

/** postgres://baton@127.0.0.1:port/baton, without the password. */
export function postgresUrl({ port }: { port: number }): string {
  return `postgres://${roleName}@127.0.0.1:${port}/${databaseName}`;
}

/** @throws Error when PostgreSQL is not installed. */
export function postgresService(options: PostgresOptions): Service {
  const binaries = options.binaries ?? findBinaries();
  const { folder, port } = options;
  const files = serverFiles(folder);
  const settings: Record<string, string> = {
    listen_addresses: '127.0.0.1',
    port: String(port),
    unix_socket_directories: '',
    hba_file: files.hba,
    ssl: 'on',
    ssl_cert_file: files.cert,
    ssl_key_file: files.key,
    ssl_min_protocol_version: 'TLSv1.3',
    password_encryption: 'scram-sha-256',
    max_connections: '100', // Seven nodes, as nodes/database/pool.ts counts them, and room for a look from outside.
    shared_buffers: '64MB',
    work_mem: '8MB',
    max_wal_size: '512MB',
    huge_pages: 'off',
    io_method: 'sync', // Saves the three I/O processes, which a laptop's load does not need.
    timezone: 'UTC',
    log_timezone: 'UTC',
    log_line_prefix: '%m [%p] %a ',
    log_lock_waits: 'on',
    fsync: 'on',
    ...options.settings,
  };
  let runAs: RunAs = (file, args) => ({ file, args });

  return {
    name: 'database',
    kind: 'database',
    address: `127.0.0.1:${port}`,
    about: `PostgreSQL ${binaries.version}`,
    async prepare(signal) {
      const user = await databaseUser();
      await linkLibraries(binaries);
      await mkdir(folder, { recursive: true, mode: 0o700 });
      runAs = await asUser(user, [binaries.postgres, dirname(folder)]);
      const durable = settings['fsync'] !== 'off';
      await prepareDataFolder({ ...options, binaries, user, runAs, durable, signal });
    },
    get command(): ServiceCommand {
      return {
        ...runAs(binaries.postgres, [
          '-D',
          dataFolder(folder),
          ...Object.entries(settings).flatMap(([name, value]) => ['-c', `${name}=${value}`]),
        ]),
        env: { LC_ALL: 'C' },
        cwd: folder,
      };
    },
    ready: (signal) => answers(options, signal),
    startWithinMs: 60_000, // After a crash it replays its log first.
    stopSignal: 'SIGINT',
    stopWithinMs: 10_000,
  };
}

async function answers(options: PostgresOptions, signal: AbortSignal): Promise<void> {
  const ca = await readFile(options.caFile, 'utf8');
  let last: unknown;
  while (!signal.aborted) {
    const client = new Client({
      host: '127.0.0.1',
      port: options.port,
      user: roleName,
      database: databaseName,
      password: options.password,
      ssl: { ca, rejectUnauthorized: true },
      connectionTimeoutMillis: 2_000,
      query_timeout: 2_000,
    });
    client.on('error', () => undefined); // A server that still starts cuts connections off; the next try tells.
    try {
      await client.connect();
      await client.query('select 1');
      return;
    } catch (error) {
      last = error;
    } finally {
      await client.end().catch(() => undefined);
    }
    await pause(50, signal);
  }
  throw new Error(`PostgreSQL does not answer on 127.0.0.1:${options.port}`, { cause: last });
}
