// `baton --target aws:<stage>` breaks a stage that may be broken, refuses what is not there, and says of each failure where it
// was and what to do, in one line.
import { once } from 'node:events';
import { createServer } from 'node:http';
import type { AddressInfo } from 'node:net';
import { describe, expect, test } from 'vitest';
import { commandOnAws, taskArn } from '../../support/baton-on-aws.ts';
import { awsError, describedStack, json, missingStack } from '../../support/simulated-aws.ts';
import { useSimulatedStage } from '../../support/simulated-stage.ts';

const stage = useSimulatedStage();
const baton = (...words: string[]) => commandOnAws(stage.aws, words);

describe('faults on a stage', () => {
  test('kill leader: its task is stopped, with who did it, and what ECS does is said', async () => {
    stage.aws.answers.set('StopTask', () => json({ task: {} }));
    const { code, stdout, stderr } = await baton('kill', 'leader', '--target', 'aws:dev');
    expect({ code, stderr }).toEqual({ code: 0, stderr: '' });
    expect(stdout).toMatch(/stopped the task task-of-node-2 of node-2: ECS sends SIGTERM first/);
    const stopped = stage.aws.asked.find(({ operation }) => operation === 'StopTask')?.body ?? '';
    expect(JSON.parse(stopped)).toMatchObject({
      cluster: 'baton-dev',
      task: taskArn('node-2'),
      reason: expect.stringMatching(/^baton kill, by ./) as string,
    });
  });

  test.each(['kill leader', 'kill node-1', 'pause node-1', 'transfer', 'chaos partition leader'])(
    '%s: a stage that allows no faults refuses, and AWS is asked nothing',
    async (words) => {
      const { code, stderr } = await baton(...words.split(' '), '--target', 'aws:prod');
      expect(code).toBe(1);
      expect(stderr).toContain('the stage prod allows no faults');
      expect(stage.operations()).toEqual([]);
      expect(stage.tokensSeen).toEqual([]);
    },
  );

  test.each([
    [['pause', 'node-1'], /`pause` is not there on AWS/],
    [['chaos', 'loss', 'all', '30%'], /a stage on AWS has none/],
    [['kill', 'broker'], /ECS runs no service broker of ours; there are node-1, node-2, node-3, ftp/],
  ])('%j: what AWS cannot do is refused with the reason', async (words, reason) => {
    const { code, stderr } = await baton(...words, '--target', 'aws:dev');
    expect(code).toBe(1);
    expect(stderr).toMatch(reason);
    expect(stage.operations()).not.toContain('StopTask');
  });

  test('transfer: the leader is asked to hand over', async () => {
    expect(await baton('transfer', 'node-1', '--target', 'aws:dev')).toEqual({
      code: 0,
      stdout: 'handed over to node-1\n',
      stderr: '',
    });
  });
});

describe('what goes wrong says where and what to do, in one line', () => {
  const missing = (): void =>
    void stage.aws.answers.set('DescribeStacks', () => missingStack('baton-dev-nodes'));
  test.each([
    [['status'], 'aws:nowhere', 2, /cdk\.json has no stage nowhere; on AWS there are dev, prod\n/],
    [['dlq', 'list'], 'aws:nowhere', 2, /cdk\.json has no stage nowhere/],
    [['status'], 'aws:local', 2, /stage local is of the emulators/],
    [['status'], 'gcp', 2, /It is local, compose or aws:<stage>/],
    [['mail', 'test', 'a@example.org'], 'aws:dev', 2, /`mail test` is for the local system/],
  ])('%j of %s', async (words, target, code, said) => {
    const ended = await baton('--target', target, ...words);
    expect(ended).toMatchObject({ code, stdout: '', stderr: expect.stringMatching(said) as string });
    expect(stage.operations()).toEqual([]);
  });

  test.each([['status'], ['nodes'], ['dlq list'], ['trace a/b'], ['kill leader']])(
    '%s: a stage that is not deployed is nothing that runs',
    async (words) => {
      missing();
      const { code, stderr } = await baton(...words.split(' '), '--target', 'aws:dev');
      expect(code).toBe(3);
      expect(stderr).toMatch(
        /^the stack baton-dev-nodes is not there in eu-central-1: `npm run aws -- deploy --stage dev`[^\n]*\n$/,
      );
    },
  );

  test('a cluster that is gone is nothing that runs', async () => {
    stage.aws.answers.set('DescribeServices', () =>
      awsError('ClusterNotFoundException', 'Cluster not found.'),
    );
    const { code, stderr } = await baton('status', '--target', 'aws:dev');
    expect(code).toBe(3);
    expect(stderr).toMatch(/^the ECS cluster baton-dev is not there in eu-central-1/);
  });

  test('a load balancer without a node behind it is no node', async () => {
    const page = createServer((_request, response) => response.writeHead(503).end('<html>503</html>'));
    stage.servers.push(page);
    page.listen(0, '127.0.0.1');
    await once(page, 'listening');
    const PublicUrl = `http://127.0.0.1:${(page.address() as AddressInfo).port}`;
    stage.aws.answers.set('DescribeStacks', () => describedStack({ PublicUrl }));
    const { code, stderr } = await baton('dlq', 'list', '--target', 'aws:dev');
    expect(code).toBe(1);
    expect(stderr).toMatch(/^no node answers at [^\n]*: http:\/\/127\.0\.0\.1:\d+\/cluster answers 503\n$/);
    expect(stage.operations()).not.toContain('GetSecretValue');
  });

  test('an action that is not granted is named, with its resource', async () => {
    stage.aws.answers.set('GetSecretValue', () =>
      awsError('AccessDeniedException', 'User: me is not authorized'),
    );
    const { code, stderr } = await baton('erase', 'one@example.org', '--target', 'aws:dev');
    expect(code).toBe(1);
    expect(stderr).toMatch(
      /^these credentials may not secretsmanager:GetSecretValue on baton\/dev\/tokens: [^\n]*User: me[^\n]*\n$/,
    );
  });

  test('a secret without a token says so, and not what it holds', async () => {
    stage.aws.answers.set('GetSecretValue', () => json({ SecretString: '{"operater":"a-secret"}' }));
    const { code, stderr } = await baton('dlq', 'list', '--target', 'aws:dev');
    expect(code).toBe(1);
    expect(stderr).toContain('the secret baton/dev/tokens holds no operator');
    expect(stderr).not.toContain('a-secret');
  });
});
