// `baton --target aws:<stage>` as a process, against APIs of AWS and nodes that the test answers for: what it prints, what it
// asks for, what it refuses, and what each failure says. What is ours, from the command line to the request, is real.
import { once } from 'node:events';
import { createServer, type Server } from 'node:http';
import type { AddressInfo } from 'node:net';
import { afterEach, beforeEach, describe, expect, test } from 'vitest';
import type { CloudStatus } from '../../../emulator/aws/status.ts';
import type { NodeDetail } from '../../../emulator/commands/nodes.ts';
import { answerQueues, answerServices, batonOnAws, taskArn, type Ended } from '../../support/baton-on-aws.ts';
import {
  awsError,
  describedStack,
  json,
  missingStack,
  startSimulatedAws,
  type SimulatedAws,
} from '../../support/simulated-aws.ts';

let aws: SimulatedAws;
let servers: Server[];
/** Of node-1 to node-3. */
let urls: string[];
/** Who leads, as every node says. */
let leader: string | null;
/** Authorization headers that nodes got. */
let tokensSeen: string[];

beforeEach(async () => {
  aws = await startSimulatedAws();
  servers = [];
  leader = 'node-2';
  tokensSeen = [];
  urls = [];
  for (const id of ['node-1', 'node-2', 'node-3']) urls.push(await listen(id));
  aws.answers.set('DescribeStacks', () => describedStack({ PublicUrl: urls[0] as string }));
  aws.answers.set('GetSecretValue', () =>
    json({ SecretString: JSON.stringify({ reader: 'r', editor: 'e', operator: 'operator-of-the-stage' }) }),
  );
  answerServices(aws);
  answerQueues(aws);
});
afterEach(() => {
  aws.close();
  for (const server of servers) {
    server.closeAllConnections();
    server.close();
  }
});

/** A node's public listener; node-1's is also what the load balancer answers. */
async function listen(id: string): Promise<string> {
  const server = createServer((request, response) => {
    if (request.headers.authorization !== undefined) tokensSeen.push(request.headers.authorization);
    const answers: Record<string, () => object> = {
      '/health': () => ({
        nodeId: id,
        state: id === leader ? 'leading' : 'following',
        term: 7,
        leader,
        problems: id === 'node-3' ? ['the broker does not answer'] : [],
      }),
      '/counts': () => ({
        items: 1234,
        itemVersions: 2000,
        files: 3,
        mailsSent: 4,
        deadLetters: 5,
        queued: 6,
      }),
      '/cluster': () => clusterOf(id),
      '/dead-letters/groups': () => ({ groups: [] }),
      '/cluster/transfer': () => ({ kind: 'done', leader: 'node-1' }),
    };
    const answer = answers[request.url ?? '']?.();
    response.writeHead(answer ? 200 : 404, { 'content-type': 'application/json' });
    response.end(
      JSON.stringify(answer ?? { type: 'about:blank', title: 'Not found', status: 404, code: 'NOT_FOUND' }),
    );
  });
  servers.push(server);
  server.listen(0, '127.0.0.1');
  await once(server, 'listening');
  return `http://127.0.0.1:${(server.address() as AddressInfo).port}`;
}

function clusterOf(id: string) {
  const members = urls.map((publicUrl, index) => ({
    id: `node-${index + 1}`,
    udp: 'node:7400',
    internalUrl: 'https://node:7443',
    publicUrl,
    voter: true,
    lastContactMs: id === leader && id !== `node-${index + 1}` ? 40 + index : null,
  }));
  const leads = members.find((member) => member.id === leader);
  return {
    nodeId: id,
    role: { kind: id === leader ? 'leader' : 'follower', leader },
    term: 7,
    state: { kind: id === leader ? 'leading' : 'following', term: 7, leader },
    abstaining: id === 'node-3',
    leader: leads ? { nodeId: leads.id, term: 7, ...leads } : null,
    generation: 1,
    fence: null,
    members,
  };
}

function baton(...words: string[]): Promise<Ended> {
  return batonOnAws(aws, words);
}
function operations(): string[] {
  return aws.asked.map(({ operation }) => operation);
}

