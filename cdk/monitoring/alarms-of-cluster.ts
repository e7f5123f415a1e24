// Alarms about the nodes: whether somebody leads and writes, who is away, what their certificates have left.
import { nodeIds } from '../addresses.ts';
import type { AlarmSettings } from './alarm.ts';
import type { MetricSources } from './metric-sources.ts';
import { hour, minute } from './metrics.ts';

/** Takes a deploy of nodes back, too: nodes-stack.ts. */
export const noWriter = 'no-writer';

export function alarmsOfCluster({
  events,
  certificateDaysLeft,
  announcementsTaken,
  nodes,
}: MetricSources): AlarmSettings[] {
  return [
    {
      name: noWriter,
      section: 'a-leader-that-writes-nothing',
      means: 'For three minutes no leader could write into the database; it says twice a minute that it can.',
      metric: events.leaderWrites.with({ period: minute }),
      below: 1,
      periods: 3,
      silenceIsBad: true,
    },
    {
      name: 'no-leader',
      section: 'nobody-leads',
      means: 'For two minutes nobody was announced as leader; a leader is every 2 s.',
      metric: announcementsTaken,
      below: 1,
      periods: 2,
      silenceIsBad: true,
    },
    {
      name: 'term-churn',
      section: 'leadership-changes-often',
      means: 'Leadership changed more than five times within an hour.',
      metric: events.termsClaimed.with({ period: hour }),
      above: 5,
    },
    {
      name: 'fence-refused',
      section: 'a-leader-that-writes-nothing',
      means: 'A node that no longer leads tried to write, and the database refused it.',
      metric: events.fenceRefusals,
      above: 0,
    },
    {
      name: 'node-away',
      section: 'a-node-is-away',
      means: 'Fewer nodes than configured are healthy behind the load balancer.',
      // Not those that are unhealthy: a task that is gone is deregistered and no longer counted among them.
      metric: nodes.allNodes.metrics.healthyHostCount({ period: minute, statistic: 'Minimum' }),
      below: nodeIds.length,
      // A deploy takes one away after another, each for as long as a schema may take to migrate at most.
      periods: 15,
      silenceIsBad: true,
    },
    {
      name: 'certificate-ends',
      section: 'certificates',
      means: 'A certificate of the cluster was not renewed and ends within three weeks.',
      metric: certificateDaysLeft,
      below: 21,
      silenceIsBad: true,
    },
  ];
}
