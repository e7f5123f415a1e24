// `baton --target aws:<stage>` looks at a stage: what it prints, and what it asks of APIs of AWS and nodes that the test answers
// for. What is ours, from the words to the request, is real.
import { describe, expect, test } from 'vitest';
import type { CloudStatus } from '../../../emulator/aws/status.ts';
import type { NodeDetail } from '../../../emulator/commands/nodes.ts';
import { answerServices, commandOnAws } from '../../support/baton-on-aws.ts';
import { awsError, json } from '../../support/simulated-aws.ts';
import { useSimulatedStage } from '../../support/simulated-stage.ts';

const stage = useSimulatedStage();
const baton = (...words: string[]) => commandOnAws(stage.aws, words);

describe('status of a stage', () => {
  test('nodes as they answer, tasks as ECS counts them, SQS queues, what is stored', async () => {
    answerServices(stage.aws, {
      'node-3': {
        runningCount: 0,
        pendingCount: 1,
        deployments: [{ status: 'PRIMARY', rolloutState: 'IN_PROGRESS' }],
        events: [{ message: 'unable to pull the image' }],
      },
    });
    const { code, stdout, stderr } = await baton('--target', 'aws:dev', 'status');
    expect({ code, stderr }).toEqual({ code: 0, stderr: '' });
    expect(stdout).toContain('node-2 leads in term 7.');
    expect(stdout).toMatch(/\* node-2 +leading +term 7 +ok/);
    expect(stdout).toMatch(/node-1 +up +1 of 1 running, 0 pending, deployment COMPLETED\n/);
    expect(stdout).toMatch(/node-3 +starting +0 of 1 running, 1 pending, .*IN_PROGRESS: unable to pull/);
    expect(stdout).toMatch(/baton-dev-tick-delayed +queue +0 waiting, 1 in flight, 1 delayed/);
    expect(stdout).toContain('1,234 items in 2,000 versions');
    expect(stdout).toContain('! node-3: the broker does not answer');
    // Nobody has a process id here.
    expect(stdout).not.toContain('pid');
    expect(stage.aws.asked.find(({ operation }) => operation === 'DescribeServices')?.body).toContain(
      'baton-dev',
    );
  });

  test('--json has the fields of the local status, and those of the cloud', async () => {
    const { code, stdout } = await baton('status', '--target', 'aws:dev', '--json');
    expect(code).toBe(0);
    const status = JSON.parse(stdout) as CloudStatus;
    expect(status).toMatchObject({
      stage: 'dev',
      leader: 'node-2',
      term: 7,
      counts: { queued: 6 },
      faults: [],
    });
    expect(status.nodes.map(({ id, state, pid }) => [id, state, pid])).toEqual([
      ['node-1', 'following', null],
      ['node-2', 'leading', null],
      ['node-3', 'following', null],
    ]);
    expect(status.services[0]).toMatchObject({ name: 'node-1', desired: 1, running: 1, pending: 0 });
  });

  test('what cannot be read is said, and the rest is shown', async () => {
    for (const server of stage.servers) {
      server.closeAllConnections();
      server.close();
    }
    stage.aws.answers.set('GetQueueUrl', () => awsError('AccessDeniedException', 'not authorized'));
    const { code, stdout } = await baton('status', '--target', 'aws:dev');
    expect(code).toBe(0);
    expect(stdout).toContain('Nobody leads.');
    expect(stdout).toMatch(/node-1 +unknown +term \? +unreachable/);
    expect(stdout).toMatch(/ftp +up/);
    expect(stdout).toMatch(/! no node answers at http:\S+ within 5 s: .*`readers` in cdk\.json/);
    expect(stdout).toContain('these credentials may not sqs:GetQueueUrl on baton-dev-');
  });

  test('a service that ECS does not know is missing, and no other', async () => {
    stage.aws.answers.set('DescribeServices', () => json({ services: [], failures: [] }));
    const { stdout } = await baton('status', '--target', 'aws:dev');
    expect(stdout.match(/missing/g)).toHaveLength(4);
  });
});

