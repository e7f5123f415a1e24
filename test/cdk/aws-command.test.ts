// `npm run aws`, against APIs of AWS that a test answers and a CDK that only waits: what it prints, when it gives up, and
// that it never waits for a task that cannot start.
import { execFile } from 'node:child_process';
import { mkdtemp, readFile, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { promisify } from 'node:util';
import { ECSClient } from '@aws-sdk/client-ecs';
import { afterAll, beforeAll, describe, expect, test, vi } from 'vitest';
import type { LeaderHint } from '../../contracts/node-api.ts';
import { deploy } from '../../cdk/command/deploy.ts';
import { destroy } from '../../cdk/command/destroy.ts';
import { smoke } from '../../cdk/command/smoke.ts';
import { findTrouble, type ServiceState } from '../../cdk/command/trouble.ts';
import type { AwsStage } from '../../cdk/stage.ts';
import { awsError, describedStack, startSimulatedAws, type SimulatedAws } from '../support/simulated-aws.ts';
import { synthesized } from './synthesize.ts';

const run = promisify(execFile);
const root = fileURLToPath(new URL('../..', import.meta.url));
const shipped = synthesized('dev').stage as AwsStage;
/** As somebody fills it in. */
const stage: AwsStage = {
  ...shipped,
  domain: { name: 'baton.acme.eu', hostedZoneId: 'Z0123456789ABCDEFGHIJ' },
  readers: ['198.18.0.0/24'],
  alarmEmail: 'ops@acme.eu',
  mailFrom: 'Baton <baton@acme.eu>',
};
const credentials = { accessKeyId: 'none', secretAccessKey: 'none' };

let folder: string;
let simulated: SimulatedAws;
let url: string;
let answers: SimulatedAws['answers'];
beforeAll(async () => {
  folder = await mkdtemp(join(tmpdir(), 'baton-aws-'));
  simulated = await startSimulatedAws();
  ({ url, answers } = simulated);
});
afterAll(async () => {
  simulated.close();
  await rm(folder, { recursive: true, force: true });
});

/** A CDK that ends with `code` after `ms`, and keeps what it was asked. */
async function cdkThat({ ms, code }: { ms: number; code: number }): Promise<string> {
  const file = join(folder, `cdk-${ms}-${code}.mjs`);
  await rm(`${file}.asked`, { force: true });
  await writeFile(
    file,
    `import { appendFileSync } from 'node:fs';
    appendFileSync(${JSON.stringify(`${file}.asked`)}, process.argv.slice(2).join(' ') + '\\n');
    setTimeout(() => process.exit(${code}), ${ms});`,
  );
  return file;
}
const askedOf = (program: string): Promise<string> => readFile(`${program}.asked`, 'utf8');
function ecs(): ECSClient {
  return new ECSClient({ region: 'eu-central-1', endpoint: url, credentials, maxAttempts: 1 });
}
function printed(stream: 'stdout' | 'stderr') {
  const lines: string[] = [];
  const spy = vi.spyOn(process[stream], 'write').mockImplementation((text) => lines.push(String(text)) > 0);
  return { text: () => lines.join(''), end: () => spy.mockRestore() };
}

describe('aws deploy', () => {
  const minute = 60_000;
  const since = new Date('2026-11-25T10:00:00Z');
  const at = (minutes: number) => new Date(since.getTime() + minutes * minute);
  const service = (changes: Partial<ServiceState> = {}): ServiceState => ({
    name: 'node-2',
    rolloutSince: at(1),
    lastEvent: undefined,
    failures: [],
    ...changes,
  });
  const failure = (minutes: number) => ({ at: at(minutes), reason: 'exit code 2' });

  test.each([
    ['one failed task', service({ failures: [failure(2)] }), 3],
    ['failures of an earlier deploy', service({ failures: [failure(-9), failure(-8)] }), 3],
    ['fourteen minutes without a steady state', service(), 15],
    ['a service at rest', service({ rolloutSince: undefined }), 60],
  ])('aws deploy: %s is no trouble', (_, state, minutes) => {
    expect(findTrouble([state], { since, now: at(minutes) })).toBeUndefined();
  });

  test.each([
    ['two failed tasks', service({ failures: [failure(2), failure(4)] }), 5, 'exit code 2'],
    [
      'a quarter of an hour without a steady state',
      service({ lastEvent: 'unable to place' }),
      17,
      'unable to place',
    ],
  ])('aws deploy: %s is told with its reason', (_, state, minutes, reason) => {
    expect(findTrouble([service({ name: 'node-1' }), state].slice(-1), { since, now: at(minutes) })).toEqual({
      service: 'node-2',
      reason,
    });
  });

  test('aws deploy: a task that cannot start ends the waiting, with its reason and where to look', async () => {
    const stoppedAt = Date.now() / 1_000 + 60;
    answers.set('DescribeServices', () => ({
      body: JSON.stringify({ services: [{ serviceName: 'node-2' }] }),
    }));
    answers.set('ListTasks', () => ({ body: JSON.stringify({ taskArns: ['arn:task/1', 'arn:task/2'] }) }));
    answers.set('DescribeTasks', () => ({
      body: JSON.stringify({
        tasks: ['arn:task/1', 'arn:task/2'].map((taskArn) => ({
          taskArn,
          group: 'service:node-2',
          stopCode: 'EssentialContainerExited',
          stoppedReason: 'Essential container in task exited',
          stoppedAt,
          containers: [{ exitCode: 2 }],
        })),
      }),
    }));
    const output = printed('stderr');
    const began = performance.now();
    try {
      const program = await cdkThat({ ms: 60_000, code: 0 });
      expect(await deploy(stage, { ecs: ecs(), everyMs: 50, program })).toBe(1);
    } finally {
      output.end();
    }
    expect(performance.now() - began).toBeLessThan(30_000);
    expect(output.text()).toContain('node-2 cannot start: Essential container in task exited; exit code 2');
    expect(output.text()).toContain('aws logs tail /baton/dev/nodes');
  });

  test('aws deploy: what cdk.json was shipped with is named, and nothing is begun', async () => {
    const program = await cdkThat({ ms: 0, code: 42 });
    const output = printed('stderr');
    try {
      expect(await deploy(shipped, { ecs: ecs(), program })).toBe(1);
    } finally {
      output.end();
    }
    expect(output.text()).toMatch(
      /^cdk\.json, stage dev, still has .*: domain\.name \(dev\.baton\.example\.com\), domain\.hostedZoneId \(Z0+EXAMPLE0\), alarmEmail \(baton-alarms@example\.com\), mailFrom .*, readers \(203\.0\.113\.0\/24\)\. Fill in/,
    );
    await expect(askedOf(program)).rejects.toThrow('ENOENT');
  });

  test.each([0, 1])('aws deploy: it ends with what CDK says: %d', async (code) => {
    answers.set('DescribeServices', () => awsError('ClusterNotFoundException'));
    const program = await cdkThat({ ms: 500, code });
    expect(await deploy(stage, { ecs: ecs(), everyMs: 50, program })).toBe(code);
  });

  test('aws deploy: it says that it asks nothing, and has CDK ask nothing, which needs a terminal', async () => {
    answers.set('DescribeServices', () => awsError('ClusterNotFoundException'));
    const program = await cdkThat({ ms: 100, code: 0 });
    const output = printed('stdout');
    try {
      await deploy(stage, { ecs: ecs(), everyMs: 50, program });
    } finally {
      output.end();
    }
    expect(output.text()).toMatch(/all stacks of dev and asks nothing.*npm run aws -- diff --stage dev/);
    expect(await askedOf(program)).toContain('deploy --all --concurrency 1 --require-approval never');
  });
});

describe('aws deploy of a stage that keeps its data', () => {
  const prod: AwsStage = { ...stage, name: 'prod', retainData: true };
  const deployed = async (
    answer: boolean | undefined,
    { code = 0, agreed }: { code?: number; agreed?: true } = {},
  ) => {
    answers.set('DescribeServices', () => awsError('ClusterNotFoundException'));
    const program = await cdkThat({ ms: 10, code });
    const [output, errors] = [printed('stdout'), printed('stderr')];
    const questions: string[] = [];
    const ask = (question: string) => {
      questions.push(question);
      return Promise.resolve(answer ?? false);
    };
    try {
      const ended = await deploy(prod, {
        ecs: ecs(),
        everyMs: 50,
        program,
        ...(answer === undefined ? {} : { ask }),
        ...(agreed ? { agreed } : {}),
      });
      const asked = (await askedOf(program)).trim().split('\n');
      return { ended, questions, asked: asked.map((line) => line.split(' ')[0]), errors: errors.text() };
    } finally {
      output.end();
      errors.end();
    }
  };

  test('aws deploy: what would change is shown, and after one yes all is deployed', async () => {
    const { ended, questions, asked } = await deployed(true);
    expect({ ended, questions, asked }).toEqual({
      ended: 0,
      questions: ['Deploy this to prod? [y/N] '],
      asked: ['diff', 'deploy'],
    });
  });

  test('aws deploy: without a yes nothing is deployed, nor when nobody can be asked or the changes cannot be shown', async () => {
    expect(await deployed(false)).toMatchObject({ ended: 4, asked: ['diff'] });
    const { ended, asked, errors } = await deployed(undefined);
    expect({ ended, asked }).toEqual({ ended: 4, asked: ['diff'] });
    expect(errors).toMatch(/no terminal.*--yes/);
    expect(await deployed(true, { code: 1 })).toMatchObject({ ended: 1, questions: [], asked: ['diff'] });
  });

  test('aws deploy: whoever said --yes is not asked', async () => {
    expect(await deployed(false, { agreed: true })).toMatchObject({
      ended: 0,
      questions: [],
      asked: ['deploy'],
    });
  });
});

describe('aws destroy', () => {
  const prod = synthesized('prod').stage as AwsStage;
  const run = async (of: AwsStage, code: number) => {
    const program = await cdkThat({ ms: 0, code });
    const [output, errors] = [printed('stdout'), printed('stderr')];
    try {
      expect(await destroy(of, { program })).toBe(code);
    } finally {
      output.end();
      errors.end();
    }
    return { told: output.text(), errors: errors.text(), asked: await askedOf(program) };
  };

  test.each([0, 1])(
    'aws destroy: what stays is told whether or not all was deleted: exit code %d',
    async (code) => {
      const { told, errors, asked } = await run(stage, code);
      expect(asked).toMatch(/^destroy --all --context stage=dev/);
      for (const left of ['access log', '/aws/amazonmq/', 'CDKToolkit', 'npx cdk gc --unstable=gc'])
        expect(told).toContain(left);
      expect(told).not.toContain('VPC');
      expect(errors === '').toBe(code === 0);
    },
  );

  test('aws destroy: a stage that keeps its data names it, with what the database needs', async () => {
    const { told } = await run(prod, 0);
    expect(told).toMatch(/what prod keeps: database.*file system.*secrets/);
    expect(told).toMatch(/parameter group.*VPC.*subnets.*security group/);
    expect((await run({ ...prod, collector: { url: 'https://c', headersSecret: true } }, 0)).told).toContain(
      'baton/prod/otlp-headers',
    );
  });
});

describe('aws smoke', () => {
  const outputs = () => ({ publicUrl: url, frontUrl: `${url}/front` });
  const cluster = (leader: string | null) => () => ({
    body: JSON.stringify({
      nodeId: 'node-1',
      term: 7,
      leader:
        leader === null
          ? null
          : ({
              nodeId: leader,
              term: 7,
              internalUrl: `https://${leader}.baton.internal:7443`,
              publicUrl: url,
            } satisfies LeaderHint),
    }),
  });
  const check = async () => {
    const output = printed('stdout');
    try {
      return { code: await smoke(outputs()), text: output.text() };
    } finally {
      output.end();
    }
  };

  test('aws smoke: page, leader and front answer', async () => {
    answers.set('GET /', () => ({ body: 'page' }));
    answers.set('GET /cluster', cluster('node-3'));
    answers.set('GET /front', () => ({ status: 307, headers: { location: `${url}/items` }, body: '' }));
    expect(await check()).toEqual({
      code: 0,
      text: `ok      page: ${url}\nok      leader: node-3 leads in term 7\nok      front: leads to ${url}/items\n`,
    });
  });

  test('aws smoke: what is wrong is named, and all is looked at', async () => {
    answers.set('GET /', () => ({ status: 503, body: '' }));
    answers.set('GET /cluster', cluster(null));
    answers.set('GET /front', () => ({
      status: 307,
      headers: { location: 'https://evil.example/' },
      body: '',
    }));
    const { code, text } = await check();
    expect(code).toBe(1);
    expect(text).toMatch(/FAILED {2}page: .* answers 503/);
    expect(text).toMatch(/FAILED {2}leader: node-1 knows no leader/);
    expect(text).toMatch(/FAILED {2}front: it leads to https:\/\/evil\.example/);
  });
});

describe('aws command line', () => {
  const aws = (...args: string[]) =>
    run(process.execPath, ['cdk/cli.ts', ...args], {
      cwd: root,
      timeout: 60_000,
      env: {
        AWS_REGION: 'eu-central-1',
        AWS_ACCESS_KEY_ID: 'none',
        AWS_SECRET_ACCESS_KEY: 'none',
        AWS_ENDPOINT_URL_CLOUDFORMATION: url,
      },
    }).then(
      ({ stdout }) => ({ code: 0, stdout, stderr: '' }),
      ({ code, stdout, stderr }: { code: number; stdout: string; stderr: string }) => ({
        code,
        stdout,
        stderr,
      }),
    );

  test('aws outputs: addresses, dashboard and budget', async () => {
    const described: string[] = [];
    answers.set('DescribeStacks', (body) => {
      described.push(new URLSearchParams(body).get('StackName') ?? '');
      return describedStack({
        PublicUrl: 'https://dev.baton.example.com',
        FrontUrl: 'https://front.dev.baton.example.com',
      });
    });
    const { code, stdout, stderr } = await aws('outputs', '--stage', 'dev');
    expect({ code, stderr }).toEqual({ code: 0, stderr: '' });
    expect(stdout).toContain('https://dev.baton.example.com');
    expect(stdout).toContain('https://front.dev.baton.example.com');
    expect(stdout).toContain('#dashboards/dashboard/baton-dev');
    expect(stdout).toContain(`${shipped.budgetUsd} USD`);
    expect(described).toEqual(['baton-dev-nodes']);
  });

  test.each([
    [['outputs', '--stage', 'nowhere'], 1, /cdk\.json has no stage nowhere/],
    [['outputs', '--stage', 'local'], 1, /stage local is of the emulators/],
    [['outputs'], 2, /--stage/],
    [['launch', '--stage', 'dev'], 2, /unknown command/],
  ])('aws %j is refused with the reason', async (args, code, reason) => {
    const refused = await aws(...args);
    expect(refused.code).toBe(code);
    expect(refused.stderr).toMatch(reason);
  });
});
