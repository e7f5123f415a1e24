// The containers of compose.yaml as the docker command sees them: which there are, how they are, and how one is broken on
// purpose. Needs nothing but `docker`, and never root on this machine.
import { execFile, spawn } from 'node:child_process';
import { once } from 'node:events';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { loadEnvFile } from 'node:process';
import { promisify } from 'node:util';
import { z } from 'zod';
import { pause } from '../../runtime/waiting.ts';
import type { FaultAction } from '../launcher/control.ts';

const run = promisify(execFile);
const emulatorFolder = fileURLToPath(new URL('..', import.meta.url));
const composeFile = join(emulatorFolder, 'compose.yaml');
const dockerWithinMs = 60_000; // A command takes 0.1 s, and seconds where all processors are taken.
const outputBytesMax = 16 * 1024 * 1024;
const crashSeenWithinMs = 30_000;

const inspectedSchema = z.array(
  z.object({
    Id: z.string(),
    RestartCount: z.int(),
    State: z.object({
      Status: z.string(),
      Pid: z.int(),
      ExitCode: z.int(),
      StartedAt: z.string(),
      Health: z.object({ Status: z.string() }).optional(),
    }),
    Config: z.object({ Labels: z.record(z.string(), z.string()) }),
    NetworkSettings: z.object({
      Ports: z
        .record(z.string(), z.array(z.object({ HostIp: z.string(), HostPort: z.string() })).nullable())
        .nullable(),
    }),
  }),
);

export interface Container {
  readonly id: string;
  readonly service: string;
  /** As Docker names it: running, paused, restarting, exited ... */
  readonly status: string;
  /** Undefined where it has no health check. */
  readonly health: string | undefined;
  readonly pid: number;
  readonly exitCode: number;
  readonly startedAt: string;
  readonly restarts: number;
  /** Published on this machine: `7101/tcp` -> `127.0.0.1:7101`. */
  readonly published: Readonly<Record<string, string>>;
}

/** As compose itself finds it: from the environment, else from the file beside compose.yaml. */
export function projectName(): string {
  loadEnvFile(join(emulatorFolder, '.env')); // What is in the environment already stays.
  return process.env['COMPOSE_PROJECT_NAME'] ?? 'emulator';
}

/** @throws Error with what Docker said. */
export async function docker(...args: string[]): Promise<string> {
  try {
    const { stdout } = await run('docker', args, { timeout: dockerWithinMs, maxBuffer: outputBytesMax });
    return stdout;
  } catch (cause) {
    const { code } = cause as { code?: unknown };
    if (code === 'ENOENT') throw new Error('there is no `docker` on this machine: install Docker', { cause });
    throw new Error(`docker ${args[0]}`, { cause }); // Which says what Docker said.
  }
}

/** All of the project, also those that ended. */
export async function listContainers(): Promise<Container[]> {
  const ids = await docker('ps', '-aq', '--filter', `label=com.docker.compose.project=${projectName()}`);
  if (ids.trim() === '') return [];
  const inspected = inspectedSchema.parse(JSON.parse(await docker('inspect', ...ids.trim().split('\n'))));
  return inspected
    .map(({ Id, RestartCount, State, Config, NetworkSettings }) => ({
      id: Id,
      service: Config.Labels['com.docker.compose.service'] ?? '',
      status: State.Status,
      health: State.Health?.Status,
      pid: State.Pid,
      exitCode: State.ExitCode,
      startedAt: State.StartedAt,
      restarts: RestartCount,
      published: Object.fromEntries(
        Object.entries(NetworkSettings.Ports ?? {}).flatMap(([port, bindings]) =>
          bindings?.[0] ? [[port, `${bindings[0].HostIp}:${bindings[0].HostPort}`]] : [],
        ),
      ),
    }))
    .sort((one, other) => one.service.localeCompare(other.service, 'en', { numeric: true }));
}

/** @throws Error when there is no such service, naming those there are. */
export async function findContainer(service: string): Promise<Container> {
  const containers = await listContainers();
  const found = containers.find((container) => container.service === service);
  if (found) return found;
  throw new Error(
    `there is no service ${service}; there are ${containers.map((container) => container.service).join(', ')}`,
  );
}

/** @returns what was done, in words. */
export async function breakContainer(action: FaultAction, service: string): Promise<string> {
  const container = await findContainer(service);
  switch (action) {
    case 'kill':
      await crash(container);
      return `killed ${service} (pid ${container.pid}); Docker starts it again`;
    case 'pause':
      await docker('pause', container.id);
      return `paused ${service} (pid ${container.pid})`;
    case 'resume':
      await docker('unpause', container.id);
      return `resumed ${service} (pid ${container.pid})`;
  }
}

/**
 * Every process in it dies at once, as of a crash. Not `docker kill`: that counts as stopped by hand, and no restart
 * policy applies. From inside it needs no right on this machine, and works where the containers are in a virtual one.
 */
async function crash({ id, service, startedAt }: Container): Promise<void> {
  // The command itself may go down with the container, so what it says of itself is not asked.
  const said = await docker('exec', id, 'sh', '-c', 'kill -9 -1').catch((error: unknown) => error);
  const deadline = performance.now() + crashSeenWithinMs;
  while (performance.now() < deadline) {
    const now = await findContainer(service);
    if (now.status !== 'running' || now.startedAt !== startedAt) return;
    await pause(100);
  }
  throw new Error(`${service} did not die`, { cause: said });
}

/** `docker compose` where there is one, else `docker-compose`. @throws Error saying what to install. */
async function findCompose(): Promise<readonly [program: string, ...args: string[]]> {
  for (const candidate of [['docker', 'compose'], ['docker-compose']] as const) {
    const [program, ...args] = candidate;
    const there = await run(program, [...args, 'version'], { timeout: dockerWithinMs }).then(
      () => true,
      () => false,
    );
    if (there) return candidate;
  }
  throw new Error(
    'there is neither `docker compose` nor `docker-compose` on this machine: install Docker with its compose plugin',
  );
}

/**
 * In the foreground: its output is this command's, with `quiet` only what it complains about. Of every profile, unless
 * `env` says otherwise. @returns its exit code.
 */
export async function compose(
  args: readonly string[],
  { env = {}, quiet = false }: { env?: Readonly<Record<string, string>>; quiet?: boolean } = {},
): Promise<number> {
  const [program, ...first] = await findCompose();
  const child = spawn(program, [...first, '-f', composeFile, ...args], {
    stdio: ['ignore', quiet ? 'ignore' : 'inherit', 'inherit'],
    env: { ...process.env, COMPOSE_PROFILES: 'lambda-host', ...env },
  });
  const [code] = (await once(child, 'exit')) as [number | null];
  return code ?? 1;
}
