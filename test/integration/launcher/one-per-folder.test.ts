// Two launchers on one folder, at the same moment: one runs, and the other one changes nothing. The services are a stand-in,
// since none of them matters here.
import { mkdir, mkdtemp, readFile, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterEach, beforeEach, expect, test } from 'vitest';
import { layoutOf, readRecord } from '../../../emulator/instance/instance.ts';
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

/** All of it is a process that says that it leads. */
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
  const leader = {
    name: 'node-1',
    kind: 'node',
    address: '',
    about: '',
    command: {
      file: process.execPath,
      args: ['-e', `process.stdout.write(${JSON.stringify(lines)}); setInterval(() => {}, 1000);`],
      env: {},
    },
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
