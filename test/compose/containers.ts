// The system of compose.yaml for a test: started by the command that people use, under a name and ports of its own, and
// seen from this machine alone.
import { execFile, spawnSync } from 'node:child_process';
import { mkdtemp, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { promisify } from 'node:util';
import { request } from 'undici';
import { docker, findContainer } from '../../emulator/commands/compose-project.ts';
import { composeStatus } from '../../emulator/commands/compose-status.ts';
import type { SystemStatus } from '../../emulator/cluster/status.ts';

const run = promisify(execFile);
const cli = fileURLToPath(new URL('../../emulator/cli.ts', import.meta.url));
const commandWithinMs = 150_000;
/** With images to build first. */
const upWithinMs = 900_000;

/** Where it is false, tests are skipped, counted and named. */
export const dockerAnswers = spawnSync('docker', ['info'], { timeout: 20_000 }).status === 0;

export const project = 'baton-test';
const ports = {
  BATON_PORT_FRONT: 18_100,
  BATON_PORT_NODE_1: 18_101,
  BATON_PORT_NODE_2: 18_102,
  BATON_PORT_NODE_3: 18_103,
  BATON_PORT_FTP: 18_421,
  BATON_PORT_INBOX: 18_426,
  BATON_PORT_DEMO_SHOP: 18_430,
  BATON_PORT_DATABASE: 18_432,
  BATON_PORT_BROKER: 18_471,
  BATON_PORT_BROKER_PAGE: 18_472,
  BATON_PORT_LOCALSTACK: 18_566,
} as const;
export const portOf = (name: keyof typeof ports): number => ports[name];
export const localstackUrl = `http://127.0.0.1:${ports.BATON_PORT_LOCALSTACK}`;
export const frontUrl = `http://127.0.0.1:${ports.BATON_PORT_FRONT}`;
export const inboxUrl = `http://127.0.0.1:${ports.BATON_PORT_INBOX}`;

// For this process and all that it starts.
Object.assign(process.env, {
  COMPOSE_PROJECT_NAME: project,
  ...Object.fromEntries(Object.entries(ports).map(([name, port]) => [name, String(port)])),
});

export interface Said {
  readonly code: number;
  readonly stdout: string;
  readonly stderr: string;
}

export async function baton(...args: string[]): Promise<Said> {
  const isUp = args.includes('up');
  try {
    const { stdout, stderr } = await run(process.execPath, [cli, ...args], {
      timeout: isUp ? upWithinMs : commandWithinMs,
      maxBuffer: 64 * 1024 * 1024,
    });
    return { code: 0, stdout, stderr };
  } catch (error) {
    const { code, stdout, stderr } = error as Said;
    return { code, stdout, stderr };
  }
}

/** What `baton status --json --target compose` prints, without a process for each look. */
export async function status(): Promise<SystemStatus> {
  const seen = await composeStatus();
  if (!seen) throw new Error(`no container of ${project} is there`);
  return seen;
}

/** As the service itself reads it. */
export async function secretOf(service: string, name: string): Promise<string> {
  const { id } = await findContainer(service);
  return await docker('exec', id, 'cat', `/run/baton/${name}`);
}

/** From any node that answers: all read the same database. */
export async function get<T>(path: string): Promise<T> {
  const names = ['BATON_PORT_NODE_1', 'BATON_PORT_NODE_2', 'BATON_PORT_NODE_3'] as const;
  return await Promise.any(
    names.map(async (name) => {
      const { statusCode, body } = await request(`http://127.0.0.1:${portOf(name)}${path}`, {
        signal: AbortSignal.timeout(5_000),
      });
      const json = (await body.json()) as T;
      if (statusCode !== 200) throw new Error(`${path}: ${statusCode} ${JSON.stringify(json)}`);
      return json;
    }),
  );
}

/** As editor, at a node that does not lead: it passes it on. */
export async function change(method: 'PUT' | 'POST', path: string, json: unknown): Promise<void> {
  const { leader, nodes } = await status();
  const url = nodes.find(({ id }) => id !== leader)?.url;
  if (leader === null || url === undefined) throw new Error('nobody leads');
  const { editor } = JSON.parse(await secretOf('node-1', 'tokens.json')) as { editor: string };
  const { statusCode, body } = await request(`${url}${path}`, {
    method,
    headers: { authorization: `Bearer ${editor}`, 'content-type': 'application/json' },
    body: JSON.stringify(json),
    signal: AbortSignal.timeout(5_000),
  });
  const text = await body.text();
  if (statusCode >= 300) throw new Error(`${method} ${path}: ${statusCode} ${text}`);
}

/** A folder with files of ours in it, gone when the test is over. */
export async function temporaryFolder(
  files: Readonly<Record<string, string>> = {},
): Promise<{ path: string; [Symbol.asyncDispose](): Promise<void> }> {
  const path = await mkdtemp(join(tmpdir(), 'baton-compose-'));
  for (const [name, text] of Object.entries(files)) await writeFile(join(path, name), text, { mode: 0o600 });
  return { path, [Symbol.asyncDispose]: () => rm(path, { recursive: true, force: true }) };
}
