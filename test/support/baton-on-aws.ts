// `baton --target aws:<stage>`, led to the APIs of AWS that a test answers and to nothing else: the SDK finds no profile, no
// other credentials and no metadata service.
import { execFile } from 'node:child_process';
import { fileURLToPath } from 'node:url';
import { commandHere, type Ended } from './command-here.ts';
import { json, type SimulatedAws } from './simulated-aws.ts';

const cli = fileURLToPath(new URL('../../emulator/cli.ts', import.meta.url));

type Variables = Readonly<Record<string, string | undefined>>;

const variables = (url: string, more: Variables): NodeJS.ProcessEnv => ({
  PATH: process.env['PATH'],
  HOME: '/nonexistent',
  AWS_EC2_METADATA_DISABLED: 'true',
  AWS_REGION: 'eu-central-1',
  AWS_ACCESS_KEY_ID: 'none',
  AWS_SECRET_ACCESS_KEY: 'none',
  AWS_ENDPOINT_URL: url,
  ...more,
});

/** As a process. */
export function batonOnAws(
  { url }: Pick<SimulatedAws, 'url'>,
  words: readonly string[],
  { env = {} }: { env?: Variables } = {},
): Promise<Ended> {
  const options = { env: variables(url, env), timeout: 60_000 };
  return new Promise((resolve) =>
    execFile(process.execPath, [cli, ...words], options, (error, stdout, stderr) =>
      resolve({ code: error ? Number(error.code) : 0, stdout, stderr }),
    ),
  );
}

/** In this process. */
export const commandOnAws = ({ url }: Pick<SimulatedAws, 'url'>, words: readonly string[]): Promise<Ended> =>
  commandHere(words, variables(url, {}));

/** ECS with one steady task of each service. */
export function answerServices(
  { answers }: Pick<SimulatedAws, 'answers'>,
  changes: Readonly<Record<string, object>> = {},
): void {
  const named = ['node-1', 'node-2', 'node-3', 'ftp'];
  answers.set('DescribeServices', (body) => {
    const { services } = JSON.parse(body) as { services: string[] };
    return json({
      services: services
        .filter((name) => named.includes(name))
        .map((serviceName) => ({
          serviceName,
          status: 'ACTIVE',
          desiredCount: 1,
          runningCount: 1,
          pendingCount: 0,
          deployments: [{ status: 'PRIMARY', rolloutState: 'COMPLETED' }],
          ...changes[serviceName],
        })),
    });
  });
  answers.set('ListTasks', (body) => {
    const { serviceName } = JSON.parse(body) as { serviceName?: string };
    const of = serviceName === undefined ? named : [serviceName];
    return json({ taskArns: of.map((name) => taskArn(name)) });
  });
  answers.set('DescribeTasks', () =>
    json({
      tasks: named.map((name) => ({
        taskArn: taskArn(name),
        group: `service:${name}`,
        taskDefinitionArn: `arn:aws:ecs:eu-central-1:1:task-definition/baton-dev-${name}:7`,
        startedAt: Date.UTC(2026, 10, 25, 10) / 1_000,
      })),
    }),
  );
}

export function answerQueues({ answers, url }: Pick<SimulatedAws, 'answers' | 'url'>): void {
  answers.set('GetQueueUrl', (body) => {
    const { QueueName } = JSON.parse(body) as { QueueName: string };
    return json({ QueueUrl: `${url}/1/${QueueName}` });
  });
  answers.set('GetQueueAttributes', (body) =>
    json({
      Attributes: {
        ApproximateNumberOfMessages: body.includes('tick-delayed') ? '0' : '2',
        ApproximateNumberOfMessagesNotVisible: '1',
        ApproximateNumberOfMessagesDelayed: body.includes('tick-delayed') ? '1' : '0',
      },
    }),
  );
}

export function taskArn(service: string): string {
  return `arn:aws:ecs:eu-central-1:1:task/baton-dev/task-of-${service}`;
}
