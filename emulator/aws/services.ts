// What ECS says of a stage's services: how many tasks run, and how the last deployment went. One task is stopped here, too.
import {
  DescribeServicesCommand,
  DescribeTasksCommand,
  ECSClient,
  ListTasksCommand,
  StopTaskCommand,
} from '@aws-sdk/client-ecs';
import { nodeIds } from '../../cdk/addresses.ts';
import { callAws, clientSettings, type Account } from './account.ts';
import { notDeployed } from './cluster.ts';

export interface CloudService {
  readonly name: string;
  readonly kind: 'node' | 'ftp';
  /** `missing`: ECS knows none of this name. */
  readonly state: 'up' | 'starting' | 'stopped' | 'missing';
  readonly desired: number;
  readonly running: number;
  readonly pending: number;
  /** `COMPLETED`, `IN_PROGRESS`, `FAILED`, as ECS names it; null when it says nothing. */
  readonly deployment: string | null;
  /** Why it is as it is, in words of ECS; null when it is up. */
  readonly detail: string | null;
}
export interface CloudTask {
  readonly id: string;
  /** The task definition and its revision, which is another one for every release. */
  readonly definition: string;
  readonly since: string | null;
}

/** @throws CommandError when there is no cluster. */
export async function readServices({ stage, names }: Account): Promise<CloudService[]> {
  const ecs = new ECSClient(clientSettings);
  const { cluster } = names;
  const wanted = serviceNames(stage);
  const found = await callAws({ action: 'ecs:DescribeServices', on: cluster }, (options) =>
    ecs.send(new DescribeServicesCommand({ cluster, services: wanted }), options),
  ).catch(async (error: Error) => {
    if (error.name !== 'ClusterNotFoundException') throw error;
    throw notDeployed(`the ECS cluster ${cluster} is`, { stage, region: await ecs.config.region() });
  });
  return wanted.map((name): CloudService => {
    const kind = name === 'ftp' ? 'ftp' : 'node';
    // One that was deleted is told of for a while, as inactive.
    const service = found.services?.find(
      ({ serviceName, status }) => serviceName === name && status !== 'INACTIVE',
    );
    if (!service)
      return {
        name,
        kind,
        state: 'missing',
        desired: 0,
        running: 0,
        pending: 0,
        deployment: null,
        detail: 'ECS knows no service of this name',
      };
    const { desiredCount: desired = 0, runningCount: running = 0, pendingCount: pending = 0 } = service;
    const last = service.deployments?.find(({ status }) => status === 'PRIMARY');
    const deployment = last?.rolloutState ?? null;
    const state =
      desired === 0 && running === 0
        ? 'stopped'
        : running >= desired && deployment !== 'IN_PROGRESS'
          ? 'up'
          : 'starting';
    const failed = deployment === 'FAILED';
    const detail =
      state === 'up' && !failed
        ? null
        : ((failed ? last?.rolloutStateReason : service.events?.[0]?.message) ?? null);
    return { name, kind, state, desired, running, pending, deployment, detail };
  });
}

/** The running tasks by service. */
export async function readTasks({ names }: Account): Promise<ReadonlyMap<string, CloudTask>> {
  const ecs = new ECSClient(clientSettings);
  const { cluster } = names;
  const { taskArns = [] } = await callAws({ action: 'ecs:ListTasks', on: cluster }, (options) =>
    ecs.send(new ListTasksCommand({ cluster, desiredStatus: 'RUNNING' }), options),
  );
  if (taskArns.length === 0) return new Map();
  const { tasks = [] } = await callAws({ action: 'ecs:DescribeTasks', on: cluster }, (options) =>
    ecs.send(new DescribeTasksCommand({ cluster, tasks: taskArns }), options),
  );
  return new Map(
    tasks.map(({ group = '', taskArn = '', taskDefinitionArn = '', startedAt }) => [
      group.replace(/^service:/, ''),
      {
        id: lastOf(taskArn),
        definition: lastOf(taskDefinitionArn),
        since: startedAt?.toISOString() ?? null,
      },
    ]),
  );
}

/** @returns what was done, in words. */
export async function stopTask(
  { stage, names }: Account,
  { service, by }: { service: string; by: string },
): Promise<string> {
  const known = serviceNames(stage);
  if (!known.includes(service))
    throw new Error(`ECS runs no service ${service} of ours; there are ${known.join(', ')}`);
  const ecs = new ECSClient(clientSettings);
  const { cluster } = names;
  const on = `${cluster}/${service}`;
  const { taskArns = [] } = await callAws({ action: 'ecs:ListTasks', on }, (options) =>
    ecs.send(new ListTasksCommand({ cluster, serviceName: service, desiredStatus: 'RUNNING' }), options),
  );
  const [task] = taskArns;
  if (task === undefined) throw new Error(`${service} has no running task to stop`);
  await callAws({ action: 'ecs:StopTask', on }, (options) =>
    ecs.send(new StopTaskCommand({ cluster, task, reason: `baton kill, by ${by}` }), options),
  );
  return `stopped the task ${lastOf(task)} of ${service}: ECS sends SIGTERM first, so a leader hands over and it is no crash; then ECS starts it again`;
}

function serviceNames({ ftpServer }: { ftpServer: boolean }): string[] {
  return [...nodeIds, ...(ftpServer ? ['ftp'] : [])];
}
/** The last part of an ARN. */
function lastOf(arn: string): string {
  return arn.split('/').at(-1) ?? arn;
}
