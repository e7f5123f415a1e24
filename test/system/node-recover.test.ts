// `baton node recover`: three nodes, of which one is gone for good and one has lost its vote file. Nobody may lead then,
// until a person gives that node a new one.
import { readFile, rm } from 'node:fs/promises';
import { join } from 'node:path';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { parseEventLine } from '../../runtime/logger.ts';
import { aLeader, eventually, startRunningSystem, type RunningSystem } from '../support/running-system.ts';

let system: RunningSystem;
/** The leader is the one that goes; `lost` loses its vote file; `whole` keeps everything. */
let gone: { id: string; pid: number };
let lost: string;
let whole: string;
let termBefore = 0;

const voteFile = (id: string): string => join(system.folder, '.baton', 'data', id, 'vote');
const recover = (...more: string[]) => system.baton('node', 'recover', lost, ...more);
async function clusterViewOf(id: string): Promise<{ abstaining: boolean; leader: object | null }> {
  const url = system.ready.nodes.find((node) => node.id === id)?.url;
  const answer = await fetch(`${url}/cluster`, { signal: AbortSignal.timeout(2_000) });
  return (await answer.json()) as { abstaining: boolean; leader: object | null };
}

beforeAll(async () => {
  system = await startRunningSystem(['--no-demo', '--broker', 'development']);
  await system.change('PUT', '/sources/before', { kind: 'partner', name: 'before' });
});
afterAll(async () => {
  if (gone) process.kill(gone.pid, 'SIGCONT');
  await system?.close();
});

test('a node that runs and votes is not recovered, and one that nobody knows is named', async () => {
  const refused = await system.baton('node', 'recover', 'node-2', '--yes');
  expect(refused).toMatchObject({ code: 1, stdout: '' });
  expect(refused.stderr).toMatch(/node-2 runs and votes \(term \d+\): there is nothing to recover/);
  const unknown = await system.baton('node', 'recover', 'node-9', '--yes');
  expect(unknown.stderr).toMatch(/there is no node node-9; there are node-1, node-2, node-3/);
});

describe('with one member gone and the vote file of another one lost', () => {
  beforeAll(async () => {
    const { nodes, leader, term } = await aLeader(system);
    const pidOf = (id: string): number => nodes.find((node) => node.id === id)?.pid ?? 0;
    const [first, second] = nodes.map(({ id }) => id).filter((id) => id !== leader);
    if (leader === null || !first || !second || !pidOf(leader) || !pidOf(first)) throw new Error('no leader');
    gone = { id: leader, pid: pidOf(leader) };
    lost = first;
    whole = second;
    termBefore = term ?? 0;
    await rm(voteFile(lost));
    await rm(voteFile(gone.id));
    // At once: a cluster that is left two voters for a moment elects one of them.
    process.kill(gone.pid, 'SIGSTOP');
    process.kill(pidOf(lost), 'SIGKILL');
    await eventually(
      `${lost} abstains, and ${whole} hears no leader any more`,
      async () => [await clusterViewOf(lost), await clusterViewOf(whole)] as const,
      ([loser, other]) => loser.abstaining && other.leader === null,
    );
  });

  test('nobody leads, for many election timeouts', async () => {
    await new Promise((resolve) => setTimeout(resolve, 4_000)); // Thirteen of 300 ms.
    expect((await system.status()).leader).toBeNull();
    expect((await clusterViewOf(lost)).abstaining).toBe(true);
    const { nodes } = await system.status();
    expect(nodes.find(({ id }) => id === lost)?.problems).toContainEqual(
      expect.stringMatching(/^this node lost its vote file .*`baton node recover`$/),
    );
  });

  test('without a yes it is only said what would be done, and who vouches for what', async () => {
    const { code, stdout, stderr } = await recover();
    expect(code).toBe(4);
    expect(stdout).toMatch(new RegExp(`database: term ${termBefore} was claimed last`));
    expect(stdout).toMatch(new RegExp(`${gone.id}: does not answer, and its vote file is not at hand`));
    expect(stdout).toMatch(new RegExp(`${whole}: in term \\d+, it says`));
    expect(stdout).toMatch(new RegExp(`every process of ${gone.id} that ran until now has ended`));
    expect(stderr).toMatch(/Nothing was done. With --yes it is done without asking/);
    expect((await clusterViewOf(lost)).abstaining).toBe(true);
  });

  test('while the database is away nothing is done', async () => {
    expect((await system.baton('pause', 'database')).code).toBe(0);
    try {
      const { code, stderr } = await recover('--yes');
      expect(code).toBe(1);
      expect(stderr).toMatch(
        /the database gives no answer, and without the terms that it knows nothing is safe/,
      );
    } finally {
      await system.baton('resume', 'database');
    }
  });

  test('with a yes there is a leader in a higher term, and it writes', async () => {
    const { code, stdout, stderr } = await recover('--yes', '--as', 'ann');
    expect({ code, stderr }).toEqual({ code: 0, stderr: '' });
    expect(stdout).toMatch(new RegExp(`${lost} has a new vote file, and runs again`));
    const { leader, term } = await eventually(
      'a leader',
      () => system.status(),
      (status) => status.leader !== null,
    );
    expect([lost, whole]).toContain(leader);
    expect(term).toBeGreaterThan(termBefore);
    await system.change('PUT', '/sources/after', { kind: 'partner', name: 'after' });
    const { sources } = await system.get<{ sources: { name: string }[] }>('/sources');
    expect(sources.map(({ name }) => name).sort()).toEqual(['after', 'before']);
  });

  test('who did it, and for whom nobody could say, stands in the log of the node', async () => {
    const log = await readFile(join(system.folder, '.baton', 'logs', `${lost}.log`), 'utf8');
    const events = log.split('\n').flatMap((line) => parseEventLine(line) ?? []);
    expect(events.filter(({ type }) => type === 'vote-file.recovered')).toEqual([
      expect.objectContaining({ node: lost, by: 'ann', unheard: [gone.id] }),
    ]);
  });

  test('asked once more there is nothing to recover', async () => {
    expect((await recover('--yes')).stderr).toMatch(/runs and votes/);
  });

  test('the one that was said to be gone comes back as it was: it leads no more, and the leader stays', async () => {
    const { leader, term } = await aLeader(system);
    process.kill(gone.pid, 'SIGCONT');
    await eventually(
      `${gone.id} follows`,
      () => system.status(),
      ({ nodes }) => nodes.find(({ id }) => id === gone.id)?.state === 'following',
    );
    expect(await aLeader(system)).toMatchObject({ leader, term });
  });
});
