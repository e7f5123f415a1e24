// nodes/main.ts as a process: one that is not to run as this node leaves nothing in the database.
import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { expect, test } from 'vitest';
import { takeIdentityLock } from '../../../nodes/identity/identity-lock.ts';
import { makeFirstVoteFile } from '../../../nodes/identity/vote-file.ts';
import { nodeEnvironment } from '../../support/node-environment.ts';
import { membersAt } from '../../support/raft-threads.ts';
import { useDatabases } from './fresh-database.ts';

const databases = useDatabases();
const main = fileURLToPath(new URL('../../../nodes/main.ts', import.meta.url));

test('a second process of a node, with the next generation, is refused and not recorded', async () => {
  const { node, url, connect } = await databases.fresh();
  const folder = await mkdtemp(join(tmpdir(), 'baton-test-second-'));
  const unlock = takeIdentityLock({ dataDir: folder, nodeId: 'node-1' });
  try {
    const members = membersAt([7001, 7002, 7003, 7004]);
    const database = node('node-1');
    const { clusterId } = await database.cluster('test');
    makeFirstVoteFile({ dataDir: folder, clusterId, nodeId: 'node-1' });
    for (const nodeId of ['node-1', 'node-2', 'node-3'])
      await database.admit({ nodeId, generation: 1, members: members.slice(0, 3), term: 0 });

    const env = await nodeEnvironment(folder, { url, server: databases.server(), members, generation: 2 });
    const second = spawn(process.execPath, [main], {
      env,
      stdio: ['ignore', 'ignore', 'pipe'],
    });
    let said = '';
    second.stderr.on('data', (bytes: Buffer) => (said += bytes.toString()));
    const [code] = await once(second, 'close');
    expect({ code, said }).toEqual({ code: 1, said: expect.stringMatching(/already runs as node-1/) });
    const { rows } = await (await connect()).query('SELECT generation FROM members ORDER BY node_id');
    expect(rows).toEqual([{ generation: 1 }, { generation: 1 }, { generation: 1 }]);
  } finally {
    unlock();
    await rm(folder, { recursive: true });
  }
}, 60_000);
