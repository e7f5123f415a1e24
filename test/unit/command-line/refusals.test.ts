// What the command line says in one line: wrong words, folders that are not ours, a launcher that does not answer, proxies.
import { execFile } from 'node:child_process';
import { mkdir, mkdtemp, readdir, rm, stat, writeFile } from 'node:fs/promises';
import { createServer, type Server } from 'node:http';
import type { AddressInfo } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { promisify } from 'node:util';
import { afterEach, beforeEach, describe, expect, test } from 'vitest';
import { layoutOf, makeLayout, writeRecord } from '../../../emulator/instance/instance.ts';
import { identify } from '../../../emulator/instance/process-table.ts';
import { commandHere } from '../../support/command-here.ts';
import { startLauncher } from '../../support/launcher.ts';

const cli = fileURLToPath(new URL('../../../emulator/cli.ts', import.meta.url));
let folder: string;
const servers: Server[] = [];
beforeEach(async () => void (folder = await mkdtemp(join(tmpdir(), 'baton-refusals-'))));
afterEach(async () => {
  for (const server of servers.splice(0)) {
    server.close();
    server.closeAllConnections();
  }
  await rm(folder, { recursive: true, force: true });
});

async function baton(
  words: readonly string[],
  env: Record<string, string> = {},
): Promise<{ code: number; stdout: string; stderr: string }> {
  return await promisify(execFile)(process.execPath, [cli, ...words], {
    env: { ...process.env, ...env },
    timeout: 25_000,
  }).then(
    ({ stdout, stderr }) => ({ code: 0, stdout, stderr }),
    (error: { code: number; stdout: string; stderr: string }) => error,
  );
}
async function listen(answer: (server: { url: string }) => void = () => undefined): Promise<string> {
  const server = createServer((request) => answer({ url: request.url ?? '' }));
  // A proxy is asked for a tunnel first.
  server.on('connect', (request, socket) => {
    answer({ url: request.url ?? '' });
    socket.destroy();
  });
  servers.push(server);
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve));
  return `http://127.0.0.1:${(server.address() as AddressInfo).port}`;
}
/** As if this process were the launcher. */
async function record(control: { url: string; token: string }): Promise<void> {
  const launcher = identify(process.pid);
  if (!launcher) throw new Error('this process has no identity');
  await writeRecord(layoutOf(folder), { version: 1, launcher, control, groups: [] });
}

test.each([
  [['stauts'], "there is no command 'stauts'; there are up, status, "],
  [['kill', ''], 'It may not be empty'],
  [['up', '--data', ''], 'It may not be empty'],
  [['node', 'recover', 'node-1', '--as', ''], 'It may not be empty'],
  [['trace', 'a/b', '--versions', '50'], '1 to 20 are possible'],
  [['erase', 'nobody'], 'It is no mail address'],
  [['mail', 'test', 'nobody'], 'It is no mail address'],
  [['dlq', 'retry'], 'Say which: their numbers, --group, --queue, --code or --source; or --all alone.'],
  [['dlq', 'discard', '1', '--all', '--reason', 'old'], 'Say which: '],
  [['invoke', 'nothing'], 'There is no function nothing'],
])('%j is a wrong use, and what is wrong is said', async (words, said) => {
  const { code, stdout, stderr } = await commandHere(words);
  expect({ code, stdout }).toEqual({ code: 2, stdout: '' });
  expect(stderr).toContain(said);
});

