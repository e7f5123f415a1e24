// Whether a service's tasks come up, from what ECS says of them: read in one file, so that the verdict is a function of
// what was read. Reads only.
import {
  DescribeServicesCommand,
  DescribeTasksCommand,
  ListTasksCommand,
  type ECSClient,
} from '@aws-sdk/client-ecs';
import { nodeIds } from '../addresses.ts';

export interface ServiceState {
  readonly name: string;
  /** Undefined while nothing is rolled out. */
  readonly rolloutSince: Date | undefined;
  readonly lastEvent: string | undefined;
  readonly failures: readonly { readonly at: Date; readonly reason: string }[];
}
export interface Trouble {
  readonly service: string;
  readonly reason: string;
}

/** One task may fail for a reason that passes (a name that does not resolve yet); the second one does not. */
const failuresMax = 2;
/** A start with a schema to migrate takes five, and then ECS watches the alarm of the nodes for some minutes more. */
const steadyWithinMs = 15 * 60_000;
const answerWithinMs = 10_000;

export function findTrouble(
  services: readonly ServiceState[],
  { since, now }: { since: Date; now: Date },
): Trouble | undefined {
  for (const { name, rolloutSince, lastEvent, failures } of services) {
    const recent = failures.filter(({ at }) => at > since);
    const [last] = recent.toSorted((one, other) => other.at.getTime() - one.at.getTime());
    if (last && recent.length >= failuresMax) return { service: name, reason: last.reason };
    const startedAt = Math.max(rolloutSince?.getTime() ?? Infinity, since.getTime());
    if (now.getTime() - startedAt > steadyWithinMs)
      return {
        service: name,
        reason: last?.reason ?? lastEvent ?? 'it is not steady after a quarter of an hour',
      };
  }
  return undefined;
}

/** None while there is no cluster yet. @throws Error when ECS does not answer. */
export async function readServices(ecs: ECSClient, cluster: string): Promise<ServiceState[]> {
  const abortSignal = AbortSignal.timeout(answerWithinMs);
  try {
    const { services = [] } = await ecs.send(
      new DescribeServicesCommand({ cluster, services: [...nodeIds, 'ftp'] }),
      { abortSignal },
    );
    const { taskArns = [] } = await ecs.send(new ListTasksCommand({ cluster, desiredStatus: 'STOPPED' }), {
      abortSignal,
    });
    const { tasks = [] } =
      taskArns.length === 0
        ? {}
        : await ecs.send(new DescribeTasksCommand({ cluster, tasks: taskArns }), { abortSignal });
    return services.map(({ serviceName = '?', deployments = [], events = [] }) => ({
      name: serviceName,
      rolloutSince: deployments.find(({ rolloutState }) => rolloutState === 'IN_PROGRESS')?.createdAt,
      lastEvent: events[0]?.message,
      failures: tasks
        .filter(({ group, stopCode }) => group === `service:${serviceName}` && stopCode !== 'UserInitiated')
        .filter(({ stoppedReason = '' }) => !stoppedReason.startsWith('Scaling activity'))
        .map(({ stoppedAt, stoppedReason, containers = [] }) => ({
          at: stoppedAt ?? new Date(0),
          reason: [
            stoppedReason,
            ...containers.flatMap(({ reason, exitCode }) => [
              reason,
              exitCode === undefined ? undefined : `exit code ${exitCode}`,
            ]),
          ]
            .filter((part) => part !== undefined)
            .join('; '),
        })),
    }));
  } catch (error) {
    if ((error as Error).name === 'ClusterNotFoundException') return [];
    throw new Error(`ECS says nothing about the cluster ${cluster}`, { cause: error });
  }
}
