// A whole system for a test, started as a user starts it: `baton up` as a process with free ports and a folder of its
// own, read through its JSON lines; and the other commands against it.
import { execFile, spawn, type ChildProcess } from 'node:child_process';
import { mkdtemp, readFile, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { createInterface } from 'node:readline';
import { fileURLToPath } from 'node:url';
import { promisify } from 'node:util';
import { request } from 'undici';
import type { SystemStatus } from '../../emulator/cluster/status.ts';
import { connectDatabase } from '../chaos/audit.ts';
import { dropFile, ftpLogin, type FtpLogin } from './ftp-partner.ts';

export interface Ready {
  readonly page: string;
  readonly front: string;
  readonly inbox: string;
  readonly smtp: string;
  readonly ftp: string;
  readonly demoShop?: string;
  readonly lambda: string;
  readonly nodes: readonly { id: string; url: string; internalUrl: string; udp: string }[];
  readonly afterMs: number;
}
export interface SystemLine {
  readonly event: string;
  readonly afterMs: number;
  readonly [field: string]: unknown;
}
export interface RunningSystem {
  readonly folder: string;
  readonly launcher: ChildProcess;
  readonly lines: readonly SystemLine[];
  readonly ready: Ready;
  status(): Promise<SystemStatus>;
  baton(...args: string[]): Promise<{ code: number; stdout: string; stderr: string }>;
  /** The leader's public URL. */
  leaderUrl(): Promise<string>;
  /** A secret of .baton/secrets, parsed as JSON. */
  secret<T>(name: string): Promise<T>;
  /** As editor, at the leader. */
  change(method: 'PUT' | 'POST' | 'DELETE', path: string, json?: unknown): Promise<unknown>;
  get<T>(path: string): Promise<T>;
  /** Past the nodes. */
  query<T extends object>(sql: string): Promise<T[]>;
  ftp(): Promise<FtpLogin>;
  /** As a partner. */
  drop(name: string, text: string): Promise<void>;
  /** What a tick does once the files have lain for half a minute. */
  syncNow(): Promise<void>;
  close(): Promise<void>;
}

/** As the scripts of package.json start it. */
const cli = ['check-node.cjs', 'cli.ts'].map((name) =>
  fileURLToPath(new URL(`../../emulator/${name}`, import.meta.url)),
);
/** "Sync now", as RabbitMQ hands it to a function. */
export const syncEvent = fileURLToPath(new URL('events/rabbitmq-file-command.json', import.meta.url));
const run = promisify(execFile);

export async function startRunningSystem(
  args: readonly string[] = [],
  { folder, env = {} }: { folder?: string; env?: Record<string, string> } = {},
): Promise<RunningSystem> {
  const root = folder ?? (await mkdtemp(join(tmpdir(), 'baton-system-')));
  const data = join(root, '.baton');
  const launcher = spawn(
    process.execPath,
    ['--require', ...cli, 'up', '--isolated', '--json', '--data', data, ...args],
    {
      stdio: ['ignore', 'pipe', 'pipe'],
      env: { ...process.env, ...env },
    },
  );
  // Whoever is cut off leaves no system behind: its launcher ends what it started, also when it is paused.
  const end = (): void => {
    launcher.kill('SIGTERM');
    launcher.kill('SIGCONT');
  };
  process.once('exit', end);
  launcher.once('exit', () => process.off('exit', end));
  const lines: SystemLine[] = [];
  let errors = '';
  launcher.stderr.on('data', (chunk: Buffer) => (errors += chunk.toString('utf8')));
  const ready = await new Promise<Ready>((resolve, reject) => {
    launcher.once('exit', (code) =>
      reject(
        new Error(
          `baton up ended with ${code}: ${errors}\n${lines.map((line) => JSON.stringify(line)).join('\n')}`,
        ),
      ),
    );
    createInterface({ input: launcher.stdout }).on('line', (text) => {
      const line = JSON.parse(text) as SystemLine;
      lines.push(line);
      if (line.event === 'ready') resolve(line as unknown as Ready);
    });
  });
  const baton: RunningSystem['baton'] = async (...words) => {
    try {
      const { stdout, stderr } = await run(
        process.execPath,
        ['--require', ...cli, ...words, '--data', data],
        {
          timeout: 60_000,
        },
      );
      return { code: 0, stdout, stderr };
    } catch (error) {
      const { code, stdout, stderr } = error as { code: number; stdout: string; stderr: string };
      return { code, stdout, stderr };
    }
  };
  const status = async (): Promise<SystemStatus> => {
    const { code, stdout, stderr } = await baton('status', '--json');
    if (code !== 0) throw new Error(`baton status ended with ${code}: ${stderr}`);
    return JSON.parse(stdout) as SystemStatus;
  };
  const leaderUrl = async (): Promise<string> => {
    const { leader, nodes } = await aLeader({ status });
    const url = nodes.find(({ id }) => id === leader)?.url;
    if (url === undefined) throw new Error(`${leader} leads, and is not among the nodes`);
    return url;
  };
  const secret = async <T>(name: string): Promise<T> =>
    JSON.parse(await readFile(join(data, 'secrets', name), 'utf8')) as T;
  const ftp = (): Promise<FtpLogin> => ftpLogin({ url: ready.ftp, data });
  return {
    folder: root,
    launcher,
    lines,
    ready,
    status,
    baton,
    leaderUrl,
    secret,
    async change(method, path, json) {
      const { editor } = await secret<{ editor: string }>('tokens.json');
      const { statusCode, body } = await request(`${await leaderUrl()}${path}`, {
        method,
        headers: {
          authorization: `Bearer ${editor}`,
          ...(json === undefined ? {} : { 'content-type': 'application/json' }),
        },
        body: json === undefined ? null : JSON.stringify(json),
      });
      const text = await body.text();
      if (statusCode >= 300) throw new Error(`${method} ${path}: ${statusCode} ${text}`);
      return text === '' ? undefined : (JSON.parse(text) as unknown);
    },
    async get<T>(path: string) {
      // Any node that answers: all read the same database.
      return await Promise.any(
        ready.nodes.map(async ({ url }) => {
          const { statusCode, body } = await request(`${url}${path}`, { signal: AbortSignal.timeout(5_000) });
          const json = (await body.json()) as T;
          if (statusCode !== 200) throw new Error(`${path}: ${statusCode} ${JSON.stringify(json)}`);
          return json;
        }),
      );
    },
    async query<T extends object>(sql: string) {
      const { services } = await status();
      const address = services.find(({ kind }) => kind === 'database')?.address ?? '';
      const database = await connectDatabase({
        port: Number(address.split(':').at(-1)),
        password: await readFile(join(data, 'secrets', 'database-password'), 'utf8'),
        ca: await readFile(join(data, 'tls', 'ca.pem'), 'utf8'),
      });
      try {
        return (await database.query<T>(sql)).rows;
      } finally {
        await database.end();
      }
    },
    ftp,
    drop: async (name, text) => dropFile(await ftp(), name, text),
    async syncNow() {
      const { code, stderr } = await baton('invoke', 'ftp-sync', '--event', syncEvent);
      if (code !== 0) throw new Error(`ftp-sync: ${stderr}`);
    },
    async close() {
      if (launcher.exitCode === null && launcher.signalCode === null) {
        const exited = new Promise((resolve) => launcher.once('exit', resolve));
        launcher.kill('SIGTERM');
        await exited;
      }
      if (folder === undefined) await rm(root, { recursive: true, force: true });
    },
  };
}

/** The state in which somebody leads: on a busy machine an election may be under way. */
export const aLeader = (system: { status(): Promise<SystemStatus> }): Promise<SystemStatus> =>
  eventually(
    'a leader',
    () => system.status(),
    ({ leader }) => leader !== null,
    20_000,
  );

/** Waits for a state, not for a while. @throws Error with the last thing seen when it does not come in time. */
export async function eventually<T>(
  what: string,
  look: () => Promise<T>,
  good: (seen: T) => boolean,
  withinMs = 30_000,
  lookEveryMs = 50,
): Promise<T> {
  const deadline = performance.now() + withinMs;
  let last: unknown;
  for (;;) {
    try {
      const seen = await look();
      if (good(seen)) return seen;
      last = seen;
    } catch (error) {
      last = error;
    }
    if (performance.now() > deadline)
      throw new Error(
        `${what}: not within ${withinMs} ms; last seen: ${last instanceof Error ? last.message : JSON.stringify(last)}`,
      );
    await new Promise((resolve) => setTimeout(resolve, lookEveryMs));
  }
}
