// `baton up --nodes N` on a stopped system of another size: it keeps its data and elects, and what would not be safe is
// refused with a reason.
import { spawn } from 'node:child_process';
import { randomUUID } from 'node:crypto';
import { once } from 'node:events';
import { mkdir, mkdtemp, readFile, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { takeIdentityLock } from '../../nodes/identity/identity-lock.ts';
import { openVoteFile } from '../../nodes/identity/vote-file.ts';
import { startRunningSystem, type RunningSystem } from '../support/running-system.ts';

const quiet = ['--no-demo', '--broker', 'development'];
let folder: string;

beforeAll(async () => {
  folder = await mkdtemp(join(tmpdir(), 'baton-membership-'));
});
afterAll(async () => {
  await rm(folder, { recursive: true, force: true });
});

const recorded = async (): Promise<object> =>
  JSON.parse(await readFile(join(folder, '.baton', 'nodes'), 'utf8')) as object;

async function withSystem<T>(
  args: readonly string[],
  use: (system: RunningSystem) => Promise<T>,
): Promise<T> {
  const system = await startRunningSystem([...quiet, ...args], { folder });
  try {
    return await use(system);
  } finally {
    await system.close();
  }
}
interface Seen {
  readonly nodes: string[];
  readonly term: number;
  readonly sources: string[];
  readonly generation: number;
}
async function look(system: RunningSystem): Promise<Seen> {
  const { nodes, term, leader } = await system.status();
  expect(leader).not.toBeNull();
  const { generation } = await system.get<{ generation: number }>('/cluster');
  const { sources } = await system.get<{ sources: { name: string }[] }>('/sources');
  return {
    nodes: nodes.map(({ id }) => id),
    term: term ?? 0,
    sources: sources.map(({ name }) => name),
    generation,
  };
}
const addSource = (system: RunningSystem, name: string) =>
  system.change('PUT', `/sources/${name}`, { kind: 'partner', name });

describe('the number of nodes changes between two starts', () => {
  test('1 to 3, 3 to 5 and back to 3: the data stays, the terms go on, and each size elects', async () => {
    let before = await withSystem(['--nodes', '1'], async (system) => {
      await addSource(system, 'one');
      return look(system);
    });
    expect(before).toMatchObject({ nodes: ['node-1'], generation: 1 });
    for (const [count, generation] of [
      [3, 3],
      [5, 5],
      [3, 7],
    ] as const) {
      const after = await withSystem(['--nodes', String(count)], async (system) => {
        expect(system.lines).toContainEqual(
          expect.objectContaining({ event: 'membership-changed', nodes: count, generation }),
        );
        const seen = await look(system);
        await addSource(system, `of-${generation}`);
        return seen;
      });
      expect(after.nodes).toHaveLength(count);
      expect(after.generation).toBe(generation);
      expect(after.term).toBeGreaterThan(before.term);
      expect(after.sources).toEqual(expect.arrayContaining(before.sources));
      before = after;
    }
    expect(await recorded()).toEqual({ generation: 7, nodes: 3, settled: true });
  }, 400_000);

  test('without --nodes it keeps what it has, and a majority of the new size survives a killed leader', async () => {
    await withSystem([], async (system) => {
      const { nodes, sources, term } = await look(system);
      expect(nodes).toHaveLength(3);
      expect(sources.sort()).toEqual(['of-3', 'of-5', 'of-7', 'one']);
      expect((await system.baton('kill', 'leader')).code).toBe(0);
      await expect
        .poll(
          async () => (await system.status()).leader !== null && ((await system.status()).term ?? 0) > term,
          {
            timeout: 20_000,
          },
        )
        .toBe(true);
    });
  });

  test('a change that was cut off after its first step is gone on with, whatever is asked for then', async () => {
    // As a launcher leaves it that died between two steps: the record names a generation that nobody has entered yet, and
    // in which node-4 comes back from two generations ago.
    await writeFile(
      join(folder, '.baton', 'nodes'),
      JSON.stringify({ generation: 8, nodes: 4, settled: false }),
    );
    await withSystem(['--nodes', '3'], async (system) => {
      expect(await look(system)).toMatchObject({ nodes: ['node-1', 'node-2', 'node-3'], generation: 9 });
    });
  });
});

describe('what would not be safe is refused', () => {
  let three: string;
  const dataOf = (nodeId: string): string => join(three, '.baton', 'data', nodeId);

  beforeAll(async () => {
    three = await mkdtemp(join(tmpdir(), 'baton-membership-refused-'));
    for (const name of ['secrets', 'tls', 'logs'])
      await mkdir(join(three, '.baton', name), { recursive: true });
    for (const nodeId of ['node-1', 'node-2']) await mkdir(dataOf(nodeId), { recursive: true });
    await record(JSON.stringify({ generation: 1, nodes: 3, settled: true }));
  });
  afterAll(async () => {
    await rm(three, { recursive: true, force: true });
  });
  const record = (text: string) => writeFile(join(three, '.baton', 'nodes'), text);

  test('a node that still runs is named', async () => {
    const unlock = takeIdentityLock({ dataDir: dataOf('node-2'), nodeId: 'node-2' });
    try {
      expect(await refusal(three, ['--nodes', '5'])).toMatch(/another process already runs as node-2/);
    } finally {
      unlock();
    }
  });

  test('a vote file of another cluster is named', async () => {
    openVoteFile({
      dataDir: dataOf('node-1'),
      clusterId: randomUUID(),
      nodeId: 'node-1',
      generation: 1,
      knownToDatabase: false,
      termAtLeast: 0,
    }).close();
    expect(await refusal(three, ['--nodes', '5'])).toMatch(
      /belongs to cluster .* wrong data folder or wrong database/,
    );
  });

  test('a record that says nothing is named, with what to do', async () => {
    await record('three');
    expect(await refusal(three, ['--nodes', '5'])).toMatch(/restore it, or name another folder with --data/);
  });
});

/** What `baton up` says when it does not start. */
async function refusal(root: string, args: readonly string[]): Promise<string> {
  const cli = fileURLToPath(new URL('../../emulator/cli.ts', import.meta.url));
  const launcher = spawn(
    process.execPath,
    [cli, 'up', '--isolated', '--json', '--data', join(root, '.baton'), ...quiet, ...args],
    { stdio: ['ignore', 'pipe', 'pipe'], timeout: 150_000 },
  );
  let said = '';
  for (const stream of [launcher.stdout, launcher.stderr])
    stream.on('data', (chunk: Buffer) => (said += chunk.toString('utf8')));
  const [code] = (await once(launcher, 'close')) as [number]; // All that it said has come by then.
  expect(code).toBe(1);
  return said;
}
