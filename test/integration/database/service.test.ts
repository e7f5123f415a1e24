import { spawn, type ChildProcess } from 'node:child_process';
import { once } from 'node:events';
import { chmod, mkdir, mkdtemp, readFile, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import { Client } from 'pg';
import { afterAll, afterEach, beforeAll, expect, test, vi } from 'vitest';
import { childrenOf, identify } from '../../../emulator/instance/process-table.ts';
import { dataFolder } from '../../../emulator/services/postgres/data-folder.ts';
import { postgresService } from '../../../emulator/services/postgres/postgres.ts';
import type { Service } from '../../../emulator/services/service.ts';
import { Supervisor } from '../../../emulator/launcher/supervisor.ts';
import { makeCertificates, type TestCertificates } from '../../support/certificates.ts';
import { freePort } from '../../support/ports.ts';

// One folder for all, since making a database takes most of the time; each test ends what it started.
let root: string;
let certificates: TestCertificates;
let port: number;
const running: ChildProcess[] = [];
beforeAll(async () => {
  root = await mkdtemp(join(tmpdir(), 'baton-test-service-'));
  certificates = await makeCertificates(root);
  port = await freePort();
});
afterEach(async () => {
  await Promise.all(running.splice(0).map((server) => stop(server, 'SIGKILL')));
});
afterAll(() => rm(root, { recursive: true, force: true }));

test('a first start that was cut off is begun anew, also below a folder that is closed to others', async () => {
  await chmod(root, 0o700);
  const folder = join(root, 'postgres');
  await mkdir(`${dataFolder(folder)}.part/base`, { recursive: true });
  await writeFile(join(`${dataFolder(folder)}.part`, 'PG_VERSION'), 'half');
  await start(service('secret'));
  expect(await ask('secret', 'SELECT current_user AS me')).toEqual([{ me: 'baton' }]);
});

test('a database comes back with its data after it was killed, and takes up a new password', async () => {
  const first = await start(service('secret'));
  await ask('secret', 'CREATE TABLE kept AS SELECT 1 AS one');
  await stop(first, 'SIGKILL');
  const second = await start(service('new " \' one'));
  expect(await ask('new " \' one', 'SELECT one FROM kept')).toEqual([{ one: 1 }]);
  await expect(ask('secret', 'SELECT 1')).rejects.toMatchObject({ code: '28P01' });
  await stop(second, 'SIGINT');
  expect(second.exitCode).toBe(0);
});

test('one whose data was removed is made anew, with its role', async () => {
  await stop(await start(service('secret')), 'SIGINT');
  await rm(dataFolder(join(root, 'postgres')), { recursive: true });
  await start(service('secret'));
  expect(await ask('secret', 'SELECT 1 AS one')).toEqual([{ one: 1 }]);
});

test('a folder of another major version is left as it is, with what to do', async () => {
  const versionFile = join(dataFolder(join(root, 'postgres')), 'PG_VERSION');
  const version = await readFile(versionFile, 'utf8');
  await writeFile(versionFile, '17\n');
  await expect(start(service('secret'))).rejects.toThrow(
    /was made by PostgreSQL 17, and this is 18\.\d+: it is left as it is; dump it with the release/,
  );
  await writeFile(versionFile, version);
  await stop(await start(service('secret')), 'SIGINT');
});

test('a folder that another server works on is refused by its pid, and a pid that is somebody else’s is not', async () => {
  const server = await start(service('secret'));
  await expect(service('secret').prepare?.(new AbortController().signal)).rejects.toThrow(
    new RegExp(`pid ${server.pid}\\b`),
  );
  await stop(server, 'SIGKILL');
  // As after a reboot: the number now belongs to this very test.
  await writeFile(join(dataFolder(join(root, 'postgres')), 'postmaster.pid'), `${process.pid}\n`);
  await start(service('secret'));
});
test('paused by the supervisor it answers nobody, not even sessions that were open; killed then, it comes back', async () => {
  let restarted = (): void => undefined;
  const again = new Promise<void>((resolve) => (restarted = resolve));
  const supervisor = new Supervisor({
    logs: root,
    onChange: ({ state, restarts }) => {
      if (state === 'up' && restarts > 0) restarted();
    },
    onLine: () => undefined,
    onGroups: () => undefined,
  });
  try {
    await supervisor.start(service('secret'));
    const session = clientOf('secret');
    await session.connect();
    supervisor.pause('database');
    const answered = session.query('SELECT 1').then(
      () => 'answered',
      () => 'ended',
    );
    expect(await Promise.race([answered, sleep(1_000, 'silent')])).toBe('silent');
    supervisor.kill('database');
    expect(await answered).toBe('ended');
    await again;
    expect(await ask('secret', 'SELECT 1 AS one')).toEqual([{ one: 1 }]);
  } finally {
    await supervisor.stop('database');
  }
});

function service(password: string): Service {
  return postgresService({ ...certificates, folder: join(root, 'postgres'), port, password });
}
async function start(one: Service): Promise<ChildProcess> {
  await one.prepare?.(new AbortController().signal);
  const { file, args, env, cwd, uid, gid } = one.command;
  const server = spawn(file, args, {
    env: { ...env },
    ...(cwd === undefined ? {} : { cwd }),
    ...(uid === undefined ? {} : { uid, gid }),
    stdio: 'ignore',
  });
  running.push(server);
  await one.ready?.(AbortSignal.timeout(30_000)); // It syncs its whole folder after a crash.
  return server;
}
async function stop(server: ChildProcess, signal: 'SIGINT' | 'SIGKILL'): Promise<void> {
  if (server.exitCode !== null || server.signalCode !== null) return;
  const ended = once(server, 'exit');
  const children = childrenOf(server.pid ?? 0);
  server.kill(signal);
  await ended;
  // They see it by themselves, and the next server does not start while one of them holds the memory that they share.
  await vi.waitUntil(() => children.every((pid) => identify(pid) === undefined), { timeout: 10_000 });
}
function clientOf(password: string): Client {
  const client = new Client({
    host: '127.0.0.1',
    port,
    user: 'baton',
    database: 'baton',
    password,
    ssl: { ca: certificates.ca, rejectUnauthorized: true },
  });
  client.on('error', () => undefined); // The server is killed on purpose.
  return client;
}
async function ask(password: string, sql: string): Promise<unknown[]> {
  const client = clientOf(password);
  try {
    await client.connect();
    return (await client.query<Record<string, unknown>>(sql)).rows;
  } finally {
    await client.end();
  }
}
