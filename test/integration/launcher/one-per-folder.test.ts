// The launcher of one folder: of two at the same moment one runs, and the other one changes nothing; a service that is
// restarted runs the code as it is now. The services are a stand-in, since none of them matters here.
import { mkdir, mkdtemp, readFile, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterEach, beforeEach, expect, test } from 'vitest';
import { layoutOf, readRecord, type Layout } from '../../../emulator/instance/instance.ts';
import { tellLauncher } from '../../../emulator/launcher/ask-launcher.ts';
import type { StackSettings } from '../../../emulator/stack/settings.ts';
import { describeStack, type Stack } from '../../../emulator/stack/stack.ts';
import { startSystem, type System } from '../../../emulator/system.ts';

let folder: string;
const running: System[] = [];
beforeEach(async () => void (folder = await mkdtemp(join(tmpdir(), 'baton-launchers-'))));
afterEach(async () => {
  for (const system of running.splice(0)) await system.stop();
  await rm(folder, { recursive: true, force: true });
});

const programIn = ({ secrets }: Layout): string => join(secrets, 'program.mjs');

/** All of it is a process that says that it leads; its program lies where it does not count. */
async function describe(settings: StackSettings): Promise<Stack> {
  const stack = await describeStack(settings);
  const event = {
    event: true,
    type: 'fence.claimed',
    version: 1,
    at: new Date().toISOString(),
    process: 'node-1',
    node: 'node-1',
    term: 1,
    tookMs: 1,
  };
  const lines = [{ ready: true, address: '' }, event].map((line) => `${JSON.stringify(line)}\n`).join('');
  const program = programIn(settings.layout);
  await writeFile(program, `process.stdout.write(${JSON.stringify(lines)}); setInterval(() => {}, 1000);`);
  const leader = {
    name: 'node-1',
    kind: 'node',
    address: '',
    about: '',
    command: { file: process.execPath, args: [program], env: {} },
    startWithinMs: 20_000,
    stopSignal: 'SIGTERM',
    stopWithinMs: 1_000,
  } as const;
  return { ...stack, first: [leader], next: [], last: [] };
}
const start = async (): Promise<System> => {
  const system = await startSystem(
    {
      layout: layoutOf(folder),
      nodes: 1,
      isolated: true,
      demo: false,
      broker: 'development',
      itemPartitions: 1,
      timeouts: { heartbeatMs: 50, electionTimeoutMs: 300 },
      links: false,
      privateShops: [],
      contact: undefined,
      awsEndpoint: undefined,
      lambdaEndpoint: undefined,
      collector: {},
    },
    () => undefined,
    { describe },
  );
  running.push(system);
  return system;
};

test('of two that start at once one runs, and the other one says so', async () => {
  const outcomes = await Promise.allSettled([start(), start()]);
  expect(outcomes.map(({ status }) => status).toSorted()).toEqual(['fulfilled', 'rejected']);
  const refused = outcomes.find(({ status }) => status === 'rejected') as PromiseRejectedResult;
  expect(String(refused.reason)).toContain(`another start or end is under way in ${folder}`);
  expect(await readRecord(layoutOf(folder))).toMatchObject({ launcher: { pid: process.pid } });
});

test('one that runs is named, with the command that ends it; after its end another one may start', async () => {
  const first = await start();
  await expect(start()).rejects.toThrow(
    `Baton runs already in ${folder} (pid ${process.pid}): \`npm run baton -- down --data ${folder}\` ends it`,
  );
  await first.stop();
  await start();
});

test('one whose record was deleted still has its folder', async () => {
  await start();
  await rm(layoutOf(folder).record);
  await expect(start()).rejects.toThrow('or its instance.json was deleted');
});

test('a start that fails leaves its folder', async () => {
  await start().then((system) => system.stop());
  const { membership } = layoutOf(folder);
  const before = await readFile(membership, 'utf8');
  await rm(membership);
  await mkdir(membership);
  await expect(start()).rejects.toThrow(`${membership} cannot be read`);
  await rm(membership, { recursive: true });
  await writeFile(membership, before);
  await start();
});

test('a service is restarted with the code as it is now; code that cannot run is said, and waits until it can', async () => {
  const system = await start();
  const record = await readRecord(layoutOf(folder));
  if (!record) throw new Error('nothing is recorded');
  const restart = (target: string): Promise<string> =>
    tellLauncher(record, { path: 'restart', target }, 60_000);
  const node = async () => (await system.status()).services[0];
  const before = await node();
  expect(await restart('node-1')).toBe('node-1 runs again');
  expect(await node()).toMatchObject({ state: 'up', restarts: 0, lastEnd: null });
  expect((await node())?.pid).not.toBe(before?.pid);

  const program = programIn(layoutOf(folder));
  const good = await readFile(program, 'utf8');
  await writeFile(program, 'this is no JavaScript');
  await expect(restart('node-1')).rejects.toThrow(/node-1 ended while it started.*SyntaxError/s);
  expect(await node()).toMatchObject({ state: 'stopped', pid: null });
  await writeFile(program, good);
  expect(await restart('node-1')).toBe('node-1 runs again');
  await expect(restart('node-7')).rejects.toThrow('there is no service node-7; there are node-1');
});
