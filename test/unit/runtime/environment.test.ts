// What a node is started with: settings that are right one by one and cannot work together are refused, each by its name.
import { expect, test } from 'vitest';
import type { EnvironmentInput } from '../../../contracts/environment.ts';
import { readEnvironment } from '../../../runtime/config.ts';

const member = (number: number, over: object = {}) => ({
  id: `node-${number}`,
  udp: `10.0.0.${number}:7000`,
  internalUrl: `https://node-${number}:7443`,
  publicUrl: `https://node-${number}`,
  ...over,
});
const members = (...those: object[]): string => JSON.stringify(those);
const works: EnvironmentInput<'node'> = {
  BATON_NODE_ID: 'node-1',
  BATON_CLUSTER: 'test',
  BATON_MEMBERS: members(member(1), member(2), member(3)),
  BATON_DATA: '/data',
  BATON_PUBLIC_PORT: '8080',
  BATON_INTERNAL_PORT: '7443',
  BATON_UDP_PORT: '7000',
  BATON_DATABASE_URL: 'postgres://baton@database:5432/baton',
  BATON_DATABASE_PASSWORD_URI: 'file:/secrets/password',
  BATON_CLUSTER_KEYS_URI: 'file:/secrets/keys',
  BATON_TOKENS_URI: 'file:/secrets/tokens',
  BATON_ANNOUNCE_QUEUE_URL: 'https://queue.example/announce',
  BATON_MAIL_FROM: 'baton@example.test',
  BATON_BROKER_URL: 'amqps://broker:5671',
  BATON_BROKER_CREDENTIALS_URI: 'file:/secrets/broker',
  BATON_TLS_CA_URI: 'file:/tls/ca',
  BATON_TLS_CERT_URI: 'file:/tls/cert',
  BATON_TLS_KEY_URI: 'file:/tls/key',
  AWS_REGION: 'eu-central-1',
};
const read = (over: Record<string, string>) =>
  readEnvironment('node', { ...(works as Record<string, string>), ...over });

test('what works is read', () => {
  expect(read({})).toMatchObject({ BATON_NODE_ID: 'node-1', BATON_ELECTION_TIMEOUT_MS: 300 });
});

test.each([
  [
    'a member twice',
    { BATON_MEMBERS: members(member(1), member(1, { udp: '10.0.0.9:1' })) },
    /BATON_MEMBERS is wrong: two members have the id node-1/,
  ],
  [
    'one address for two',
    { BATON_MEMBERS: members(member(1), member(2, { udp: '10.0.0.1:7000' })) },
    /two members have the udp 10\.0\.0\.1:7000/,
  ],
  [
    'more members than a heartbeat can name',
    { BATON_MEMBERS: members(...Array.from({ length: 17 }, (_, index) => member(index + 1))) },
    /BATON_MEMBERS is wrong: 17 members, and 16 are possible/,
  ],
  ['nobody who votes', { BATON_MEMBERS: members(member(1, { voter: false })) }, /no member votes/],
  [
    'a node that is none of them',
    { BATON_NODE_ID: 'node-7' },
    /BATON_NODE_ID is wrong: node-7 is not among the members node-1, node-2, node-3/,
  ],
  [
    'a timeout that two lost heartbeats use up',
    { BATON_HEARTBEAT_MS: '400', BATON_ELECTION_TIMEOUT_MS: '1000' },
    /BATON_ELECTION_TIMEOUT_MS is wrong: 1000 ms; with a heartbeat of 400 ms it is 1200 at least/,
  ],
])('%s is refused', (_what, over, words) => {
  expect(() => read(over as Record<string, string>)).toThrow(words);
});
