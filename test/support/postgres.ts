// A real PostgreSQL of its own for a test file: the service that `baton up` runs, in a temporary folder, without
// fsync. A shell stands between us and the server and ends it when this process is gone, however that came about;
// only the folder under the system's temporary folder stays behind then.
import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { chmod, mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { Client } from 'pg';
import { findBinaries } from '../../emulator/services/postgres/binaries.ts';
import { dataFolder, singleUser } from '../../emulator/services/postgres/data-folder.ts';
import { postgresService, postgresUrl } from '../../emulator/services/postgres/postgres.ts';
import { asUser, databaseUser } from '../../emulator/services/postgres/system-user.ts';
import { makeCertificates } from './certificates.ts';
import { freePort } from './ports.ts';

export interface TestPostgres {
  /** postgres://baton@127.0.0.1:port/baton: an empty database. */
  readonly url: string;
  readonly password: string;
  /** PEM */
  readonly ca: string;
  readonly pid: number;
  /** The end of what it logged. */
  log(): string;
  /** Another empty database; answers its URL. */
  createDatabase(): Promise<string>;
  /** One connection without any pool, for what a test does beside the code under test. */
  connect(url?: string): Promise<Client>;
  close(): Promise<void>;
}

const startWithinMs = 30_000;
// The shell becomes the server; its child reads a pipe that only we hold open, and ends the server when it closes.
const watched = 'exec 3<&0; (cat <&3 >/dev/null; kill -INT $$) 2>/dev/null & exec "$@" 3<&- </dev/null';

export async function startTestPostgres(more: Readonly<Record<string, string>> = {}): Promise<TestPostgres> {
  const folder = await mkdtemp(join(tmpdir(), 'baton-test-postgres-'));
  const certificates = await makeCertificates(folder);
  await chmod(folder, 0o711); // As root the server is another user, who has to pass through.
  const port = await freePort();
  const password = 'test password with a \' and a "';
  const binaries = findBinaries();
  const options = { ...certificates, folder: join(folder, 'postgres'), port, password, binaries };
  const service = postgresService({
    ...options,
    settings: {
      fsync: 'off',
      synchronous_commit: 'off',
      full_page_writes: 'off',
      shared_buffers: '32MB',
      ...more,
    },
  });
  const { signal } = new AbortController();
  await service.prepare?.(signal);
  const user = await databaseUser();
  const runAs = await asUser(user, [binaries.postgres, folder]);
  await singleUser({ ...options, runAs, durable: false, signal }, dataFolder(options.folder), [
    'ALTER ROLE baton CREATEDB',
  ]);
  const { file, args, env, cwd, uid, gid } = service.command;
  const server = spawn('/bin/sh', ['-c', watched, 'sh', file, ...args], {
    env: { ...env, PATH: process.env['PATH'] ?? '' },
    cwd,
    ...(uid === undefined ? {} : { uid, gid }),
    stdio: ['pipe', 'ignore', 'pipe'],
  });
  let log = '';
  server.stderr.on('data', (chunk: Buffer) => (log = (log + chunk.toString('utf8')).slice(-20_000)));
  server.stdin.on('error', () => undefined);
  const ended = once(server, 'exit');
  const close = async (): Promise<void> => {
    server.stdin.end();
    await ended;
    await rm(folder, { recursive: true, force: true });
  };
  const end = new AbortController();
  const died = ended.then(() => end.abort());
  try {
    await service.ready?.(AbortSignal.any([end.signal, AbortSignal.timeout(startWithinMs)]));
  } catch (cause) {
    await close();
    await died;
    throw new Error(`PostgreSQL did not start:\n${log}`, { cause });
  }
  if (server.pid === undefined) throw new Error('a started server has no pid');

  const url = postgresUrl({ port });
  const connect = async (to: string = url): Promise<Client> => {
    // In parts: a password beside a connection string is overruled by the string.
    const { hostname, port: at, username, pathname } = new URL(to);
    const client = new Client({
      host: hostname,
      port: Number(at),
      user: username,
      database: pathname.slice(1),
      password,
      ssl: { ca: certificates.ca, rejectUnauthorized: true },
    });
    client.on('error', () => undefined); // A test may end a connection on purpose.
    await client.connect();
    return client;
  };
  let databases = 0;
  return {
    url,
    password,
    ca: certificates.ca,
    pid: server.pid,
    log: () => log,
    connect,
    async createDatabase() {
      const name = `test_${++databases}`;
      const client = await connect();
      try {
        await client.query(`CREATE DATABASE ${name} TEMPLATE template0`);
      } finally {
        await client.end();
      }
      return url.replace(/\/[^/]*$/, `/${name}`);
    },
    close,
  };
}
