// What a stage looks like right now: the nodes as they answer through the load balancer, ECS' services and the SQS queues,
// in the form of the local status. What is not reached is shown as unknown and said in a line of its own.
import { members } from '../../cdk/addresses.ts';
import { describeError } from '../../runtime/failure.ts';
import { statusPage } from '../commands/status-text.ts';
import { systemStatus, type SystemStatus } from '../cluster/status.ts';
import type { Account } from './account.ts';
import { readClusterAt, readPublicUrl } from './cluster.ts';
import { readQueueDepths, type QueueDepth } from './queues.ts';
import { readServices, type CloudService } from './services.ts';

export interface CloudStatus extends Omit<SystemStatus, 'services'> {
  readonly stage: string;
  readonly services: readonly CloudService[];
  /** Null when SQS does not say. */
  readonly sqs: readonly QueueDepth[] | null;
  /** What could not be read, in words. */
  readonly problems: readonly string[];
}

const askMs = 5_000; // Over the internet, and through a load balancer.

export async function cloudStatus(account: Account): Promise<CloudStatus> {
  const problems: string[] = [];
  const unlessUnreadable = <T>(read: Promise<T>): Promise<T | null> =>
    read.catch((error: unknown) => {
      problems.push(describeError(error));
      return null;
    });
  const publicUrl = await readPublicUrl(account);
  const [services, sqs, cluster] = await Promise.all([
    readServices(account),
    unlessUnreadable(readQueueDepths(account)),
    unlessUnreadable(readClusterAt(publicUrl)),
  ]);
  // When the load balancer does not answer, no node does: their names lead there.
  const asked = await systemStatus(cluster?.members ?? [], [], { withinMs: askMs });
  const nodes = cluster
    ? asked.nodes
    : members(account.stage).map(({ id, publicUrl: url, internalUrl, udp }) => ({
        id,
        url,
        internalUrl,
        udp,
        state: 'unknown' as const,
        term: null,
        pid: null,
        health: 'down' as const,
        problems: [],
      }));
  const runs = (id: string): boolean => services.some(({ name, running }) => name === id && running > 0);
  return {
    stage: account.stage.name,
    ...asked,
    nodes: nodes.map((node) =>
      node.health === 'down' && runs(node.id) ? { ...node, health: 'unreachable' } : node,
    ),
    services,
    sqs,
    problems,
  };
}

export function cloudStatusText(status: CloudStatus): string {
  const { services, sqs, problems } = status;
  const page = statusPage(status, [
    ...services.map(({ name, state, desired, running, pending, deployment, detail }) =>
      state === 'missing'
        ? `${name.padEnd(30)} ${state.padEnd(9)} ${detail ?? ''}`
        : `${name.padEnd(30)} ${state.padEnd(9)} ${running} of ${desired} running, ${pending} pending, deployment ${deployment ?? '?'}${detail === null ? '' : `: ${detail}`}`,
    ),
    ...(sqs ?? []).map(
      ({ name, waiting, inFlight, delayed }) =>
        `${name.padEnd(30)} ${'queue'.padEnd(9)} ${waiting} waiting, ${inFlight} in flight, ${delayed} delayed`,
    ),
  ]);
  return page + problems.map((problem) => `  ! ${problem}\n`).join('');
}