describe('a folder', () => {
  test('of somebody else is refused and left as it is', async () => {
    await writeFile(join(folder, 'thesis.txt'), 'mine');
    const before = await stat(folder);
    await expect(makeLayout(layoutOf(folder))).rejects.toThrow('holds other files than Baton');
    expect(await readdir(folder)).toEqual(['thesis.txt']);
    expect((await stat(folder)).mode).toBe(before.mode);
  });

  test('that was there keeps its mode; one that is made lets the database pass', async () => {
    const before = await stat(folder);
    await makeLayout(layoutOf(folder));
    expect((await stat(folder)).mode).toBe(before.mode);
    await makeLayout(layoutOf(folder)); // Ours by now.
    await mkdir(join(folder, 'inner'));
    const made = join(folder, 'inner', 'made');
    await makeLayout(layoutOf(made));
    expect((await stat(made)).mode & 0o777).toBe(0o711);
  });

  test('is not made by `doctor`, which says when it is none', async () => {
    const missing = join(folder, 'missing');
    expect((await baton(['doctor', '--data', missing])).stdout).toContain(`GiB free in ${missing}`);
    expect(await readdir(folder)).toEqual([]);
    const file = join(folder, 'file');
    await writeFile(file, '');
    const { code, stdout } = await baton(['doctor', '--data', file]);
    expect(code).toBe(1);
    expect(stdout).toContain(`${file} is no folder`);
    expect((await baton(['doctor', '--data', folder])).stdout).toContain(
      `BAD   Data       ${folder} holds other files than Baton's`,
    );
    await rm(file);
    await mkdir(layoutOf(folder).record); // As if it were somebody else's: it cannot be read.
    expect((await baton(['doctor', '--data', folder])).stdout).toContain(
      `BAD   Data       nobody can say what runs in ${folder}`,
    );
  });
});

test('what is to be typed names the folder, as a shell takes it', async () => {
  const data = join(folder, 'two words');
  expect(await baton(['status', '--data', data])).toMatchObject({
    code: 3,
    stdout: '',
    stderr: `Nothing runs in ${data}: \`npm start -- --data '${data}'\` starts it.\n`,
  });
  expect((await baton(['logs', '--data', data])).stderr).toContain(`\`npm start -- --data '${data}'\``);
});

test('a launcher that was killed is not taken for the end of what it started', async () => {
  const living = identify(process.pid);
  if (!living) throw new Error('this process has no identity');
  await writeRecord(layoutOf(folder), {
    version: 1,
    launcher: { pid: process.pid, startedAt: 'another time' },
    control: { url: 'http://127.0.0.1:1', token: 'x' },
    groups: [
      { name: 'node-1', ...living },
      { name: 'broker', pid: process.pid, startedAt: 'another time' },
    ],
  });
  for (const words of [['status'], ['node', 'recover', 'node-1']]) {
    const { code, stderr } = await baton([...words, '--data', folder]);
    expect({ code, stderr }).toEqual({
      code: 1,
      stderr: `The launcher in ${folder} is gone, and left these running: node-1. \`npm run baton -- down --data ${folder}\` ends them, and so does the next start.\n`,
    });
  }
});

test('the release is told, and as one line', async () => {
  const { code, stdout } = await baton(['--version']);
  expect(code).toBe(0);
  expect(stdout).toMatch(/^\d+\.\d+\.\d+\n$/);
});

describe('a launcher that does not answer', () => {
  test.each([
    ['down', ['down']],
    ['invoke', ['invoke', 'mail']],
    ['mail test', ['mail', 'test', 'a@example.test']],
  ])('is told by `%s` in one line', async (_name, words) => {
    await record({ url: await listen(), token: 'x' });
    const { code, stderr } = await baton([...words, '--data', folder], { AWS_ENDPOINT_URL_LAMBDA: '' });
    expect(code).toBe(1);
    expect(stderr).toContain(`the launcher (pid ${process.pid}) does not answer`);
    expect(stderr.trimEnd().split('\n')).toHaveLength(1);
  });
});

test('no proxy is asked for what runs on this machine', async () => {
  const launcher = await startLauncher();
  const asked: string[] = [];
  const proxy = await listen(({ url }) => asked.push(url));
  try {
    await record({ url: launcher.url, token: launcher.token });
    const { code, stderr } = await baton(['status', '--json', '--data', folder], {
      NODE_USE_ENV_PROXY: '1',
      HTTP_PROXY: proxy,
      NO_PROXY: '',
    });
    expect({ code, stderr }).toEqual({ code: 0, stderr: '' });
    expect(asked).toEqual([]);
  } finally {
    await launcher.close();
  }
});
