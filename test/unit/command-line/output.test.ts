// What a command prints arrives whole at a reader that takes its time, and a reader that goes is no failure.
import { spawn, type ChildProcessByStdio } from 'node:child_process';
import { once } from 'node:events';
import { mkdir, mkdtemp, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import type { Readable } from 'node:stream';
import { text } from 'node:stream/consumers';
import { fileURLToPath } from 'node:url';
import { afterEach, beforeEach, describe, expect, test } from 'vitest';
import { pause } from '../../../runtime/waiting.ts';

const cli = fileURLToPath(new URL('../../../emulator/cli.ts', import.meta.url));
/** Several times what a pipe holds, as the end of a log. */
const lines = 200;
const lineLength = 5_000;
let data: string;

beforeEach(async () => {
  data = await mkdtemp(join(tmpdir(), 'baton-output-'));
  await mkdir(join(data, 'logs'));
  await writeFile(join(data, 'logs', 'broker.log'), `${'x'.repeat(lineLength)}\n`.repeat(lines));
});
afterEach(() => rm(data, { recursive: true, force: true }));

function batonLogs(): ChildProcessByStdio<null, Readable, Readable> {
  return spawn(process.execPath, [cli, 'logs', '--data', data], { stdio: ['ignore', 'pipe', 'pipe'] });
}

describe('whoever reads a command', () => {
  test('slowly gets all of it', async () => {
    const command = batonLogs();
    const ended = once(command, 'exit');
    await once(command.stdout, 'readable');
    await pause(300); // It has printed everything by now, and would have ended.
    expect((await text(command.stdout)).match(/x+\n/g)).toHaveLength(lines);
    expect(await ended).toEqual([0, null]);
  });

  test('and stops in the middle, as `head` does, sees no failure', async () => {
    const command = batonLogs();
    const ended = once(command, 'exit');
    await once(command.stdout, 'readable');
    command.stdout.destroy();
    expect(await text(command.stderr)).toBe('');
    expect(await ended).toEqual([0, null]);
  });
});
