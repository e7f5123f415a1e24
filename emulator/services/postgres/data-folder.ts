// The database's folder on disk: made once and whole, with a role for Baton, TLS, and no other way in. All of it is
// done without a running server (initdb and single-user mode), so that nothing listens before it is locked.
// Never deletes data.
import { spawn } from 'node:child_process';
import { createHash } from 'node:crypto';
import { existsSync } from 'node:fs';
import {
  chmod,
  chown,
  copyFile,
  mkdir,
  readFile,
  readlink,
  realpath,
  rename,
  rm,
  writeFile,
} from 'node:fs/promises';
import { join } from 'node:path';
import type { PostgresBinaries } from './binaries.ts';
import { identify } from '../../instance/process-table.ts';
import type { RunAs, SystemUser } from './system-user.ts';

export interface DataFolderOptions {
  readonly folder: string;
  readonly binaries: PostgresBinaries;
  readonly user: SystemUser | undefined;
  readonly runAs: RunAs;
  readonly certFile: string;
  readonly keyFile: string;
  readonly password: string;
  /** False skips every fsync: for data that is thrown away. */
  readonly durable: boolean;
  /** Ends the program that is under way. */
  readonly signal: AbortSignal;
}

export const roleName = 'baton';
export const databaseName = 'baton';
const initdbWithinMs = 60_000;
const singleUserWithinMs = 60_000; // After a crash it replays the log first.

export const dataFolder = (folder: string): string => join(folder, 'data');
export const serverFiles = (folder: string) => ({
  cert: join(folder, 'server.crt'),
  key: join(folder, 'server.key'),
  hba: join(folder, 'pg_hba.conf'),
});

// One line lets anybody in: TLS and a password. The superuser has no password, so single-user mode is its only way.
const hostRules = `# TYPE   DATABASE USER    ADDRESS      METHOD
hostssl  all      ${roleName}  127.0.0.1/32 scram-sha-256
hostssl  all      ${roleName}  ::1/128      scram-sha-256
`;

/** Quick when everything is there. @throws Error with what to do. */
export async function prepareDataFolder(options: DataFolderOptions): Promise<void> {
  const { folder, user } = options;
  await mkdir(folder, { recursive: true, mode: 0o700 });
  if (user) await chown(folder, user.uid, user.gid);
  const files = serverFiles(folder);
  // Copied at every start: certificates are renewed, and the key has to belong to the server's user.
  await place(options, files.cert, (to) => copyFile(options.certFile, to));
  await place(options, files.key, (to) => copyFile(options.keyFile, to));
  await place(options, files.hba, (to) => writeFile(to, hostRules));
  if (!existsSync(dataFolder(folder))) await create(options);
  await assertSameVersion(options);
  await assertNotRunning(dataFolder(folder));
  await ensureRole(options, dataFolder(folder));
}

async function place(
  { user }: DataFolderOptions,
  to: string,
  write: (to: string) => Promise<void>,
): Promise<void> {
  const part = `${to}.part`;
  await rm(part, { force: true });
  await write(part);
  await chmod(part, 0o600);
  if (user) await chown(part, user.uid, user.gid);
  await rename(part, to);
}

/** Beside its place and then renamed: a start that was cut off leaves nothing that looks like a database. */
async function create(options: DataFolderOptions): Promise<void> {
  const part = `${dataFolder(options.folder)}.part`;
  await rm(part, { recursive: true, force: true });
  await runProgram(options, {
    file: options.binaries.initdb,
    args: [
      `--pgdata=${part}`,
      '--username=postgres',
      '--auth=reject',
      '--encoding=UTF8',
      '--locale=C',
      // Sorts like C, but knows upper and lower case beyond ASCII.
      '--locale-provider=builtin',
      '--builtin-locale=C.UTF-8',
      ...(options.durable ? [] : ['--no-sync']),
    ],
    input: '',
    withinMs: initdbWithinMs,
  });
  await rename(part, dataFolder(options.folder));
}

/** Its own words say neither what to do nor that nothing is lost. @throws Error with both. */
async function assertSameVersion({ folder, binaries }: DataFolderOptions): Promise<void> {
  const madeBy = (await readFile(join(dataFolder(folder), 'PG_VERSION'), 'utf8')).trim();
  const major = binaries.version.split('.')[0];
  if (madeBy !== major)
    throw new Error(
      `the database in ${folder} was made by PostgreSQL ${madeBy}, and this is ${binaries.version}: it is left as it is; dump it with the release of Baton that made it, or name another folder with --data`,
    );
}

