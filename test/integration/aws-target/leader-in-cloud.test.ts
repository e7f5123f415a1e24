// `baton --target aws:<stage>` against a real leader over a real database: what CloudFormation and Secrets Manager say is the
// test's, and all between the command line and the rows is real.
import { randomBytes } from 'node:crypto';
import { afterAll, afterEach, beforeAll, beforeEach, expect, test } from 'vitest';
import { answerQueues, answerServices, batonOnAws } from '../../support/baton-on-aws.ts';
import { freePort } from '../../support/ports.ts';
import { describedStack, json, startSimulatedAws, type SimulatedAws } from '../../support/simulated-aws.ts';
import { entries, item, lead, useDatabases, type FreshDatabase } from '../database/fresh-database.ts';
import { serveLeader, tokens, type ServedLeader } from '../dead-letters/served-leader.ts';
import { simulatedBroker } from '../node/simulated-edges.ts';

const databases = useDatabases();
let aws: SimulatedAws;
let database: FreshDatabase;
let leader: ServedLeader;

beforeAll(async () => {
  aws = await startSimulatedAws();
  answerServices(aws);
  answerQueues(aws);
  aws.answers.set('GetSecretValue', () => json({ SecretString: JSON.stringify(tokens) }));
});
afterAll(() => aws.close());
beforeEach(async () => {
  database = await databases.fresh();
  await lead(database.store);
  const publicUrl = `http://127.0.0.1:${await freePort()}`;
  aws.answers.set('DescribeStacks', () => describedStack({ PublicUrl: publicUrl }));
  leader = await serveLeader({ store: database.store, broker: simulatedBroker, term: 2, publicUrl });
});
afterEach(() => leader.close());

const baton = (...words: string[]) => batonOnAws(aws, ['--target', 'aws:dev', ...words]);

test('dead letters: listed, shown and discarded under the name of who did it', async () => {
  await database.store.keepDeadLetters(2, [
    {
      queue: 'mail',
      routingKey: 'mail.send',
      messageId: 'mail/1',
      type: 'mail.send',
      source: null,
      code: 'MESSAGE_MALFORMED',
      reason: 'no address',
      group: 'a1b2c3d4e5',
      headers: {},
      body: Buffer.from('{"mailId":1}'),
      traceparent: null,
      retries: 0,
      cameFrom: null,
      fingerprint: randomBytes(32),
      diedAt: new Date(),
    },
  ]);
  const list = await baton('dlq', 'list', '--group', 'a1b2c3d4e5', '--json');
  expect(list).toMatchObject({ code: 0, stderr: '' });
  const { id, reason } = JSON.parse(list.stdout) as { id: number; reason: string };
  expect(reason).toBe('no address');
  expect((await baton('dlq', 'show', String(id))).stdout).toContain('"mailId": 1');
  expect((await baton('dlq', 'discard', String(id), '--reason', 'a test', '--as', 'ann')).stdout).toBe(
    'Discarded 1 dead letter.\n',
  );
  expect((await baton('dlq', 'actions', '--json')).stdout).toContain('"by":"ann"');
  expect((await baton('dlq', 'list')).stdout).not.toContain('MESSAGE_MALFORMED');
});

test('trace: the versions of an item, and what nobody knows', async () => {
  await database.store.writeBatch(2, entries(item('a/1', 1, { title: 'A boot' })));
  const { code, stdout, stderr } = await baton('trace', 'shop/a/1');
  expect({ code, stderr }).toEqual({ code: 0, stderr: '' });
  expect(stdout).toContain('shop/a/1  A boot');
  expect(stdout).toMatch(/row +.*term 2/);
  expect(await baton('trace', 'shop/a/2')).toMatchObject({ code: 1, stdout: '' });
});

test('status, nodes and erase: of the leader as it is', async () => {
  const status = await baton('status');
  expect(status).toMatchObject({ code: 0, stderr: '' });
  expect(status.stdout).toContain('node-1 leads in term 2.');
  const nodes = await baton('nodes', '--json');
  expect(JSON.parse(nodes.stdout)).toMatchObject({
    id: 'node-1',
    role: 'leader',
    state: 'leading',
    term: 2,
    generation: 1,
    votes: true,
    health: 'ok',
  });
  expect((await baton('erase', 'one@example.org')).stdout).toContain('Erased: 0 watches');
});

test('a token that the node does not know is refused with its reason', async () => {
  aws.answers.set('GetSecretValue', () => json({ SecretString: '{"operator":"of-another-stage"}' }));
  try {
    const { code, stderr } = await baton('erase', 'one@example.org');
    expect(code).toBe(1);
    expect(stderr).toMatch(/token/);
    expect(stderr).not.toContain('of-another-stage');
  } finally {
    aws.answers.set('GetSecretValue', () => json({ SecretString: JSON.stringify(tokens) }));
  }
});
