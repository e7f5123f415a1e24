// How a system ends, asked for or not: signals, also while it starts; its terminal closes, whoever read its output or started
// it goes, its launcher is killed. Each time nothing is left running.
import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { existsSync } from 'node:fs';
import { mkdtemp, readFile, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { createInterface } from 'node:readline';
import { fileURLToPath } from 'node:url';
import { afterEach, beforeEach, describe, expect, test } from 'vitest';
import { instanceSchema } from '../../emulator/instance/instance.ts';
import { identify, isAlive } from '../../emulator/instance/process-table.ts';
import { startRunningSystem, type RunningSystem } from '../support/running-system.ts';

const small = ['--nodes', '1', '--no-demo', '--broker', 'development'];
let system: RunningSystem;
/** Of every service. */
let pids: number[];

const startSmall = async (): Promise<void> => {
  system = await startRunningSystem(small);
  pids = (await system.status()).services.flatMap(({ pid }) => pid ?? []);
};

async function launcherGone(): Promise<void> {
  if (system.launcher.exitCode === null && system.launcher.signalCode === null)
    await once(system.launcher, 'exit');
}
const alive = (): number[] => pids.filter((pid) => identify(pid) !== undefined);

describe('a system whose', () => {
  beforeEach(startSmall, 60_000);
  afterEach(() => system.close());

  test('terminal closes goes down in order', async () => {
    expect(alive().length).toBeGreaterThan(5);
    // The kernel and the shell tell it both.
    for (let time = 0; time < 3; time++) system.launcher.kill('SIGHUP');
    await launcherGone();
    expect(system.launcher.exitCode).toBe(0);
    expect(alive()).toEqual([]);
  });

  test('output nobody reads any more goes down in order', async () => {
    expect(alive().length).toBeGreaterThan(5);
    system.launcher.stdout?.destroy();
    // Something to print, which finds nobody.
    await system.baton('kill', 'node-1');
    await launcherGone();
    expect(system.launcher.exitCode).toBe(0);
    expect(alive()).toEqual([]);
  });

  test('launcher is killed is ended by `down`, which says so once', async () => {
    system.launcher.kill('SIGKILL');
    await launcherGone();
    expect(alive().length).toBeGreaterThan(5);
    const first = await system.baton('down');
    expect(first).toMatchObject({ code: 0, stderr: '' });
    expect(first.stdout).toContain('The launcher was gone; ended what it had left running: ');
    expect(first.stdout).toContain('node-1');
    expect(alive()).toEqual([]);
    expect(await system.baton('down')).toMatchObject({ code: 3, stdout: '' });
  });
});

describe('a signal', () => {
  const record = (): string => join(system.folder, '.baton', 'instance.json');
  beforeEach(startSmall, 60_000);
  afterEach(() => system.close());

  test('that comes twice at once is one, and a later one ends all by force', async () => {
    // As from a terminal and from npm.
    system.launcher.kill('SIGINT');
    system.launcher.kill('SIGINT');
    // One that would take long to end.
    const [frozen] = pids;
    const freezing = setInterval(() => {
      if (frozen !== undefined && identify(frozen)) process.kill(frozen, 'SIGSTOP');
    }, 5);
    await new Promise((resolve) => setTimeout(resolve, 1_200));
    expect(system.launcher.exitCode).toBe(null);
    system.launcher.kill('SIGINT');
    await launcherGone();
    clearInterval(freezing);
    expect(system.lines.at(-1)?.event).toBe('stopping');
    expect(system.launcher.exitCode).toBe(1);
    expect(alive()).toEqual([]);
    expect(existsSync(record())).toBe(false);
  });
});

describe('a system that still starts', () => {
  const cli = fileURLToPath(new URL('../../emulator/cli.ts', import.meta.url));
  let folder: string;
  beforeEach(async () => void (folder = await mkdtemp(join(tmpdir(), 'baton-starts-'))));
  afterEach(() => rm(folder, { recursive: true, force: true }));

  /** Through a shell that stays in between, until its first service is up. */
  async function startHalf() {
    const args = [cli, 'up', '--isolated', '--json', '--data', join(folder, 'data'), ...small];
    const shell = spawn('sh', ['-c', '"$0" "$@"; true', process.execPath, ...args], {
      env: { ...process.env, npm_lifecycle_event: 'start' },
      stdio: ['ignore', 'pipe', 'ignore'],
    });
    const events: string[] = [];
    const lines = createInterface({ input: shell.stdout });
    const up = new Promise<void>((resolve) =>
      lines.on('line', (line) => {
        const { event, state } = JSON.parse(line) as { event: string; state?: string };
        events.push(event);
        if (event === 'service' && state === 'up') resolve();
      }),
    );
    const closed = once(lines, 'close');
    await up;
    const { launcher, groups } = instanceSchema.parse(
      JSON.parse(await readFile(join(folder, 'data', 'instance.json'), 'utf8')),
    );
    return { shell, launcher, groups, events, closed };
  }

  test('goes down at a signal', async () => {
    const { launcher, groups, events, closed } = await startHalf();
    process.kill(launcher.pid, 'SIGTERM');
    await closed;
    expect(events.slice(-2)).toEqual(['stopping', 'stopped']);
    expect(groups.filter(isAlive)).toEqual([]);
    expect(existsSync(join(folder, 'data', 'instance.json'))).toBe(false);
  });

  test('goes down when the shell between npm and it died', async () => {
    const { shell, groups, events, closed } = await startHalf();
    shell.kill('SIGKILL');
    await closed;
    expect(events.slice(-2)).toEqual(['stopping', 'stopped']);
    expect(groups.filter(isAlive)).toEqual([]);
  });
});