/** The server removes a lock file whose process is gone by itself, after a look at its shared memory. */
async function assertNotRunning(data: string): Promise<void> {
  const lock = join(data, 'postmaster.pid');
  const pid = Number((await readFile(lock, 'utf8').catch(() => '')).split('\n')[0]);
  if (!Number.isInteger(pid) || pid <= 0) return;
  if (identify(pid) !== undefined) {
    // A server's working folder is its data. Only Linux tells; elsewhere a living process keeps the lock.
    const home = await realpath(data);
    const works = await readlink(`/proc/${pid}/cwd`).catch(() => home);
    if (works === home)
      throw new Error(
        `another PostgreSQL (pid ${pid}) works on ${data}: end it with \`kill -INT ${pid}\`, or use another folder with --data`,
      );
  }
  // The pid belongs to somebody else, as after a reboot, or to a process that ended and that nobody has reaped, as in a
  // container without an init: the server would take either for its predecessor and refuse to start.
  await rm(lock);
}

/** Creates role and database, and gives the role a password that changed. */
async function ensureRole(options: DataFolderOptions, data: string): Promise<void> {
  const marker = join(data, 'role.sha256'); // Within what it tells of, so that it goes with it.
  const wanted = createHash('sha256').update(options.password).digest('hex');
  if ((await readFile(marker, 'utf8').catch(() => '')) === wanted) return;
  await singleUser(options, data, [
    `DO $$ BEGIN IF NOT EXISTS (SELECT FROM pg_roles WHERE rolname = '${roleName}') THEN CREATE ROLE ${roleName} LOGIN; END IF; END $$`,
    `ALTER ROLE ${roleName} PASSWORD ${quoted(options.password)}`,
  ]);
  try {
    await singleUser(options, data, [`CREATE DATABASE ${databaseName} OWNER ${roleName}`]);
  } catch (error) {
    // Asked for at each new password; there is no way to ask only when it is missing.
    if (!(error instanceof Error && error.message.includes(`database "${databaseName}" already exists`)))
      throw error;
  }
  await place(options, marker, (to) => writeFile(to, wanted));
}

/** One statement a line, as the superuser, while no server runs. @throws Error with what the server said. */
export async function singleUser(
  options: Pick<DataFolderOptions, 'folder' | 'binaries' | 'runAs' | 'password' | 'durable' | 'signal'>,
  data: string,
  statements: readonly string[],
): Promise<void> {
  await runProgram(options, {
    file: options.binaries.postgres,
    args: [
      '--single',
      '-D',
      data,
      '-c',
      'exit_on_error=on',
      '-c',
      `fsync=${options.durable ? 'on' : 'off'}`,
      'postgres',
    ],
    input: `${statements.join('\n')}\n`,
    withinMs: singleUserWithinMs,
  });
}

function quoted(text: string): string {
  if (/[\p{Cc}]/u.test(text)) throw new Error('the database password has control characters');
  return `'${text.replaceAll("'", "''")}'`;
}

async function runProgram(
  { folder, runAs, password, signal }: Pick<DataFolderOptions, 'folder' | 'runAs' | 'password' | 'signal'>,
  program: { file: string; args: readonly string[]; input: string; withinMs: number },
): Promise<void> {
  signal.throwIfAborted();
  const { file, args, ...identity } = runAs(program.file, program.args);
  const child = spawn(file, args, {
    cwd: folder,
    env: { LC_ALL: 'C', PATH: process.env['PATH'] ?? '' },
    stdio: ['pipe', 'pipe', 'pipe'],
    ...identity,
  });
  let said = '';
  const listen = (chunk: Buffer): void => {
    said = (said + chunk.toString('utf8')).slice(-20_000);
  };
  child.stdout.on('data', listen);
  child.stderr.on('data', listen);
  child.stdin.on('error', () => undefined); // It ended before it had read everything; its exit code says so.
  child.stdin.end(program.input);
  const code = await new Promise<number | string>((resolve, reject) => {
    const timer = setTimeout(() => child.kill('SIGKILL'), program.withinMs);
    const end = (): void => void child.kill('SIGTERM'); // initdb takes away what it made.
    signal.addEventListener('abort', end);
    child.once('error', reject).once('close', (exit, by) => {
      clearTimeout(timer);
      signal.removeEventListener('abort', end);
      resolve(exit ?? by ?? 'nothing');
    });
  }).catch((cause: unknown) => {
    throw new Error(`${program.file} cannot be started`, { cause });
  });
  if (code === 0) return;
  const lines = said.replaceAll(password, '***').trim();
  throw new Error(`${program.file} ${program.args[0]} ended with ${code}: ${lines.slice(-2_000)}`);
}
