// A raft thread that hangs in a write of its vote: its node does not go on saying that it leads.
import { mkdtemp, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { afterEach, beforeEach, expect, test, vi } from 'vitest';
import { RaftCluster } from '../../support/raft-cluster.ts';

const timing = { heartbeatMs: 20, electionTimeoutMs: 200, links: false }; // It may be silent for a second.
let folder: string;
let cluster: RaftCluster;

beforeEach(async () => {
  folder = await mkdtemp(join(tmpdir(), 'baton-hanging-disk-'));
  vi.stubEnv('NODE_OPTIONS', `--require ${fileURLToPath(new URL('hanging-disk.cjs', import.meta.url))}`);
  vi.stubEnv('BATON_TEST_HANG', join(folder, 'hang'));
  cluster = await RaftCluster.start({ nodes: 1, ...timing });
  vi.unstubAllEnvs();
});
afterEach(async () => {
  await cluster?.close();
  await rm(folder, { recursive: true, force: true });
});

test('a node whose raft thread hangs follows nobody until that goes on', async () => {
  const { id } = await cluster.settled();
  await writeFile(join(folder, 'hang'), '');
  cluster.refuseFence(id); // It leads the next term once that is on its disk.
  await expect
    .poll(() => cluster.problems(id))
    .toEqual([expect.stringContaining('the raft thread has said nothing')]);
  expect(cluster.role(id)).toBe('follower');
  expect((await cluster.status(id)).role).toEqual({ kind: 'follower', leader: null });
  await expect.poll(() => cluster.role(id)).toBe('leader');
});
