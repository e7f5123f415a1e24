// How a system ends when nobody ends it: its terminal closes, whoever read its output goes, its launcher is killed. Each time
// nothing is left running.
import { once } from 'node:events';
import { afterEach, beforeEach, describe, expect, test } from 'vitest';
import { identify } from '../../emulator/instance/process-table.ts';
import { startRunningSystem, type RunningSystem } from '../support/running-system.ts';

let system: RunningSystem;
/** Of every service. */
let pids: number[];

beforeEach(async () => {
  system = await startRunningSystem(['--nodes', '1', '--no-demo', '--broker', 'development']);
  pids = (await system.status()).services.flatMap(({ pid }) => pid ?? []);
}, 60_000);
afterEach(() => system.close());

async function launcherGone(): Promise<void> {
  if (system.launcher.exitCode === null && system.launcher.signalCode === null)
    await once(system.launcher, 'exit');
}
const alive = (): number[] => pids.filter((pid) => identify(pid) !== undefined);

describe('a system whose', () => {
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