describe('nodes of a stage', () => {
  test('each with its role, its vote, when the leader heard it and the task that runs it', async () => {
    const { code, stdout, stderr } = await baton('nodes', '--target', 'aws:dev', '--json');
    expect({ code, stderr }).toEqual({ code: 0, stderr: '' });
    const nodes = stdout
      .trimEnd()
      .split('\n')
      .map((line) => JSON.parse(line) as NodeDetail);
    expect(nodes).toMatchObject([
      { id: 'node-1', role: 'follower', generation: 1, votes: true, heardMsAgo: 40, term: 7 },
      { id: 'node-2', role: 'leader', state: 'leading', votes: true, heardMsAgo: null, url: stage.urls[1] },
      { id: 'node-3', role: 'follower', votes: false, heardMsAgo: 42 },
    ]);
    expect(nodes[0]?.runsAs).toEqual({
      kind: 'task',
      id: 'task-of-node-1',
      definition: 'baton-dev-node-1:7',
      since: '2026-11-25T10:00:00.000Z',
    });
  });

  test('in columns for people', async () => {
    const { stdout } = await baton('nodes', '--target', 'aws:dev');
    expect(stdout).toMatch(/NODE +ROLE +HEALTH +TERM/);
    expect(stdout).toMatch(
      /node-3 +follower +1 problem +7 +1 +no +42 ms ago .*baton-dev-node-3:7 since 2026-11-25 10:00:00 +http/,
    );
  });
});

describe('logs of a stage', () => {
  test('the newest last, each service out of its own group, as much as is bounded', async () => {
    const pages: Record<string, unknown>[] = [];
    stage.aws.answers.set('FilterLogEvents', (body) => {
      const asked = JSON.parse(body) as Record<string, unknown>;
      pages.push(asked);
      // CloudWatch answers a page without events while more follow.
      if (asked['nextToken'] === undefined) return json({ events: [], nextToken: 'more' });
      return json({
        events: Array.from({ length: 300 }, (_, index) => ({ message: `line ${300 - index}\u001B[2J\n` })),
        nextToken: 'again',
      });
    });
    const { code, stdout, stderr } = await baton('logs', 'node-2', 'deliver', '--target', 'aws:dev');
    expect({ code, stderr }).toEqual({ code: 0, stderr: '' });
    const lines = stdout.trimEnd().split('\n');
    expect(lines).toHaveLength(400);
    expect(lines[0]).toBe('node-2         | line 101 [2J');
    expect(lines[199]).toBe('node-2         | line 300 [2J');
    expect(lines[200]).toMatch(/^deliver /);
    expect(pages).toMatchObject([
      { logGroupName: '/baton/dev/nodes', logStreamNamePrefix: 'node-2/', startFromHead: false },
      { nextToken: 'more', startTime: pages[0]?.['startTime'] },
      { logGroupName: '/baton/dev/functions/deliver' },
      { nextToken: 'more' },
    ]);
    expect(pages[2]).not.toHaveProperty('logStreamNamePrefix');
  });

  test('a group that is not there is named; when none is, nothing runs', async () => {
    stage.aws.answers.set('FilterLogEvents', () => awsError('ResourceNotFoundException', 'no group'));
    const { code, stderr } = await baton('logs', 'ftp', '--target', 'aws:dev');
    expect(code).toBe(3);
    expect(stderr).toContain('There is no log group /baton/dev/ftp.');
  });

  test('an unknown service names those there are, and asks AWS nothing', async () => {
    const { code, stderr } = await baton('logs', 'broker', '--target', 'aws:dev');
    expect(code).toBe(1);
    expect(stderr).toContain('there is no log of broker; there are node-1, node-2, node-3, ftp, scraper');
    expect(stage.operations()).toEqual([]);
  });
});

describe('the leader of a stage', () => {
  test('is asked by its own name, with the operator token of the stage', async () => {
    expect(await baton('dlq', 'list', '--target', 'aws:dev')).toMatchObject({ code: 0, stderr: '' });
    expect(stage.tokensSeen).toEqual(['Bearer operator-of-the-stage']);
    expect(
      JSON.parse(stage.aws.asked.find(({ operation }) => operation === 'GetSecretValue')?.body ?? ''),
    ).toEqual({
      SecretId: 'baton/dev/tokens',
    });
  });

  test('is not believed to be elsewhere: no token leaves the names of the stage', async () => {
    const own = stage.urls[1] as string;
    stage.urls[1] = own.replace('127.0.0.1', '127.0.0.2');
    const { code, stderr } = await baton('dlq', 'list', '--target', 'aws:dev');
    expect(code).toBe(1);
    expect(stderr).toContain('which is no node of this stage');
    expect(stage.tokensSeen).toEqual([]);
    expect(stage.operations()).not.toContain('GetSecretValue');
  });

  test('that is not there is said in one line', async () => {
    stage.leader = null;
    expect(await baton('dlq', 'list', '--target', 'aws:dev')).toMatchObject({
      code: 1,
      stderr: expect.stringMatching(/^nobody leads right now, says node-1 at .*\n$/) as string,
    });
  });
});
