// The variables of node-1 as a process, for programs that run in its place: a real database, and a broker that is away.
import { writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import type { EnvironmentInput, Member } from '../../contracts/environment.ts';
import { makeCertificates } from './certificates.ts';
import type { TestPostgres } from './postgres.ts';

/** `folder`: of its vote file and its secrets. */
export async function nodeEnvironment(
  folder: string,
  {
    url,
    server,
    members,
    generation,
  }: {
    url: string;
    server: Pick<TestPostgres, 'password' | 'ca'>;
    members: readonly Member[];
    generation: number;
  },
): Promise<Record<string, string>> {
  const secret = async (name: string, text: string): Promise<string> => {
    await writeFile(join(folder, name), text);
    return `file:${join(folder, name)}`;
  };
  const { ca, cert, key } = await makeCertificates(folder);
  const environment: EnvironmentInput<'node'> = {
    BATON_NODE_ID: 'node-1',
    BATON_CLUSTER: 'test',
    BATON_MEMBERS: JSON.stringify(members),
    BATON_GENERATION: String(generation),
    BATON_DATA: folder,
    BATON_PUBLIC_PORT: '7101',
    BATON_INTERNAL_PORT: '7102',
    BATON_UDP_PORT: '7001',
    BATON_DATABASE_URL: url,
    BATON_DATABASE_PASSWORD_URI: await secret('password', server.password),
    BATON_DATABASE_CA_URI: await secret('database-ca', server.ca),
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
  return { PATH: process.env['PATH'] ?? '', ...(environment as Record<string, string>) };
}
