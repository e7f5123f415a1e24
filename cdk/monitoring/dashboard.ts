// The one dashboard: alarms, leadership, intake, mails, sources.
import * as cloudwatch from 'aws-cdk-lib/aws-cloudwatch';
import * as elb from 'aws-cdk-lib/aws-elasticloadbalancingv2';
import type { Construct } from 'constructs';
import { functionNames, queuesOf } from '../../contracts/topology.ts';
import type { Names } from '../names.ts';
import type { AwsStage } from '../stage.ts';
import type { MetricSources } from './metric-sources.ts';

export function createDashboard(
  scope: Construct,
  {
    stage,
    names,
    sources: { events, sources, broker, functions, nodes },
    alarms,
  }: { stage: AwsStage; names: Names; sources: MetricSources; alarms: readonly cloudwatch.Alarm[] },
): cloudwatch.Dashboard {
  const graph = (title: string, left: cloudwatch.IMetric[], width = 8) =>
    new cloudwatch.GraphWidget({ title, left, width });
  return new cloudwatch.Dashboard(scope, 'Dashboard', {
    dashboardName: names.cluster,
    widgets: [
      [new cloudwatch.AlarmStatusWidget({ title: 'Alarms', alarms: [...alarms], width: 24, height: 3 })],
      [
        graph('Leadership', [events.leaderWrites, events.termsClaimed, events.fenceRefusals]),
        graph('Intake', [events.crawlsFinished, events.ticks, events.ticksFailed, events.filesRejected]),
        graph('RabbitMQ', [
          broker('MessageReadyCount', 'Maximum'),
          broker('MessageUnacknowledgedCount', 'Maximum'),
        ]),
      ],
      [
        graph(
          'Functions: duration',
          functionNames.map((name) => functions[name].metricDuration()),
        ),
        graph('Mail', [events.mailsSent, events.mailsFailed, events.mailsPostponed]),
        graph('Load balancer', [
          nodes.loadBalancer.metrics.requestCount(),
          nodes.loadBalancer.metrics.httpCodeTarget(elb.HttpCodeTarget.TARGET_5XX_COUNT),
        ]),
      ],
      [
        graph('Sources: seconds since the last good crawl or file', [sources.age], 12),
        graph('Sources: the same in their intervals', [sources.intervals], 12),
      ],
      [
        new cloudwatch.TextWidget({
          markdown: `Queues: ${queuesOf(stage.itemPartitions)
            .map(({ name }) => name)
            .join(
              ', ',
            )}. Their depths one by one are on the nodes' page; RabbitMQ 4 on Amazon MQ gives CloudWatch none.`,
          width: 24,
          height: 2,
        }),
      ],
    ],
  });
}