describe('status of a stage', () => {
  test('nodes as they answer, tasks as ECS counts them, SQS queues, what is stored', async () => {
    answerServices(aws, {
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
    expect(stdout).toContain('! the broker does not answer');
    // Nobody has a process id here.
    expect(stdout).not.toContain('pid');
    expect(aws.asked.find(({ operation }) => operation === 'DescribeServices')?.body).toContain('baton-dev');
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
    for (const server of servers) {
      server.closeAllConnections();
      server.close();
    }
    aws.answers.set('GetQueueUrl', () => awsError('AccessDeniedException', 'not authorized'));
    const { code, stdout } = await baton('status', '--target', 'aws:dev');
    expect(code).toBe(0);
    expect(stdout).toContain('Nobody leads.');
    expect(stdout).toMatch(/node-1 +unknown +term \? +unreachable/);
    expect(stdout).toMatch(/ftp +up/);
    expect(stdout).toMatch(/! no node answers at http:\S+ within 5 s: .*`readers` in cdk\.json/);
    expect(stdout).toContain('these credentials may not sqs:GetQueueUrl on baton-dev-');
  });

  test('a service that ECS does not know is missing, and no other', async () => {
    aws.answers.set('DescribeServices', () => json({ services: [], failures: [] }));
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
      { id: 'node-2', role: 'leader', state: 'leading', votes: true, heardMsAgo: null, url: urls[1] },
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
    expect(stdout).toMatch(/NODE +ROLE +STATE/);
    expect(stdout).toMatch(
      /node-3 +follower +following +7 +1 +no +42 ms ago .*baton-dev-node-3:7 since 2026-11-25 10:00:00$/m,
    );
  });
});

describe('logs of a stage', () => {
  test('the newest last, each service out of its own group, as much as is bounded', async () => {
    const pages: Record<string, unknown>[] = [];
    aws.answers.set('FilterLogEvents', (body) => {
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
    aws.answers.set('FilterLogEvents', () => awsError('ResourceNotFoundException', 'no group'));
    const { code, stderr } = await baton('logs', 'ftp', '--target', 'aws:dev');
    expect(code).toBe(3);
    expect(stderr).toContain('There is no log group /baton/dev/ftp.');
  });

  test('an unknown service names those there are, and asks AWS nothing', async () => {
    const { code, stderr } = await baton('logs', 'broker', '--target', 'aws:dev');
    expect(code).toBe(1);
    expect(stderr).toContain('there is no log of broker; there are node-1, node-2, node-3, ftp, scraper');
    expect(operations()).toEqual([]);
  });
});

describe('the leader of a stage', () => {
  test('is asked by its own name, with the operator token of the stage', async () => {
    expect(await baton('dlq', 'list', '--target', 'aws:dev')).toMatchObject({ code: 0, stderr: '' });
    expect(tokensSeen).toEqual(['Bearer operator-of-the-stage']);
    expect(JSON.parse(aws.asked.find(({ operation }) => operation === 'GetSecretValue')?.body ?? '')).toEqual(
      {
        SecretId: 'baton/dev/tokens',
      },
    );
  });

  test('is not believed to be elsewhere: no token leaves the names of the stage', async () => {
    const own = urls[1] as string;
    urls[1] = own.replace('127.0.0.1', '127.0.0.2');
    const { code, stderr } = await baton('dlq', 'list', '--target', 'aws:dev');
    expect(code).toBe(1);
    expect(stderr).toContain('which is no node of this stage');
    expect(tokensSeen).toEqual([]);
    expect(operations()).not.toContain('GetSecretValue');
  });

  test('that is not there is said in one line', async () => {
    leader = null;
    expect(await baton('dlq', 'list', '--target', 'aws:dev')).toMatchObject({
      code: 1,
      stderr: expect.stringMatching(/^nobody leads right now, says node-1 at .*\n$/) as string,
    });
  });
});

describe('faults on a stage', () => {
  test('kill leader: its task is stopped, with who did it, and what ECS does is said', async () => {
    aws.answers.set('StopTask', () => json({ task: {} }));
    const { code, stdout, stderr } = await baton('kill', 'leader', '--target', 'aws:dev');
    expect({ code, stderr }).toEqual({ code: 0, stderr: '' });
    expect(stdout).toMatch(/stopped the task task-of-node-2 of node-2: ECS sends SIGTERM first/);
    const stopped = aws.asked.find(({ operation }) => operation === 'StopTask')?.body ?? '';
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
      expect(operations()).toEqual([]);
      expect(tokensSeen).toEqual([]);
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
    expect(operations()).not.toContain('StopTask');
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
  const missing = (): void => void aws.answers.set('DescribeStacks', () => missingStack('baton-dev-nodes'));
  test.each([
    [['status'], 'aws:nowhere', 2, /cdk\.json has no stage nowhere; on AWS there are dev, prod\n/],
    [['dlq', 'list'], 'aws:nowhere', 2, /cdk\.json has no stage nowhere/],
    [['status'], 'aws:local', 2, /stage local is of the emulators/],
    [['status'], 'gcp', 2, /It is local, compose or aws:<stage>/],
    [['mail', 'test', 'a@example.org'], 'aws:dev', 2, /`mail test` is for the local system/],
  ])('%j of %s', async (words, target, code, said) => {
    const ended = await baton('--target', target, ...words);
    expect(ended).toMatchObject({ code, stdout: '', stderr: expect.stringMatching(said) as string });
    expect(operations()).toEqual([]);
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
    aws.answers.set('DescribeServices', () => awsError('ClusterNotFoundException', 'Cluster not found.'));
    const { code, stderr } = await baton('status', '--target', 'aws:dev');
    expect(code).toBe(3);
    expect(stderr).toMatch(/^the ECS cluster baton-dev is not there in eu-central-1/);
  });

  test('a load balancer without a node behind it is no node', async () => {
    const page = createServer((_request, response) => response.writeHead(503).end('<html>503</html>'));
    servers.push(page);
    page.listen(0, '127.0.0.1');
    await once(page, 'listening');
    const PublicUrl = `http://127.0.0.1:${(page.address() as AddressInfo).port}`;
    aws.answers.set('DescribeStacks', () => describedStack({ PublicUrl }));
    const { code, stderr } = await baton('dlq', 'list', '--target', 'aws:dev');
    expect(code).toBe(1);
    expect(stderr).toMatch(/^no node answers at [^\n]*: http:\/\/127\.0\.0\.1:\d+\/cluster answers 503\n$/);
    expect(operations()).not.toContain('GetSecretValue');
  });

  test('an action that is not granted is named, with its resource', async () => {
    aws.answers.set('GetSecretValue', () => awsError('AccessDeniedException', 'User: me is not authorized'));
    const { code, stderr } = await baton('erase', 'one@example.org', '--target', 'aws:dev');
    expect(code).toBe(1);
    expect(stderr).toMatch(
      /^these credentials may not secretsmanager:GetSecretValue on baton\/dev\/tokens: [^\n]*User: me[^\n]*\n$/,
    );
  });

  test('a secret without a token says so, and not what it holds', async () => {
    aws.answers.set('GetSecretValue', () => json({ SecretString: '{"operater":"a-secret"}' }));
    const { code, stderr } = await baton('dlq', 'list', '--target', 'aws:dev');
    expect(code).toBe(1);
    expect(stderr).toContain('the secret baton/dev/tokens holds no operator');
    expect(stderr).not.toContain('a-secret');
  });

  test.each([
    ['no credentials', { AWS_ACCESS_KEY_ID: undefined }, /^there are no credentials for AWS: sign in/],
    ['no region', { AWS_REGION: undefined }, /^there is no region: set AWS_REGION/],
    [
      'AWS out of reach',
      { AWS_ENDPOINT_URL: 'http://127.0.0.1:1' },
      /^cloudformation cannot be reached \(cloudformation:DescribeStacks on baton-dev-nodes\): .*ECONNREFUSED/,
    ],
  ])('%s', async (_what, env, said) => {
    const { code, stderr } = await batonOnAws(aws, ['status', '--target', 'aws:dev'], { env });
    expect({ code, lines: stderr.split('\n').length }).toEqual({ code: 1, lines: 2 });
    expect(stderr).toMatch(said);
  });

  test('an AWS that never answers is waited for ten seconds', async () => {
    const silent = createServer(() => undefined);
    servers.push(silent);
    silent.listen(0, '127.0.0.1');
    await once(silent, 'listening');
    const AWS_ENDPOINT_URL = `http://127.0.0.1:${(silent.address() as AddressInfo).port}`;
    const began = performance.now();
    const { code, stderr } = await batonOnAws(aws, ['dlq', 'list', '--target', 'aws:dev'], {
      env: { AWS_ENDPOINT_URL },
    });
    expect(code).toBe(1);
    expect(stderr).toContain('cloudformation does not answer within 10 s');
    expect(performance.now() - began).toBeLessThan(20_000);
  });
});

test('a local command loads nothing that only AWS needs', async () => {
  const told = `import { registerHooks } from 'node:module';
registerHooks({ resolve(specifier, context, next) {
  const found = next(specifier, context);
  if (/client-(ecs|cloud|secrets)|emulator\\/aws\\/|\\/cdk\\//.test(found.url)) process.stderr.write('loaded ' + found.url + '\\n');
  return found;
} });`;
  const NODE_OPTIONS = `--import=data:text/javascript,${encodeURIComponent(told)}`;
  const loadedBy = async (...words: string[]): Promise<string[]> => {
    const { stderr } = await batonOnAws(aws, words, { env: { NODE_OPTIONS } });
    return stderr.split('\n').filter((line) => line.startsWith('loaded '));
  };
  expect(await loadedBy('status', '--data', '/nonexistent')).toEqual([]);
  // The same look finds what there is to find.
  const inCloud = (await loadedBy('status', '--target', 'aws:dev')).join('\n');
  for (const part of ['client-ecs', 'client-cloudformation', 'emulator/aws/status.ts', 'cdk/stage.ts'])
    expect(inCloud).toContain(part);
  expect(inCloud).not.toContain('aws-cdk-lib');
});

test('without the clients of AWS it says what to install', async () => {
  const absent = `import { registerHooks } from 'node:module';
registerHooks({ resolve(specifier, context, next) {
  if (!specifier.startsWith('@aws-sdk/client-cloudformation')) return next(specifier, context);
  throw Object.assign(new Error('no package'), { code: 'ERR_MODULE_NOT_FOUND' });
} });`;
  const NODE_OPTIONS = `--import=data:text/javascript,${encodeURIComponent(absent)}`;
  for (const words of [['status'], ['dlq', 'list']]) {
    const { code, stderr } = await batonOnAws(aws, ['--target', 'aws:dev', ...words], {
      env: { NODE_OPTIONS },
    });
    expect(code).toBe(1);
    expect(stderr).toMatch(/^`--target aws:<stage>` needs what `npm ci` installs without --omit=dev: /);
  }
});
