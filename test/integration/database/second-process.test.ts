// nodes/main.ts as a process: one that is not to run as this node leaves nothing in the database.
import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { mkdtemp, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { expect, test } from 'vitest';
import type { EnvironmentInput } from '../../../contracts/environment.ts';
import { takeIdentityLock } from '../../../nodes/identity/identity-lock.ts';
import { makeFirstVoteFile } from '../../../nodes/identity/vote-file.ts';
import { makeCertificates } from '../../support/certificates.ts';
import { membersAt } from '../../support/raft-threads.ts';
import { useDatabases } from './fresh-database.ts';

const databases = useDatabases();
const main = fileURLToPath(new URL('../../../nodes/main.ts', import.meta.url));

test('a second process of a node, with the next generation, is refused and not recorded', async () => {
  const { node, url, connect } = await databases.fresh();
  const folder = await mkdtemp(join(tmpdir(), 'baton-test-second-'));
  const secret = async (name: string, text: string): Promise<string> => {
    await writeFile(join(folder, name), text);
    return `file:${join(folder, name)}`;
  };
  const unlock = takeIdentityLock({ dataDir: folder, nodeId: 'node-1' });
  try {
    const members = membersAt([7001, 7002, 7003, 7004]);
    const database = node('node-1');
    const { clusterId } = await database.cluster('test');
    makeFirstVoteFile({ dataDir: folder, clusterId, nodeId: 'node-1' });
    for (const nodeId of ['node-1', 'node-2', 'node-3'])
      await database.admit({ nodeId, generation: 1, members: members.slice(0, 3), term: 0 });

    const { ca, cert, key } = await makeCertificates(folder);
    const env: EnvironmentInput<'node'> = {
      BATON_NODE_ID: 'node-1',
      BATON_CLUSTER: 'test',
      BATON_MEMBERS: JSON.stringify(members),
      BATON_GENERATION: '2',
      BATON_DATA: folder,
      BATON_PUBLIC_PORT: '7101',
      BATON_INTERNAL_PORT: '7102',
      BATON_UDP_PORT: '7001',
      BATON_DATABASE_URL: url,
      BATON_DATABASE_PASSWORD_URI: await secret('password', databases.server().password),
      BATON_DATABASE_CA_URI: await secret('database-ca', databases.server().ca),
      BATON_CLUSTER_KEYS_URI: await secret(
        'keys',
        JSON.stringify({ current: { id: 1, key: Buffer.alloc(32, 1).toString('base64') } }),
      ),
      BATON_TOKENS_URI: await secret('tokens', '{}'),
      BATON_ANNOUNCE_QUEUE_URL: 'http://127.0.0.1:9/queue',
      BATON_MAIL_FROM: 'baton@example.test',
      AWS_REGION: 'eu-central-1',
      BATON_BROKER_URL: 'amqps://127.0.0.1:9',
      BATON_BROKER_CREDENTIALS_URI: await secret('broker', '{"username":"u","password":"p"}'),
      BATON_TLS_CA_URI: await secret('ca', ca),
      BATON_TLS_CERT_URI: await secret('cert', cert),
      BATON_TLS_KEY_URI: await secret('key', key),
    };
    const second = spawn(process.execPath, [main], {
      env: { PATH: process.env['PATH'], ...(env as Record<string, string>) },
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
