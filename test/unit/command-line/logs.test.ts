// `baton logs` right after a file was begun anew still has the end of the earlier one.
import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { mkdir, mkdtemp, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterEach, beforeEach, expect, test, vi } from 'vitest';
import { logs } from '../../../emulator/commands/logs.ts';
import { layoutOf, writeRecord } from '../../../emulator/instance/instance.ts';
import { identify } from '../../../emulator/instance/process-table.ts';
import { RotatingFile } from '../../../emulator/rotating-file.ts';

let folder: string;
beforeEach(async () => {
  folder = await mkdtemp(join(tmpdir(), 'baton-logs-'));
  await mkdir(join(folder, 'logs'));
});
afterEach(async () => {
  vi.restoreAllMocks();
  await rm(folder, { recursive: true, force: true });
});

function whatIsPrinted(): string[] {
  const printed: string[] = [];
  vi.spyOn(process.stdout, 'write').mockImplementation((text) => printed.push(String(text)) > 0);
  return printed;
}

test('the end of the earlier file comes before the lines of the present one', async () => {
  const earlier = Array.from({ length: 300 }, (_, index) => `line ${index}`).join('\n');
  await writeFile(join(folder, 'logs', 'ftp.log.1'), `${earlier}\n`);
  await writeFile(join(folder, 'logs', 'ftp.log'), 'newest\n');
  const printed = whatIsPrinted();
  expect(await logs([], { data: folder })).toBe(0);
  expect(printed).toHaveLength(200);
  expect(printed.at(0)).toContain(' line 101');
  expect(printed.at(-1)).toContain(' newest');
});

test('followed, each line comes once: over a rotation, from a service that begins later, and to the end of the system', async () => {
  const launcher = spawn(process.execPath, ['-e', 'setInterval(() => {}, 1000)'], { stdio: 'ignore' });
  await once(launcher, 'spawn');
  const identity = identify(launcher.pid ?? 0);
  if (!identity) throw new Error('the launcher has no identity');
  await writeRecord(layoutOf(folder), {
    version: 1,
    launcher: identity,
    control: { url: 'http://127.0.0.1:1', token: 'x' },
    groups: [],
  });
  const log = (name: string, bytesMax?: number) =>
    new RotatingFile(join(folder, 'logs', `${name}.log`), bytesMax);
  const ftp = log('ftp', 50);
  ftp.line('before');
  const printed = whatIsPrinted();
  try {
    const followed = logs([], { data: folder, follow: true });
    await vi.waitUntil(() => printed.length === 1);
    const wanted = ['before', ...Array.from({ length: 9 }, (_, nth) => `${nth} ${'ä'.repeat(10)}`)];
    for (const line of wanted.slice(1)) {
      ftp.line(line); // Each third begins a new file.
      await vi.waitUntil(() => printed.at(-1)?.includes(line));
    }
    log('lambda').line('x'.repeat(300_000));
    await vi.waitUntil(() => printed.at(-1)?.includes('lambda '));
    ftp.line('the last words');
    launcher.kill('SIGKILL');
    expect(await followed).toBe(0);
    const ofFtp = printed.filter((line) => line.includes('ftp  '));
    expect(ofFtp).toEqual(
      [...wanted, 'the last words'].map((line) => `${' '.repeat(14)}${'ftp'.padEnd(14)} ${line}\n`),
    );
    const ofLambda = printed.filter((line) => line.includes('lambda  ')).map((line) => line.slice(29, -1));
    expect(ofLambda.join('')).toBe('x'.repeat(300_000));
  } finally {
    launcher.kill('SIGKILL');
  }
});

test('lines of all services come in the order of their times, as people read them; a line without a time stays in its place', async () => {
  const at = (second: number): string => `2026-01-31T12:00:0${second}.123Z`;
  const ofNode = [
    { level: 'info', at: at(1), process: 'node-1', event: true, version: 1, type: 'leader.writes', term: 3 },
    { level: 'warn', at: at(5), process: 'node-1', msg: 'late\u001b[31m' },
  ];
  await writeFile(
    join(folder, 'logs', 'node-1.log'),
    ofNode.map((line) => `${JSON.stringify(line)}\n`).join(''),
  );
  await writeFile(
    join(folder, 'logs', 'database.log'),
    '2026-01-31 12:00:03.000 UTC [7] LOG:  ready\n\tand more of it\n2026-01-31 12:00:06.000 UTC [7] LOG:  end\n',
  );
  const printed = whatIsPrinted();
  expect(await logs([], { data: folder })).toBe(0);
  expect(printed).toEqual([
    '12:00:01.123  node-1         leader.writes term=3\n',
    '12:00:03.000  database       [7] LOG:  ready\n',
    '              database        and more of it\n',
    '12:00:05.123  node-1         warn late [31m\n',
    '12:00:06.000  database       [7] LOG:  end\n',
  ]);
  printed.length = 0;
  expect(await logs([], { data: folder, tail: 2, json: true })).toBe(0);
  expect(printed.map((line) => (JSON.parse(line) as { service: string }).service)).toEqual([
    'node-1',
    'database',
  ]);
  printed.length = 0;
  expect(await logs([], { data: folder, since: 60_000 })).toBe(0);
  expect(printed).toEqual([]);
});

test('without a system there is nothing to follow', async () => {
  await writeFile(join(folder, 'logs', 'ftp.log'), 'old\n');
  const printed = whatIsPrinted();
  vi.spyOn(process.stderr, 'write').mockReturnValue(true);
  expect(await logs([], { data: folder, follow: true })).toBe(3);
  expect(printed).toHaveLength(1);
});
