// What there is to look at in a stage, made once and handed to the tables of alarms and to the dashboard.
import { Duration } from 'aws-cdk-lib';
import * as cloudwatch from 'aws-cdk-lib/aws-cloudwatch';
import type * as lambda from 'aws-cdk-lib/aws-lambda';
import type { Construct } from 'constructs';
import { functionNames, sqsQueues, type FunctionName } from '../../contracts/topology.ts';
import type { DataStack, Database } from '../data-stack.ts';
import type { FunctionsStack } from '../functions-stack.ts';
import { metricNamespace, type Names } from '../names.ts';
import type { NodesStack } from '../nodes-stack.ts';
import type { AwsStage } from '../stage.ts';
import {
  awsMetric,
  certificateDaysLeft,
  eventMetric,
  eventMetrics,
  fiveMinutes,
  minute,
  sourceMetric,
  sourceMetrics,
  type EventMetricName,
} from './metrics.ts';

export interface MetricSources {
  /** Events of our own, counted for five minutes. */
  readonly events: Readonly<Record<EventMetricName, cloudwatch.Metric>>;
  readonly sources: Readonly<Record<keyof typeof sourceMetrics, cloudwatch.MathExpression>>;
  readonly certificateDaysLeft: cloudwatch.Metric;
  /** Taken, not sent: it also needs the function that keeps the directory. */
  readonly announcementsTaken: cloudwatch.Metric;
  /** Amazon MQ has no metrics per queue on RabbitMQ 4: these are the broker's own. */
  readonly broker: (metricName: string, statistic: string) => cloudwatch.Metric;
  readonly databaseKind: Database['kind'];
  readonly database: (metricName: string, statistic: string) => cloudwatch.Metric;
  readonly functions: Readonly<Record<FunctionName, lambda.Function>>;
  readonly nodes: Pick<NodesStack, 'allNodes' | 'loadBalancer'>;
}

export interface MeasuredStage {
  readonly stage: AwsStage;
  readonly names: Names;
  readonly data: DataStack;
  readonly functions: FunctionsStack;
  readonly nodes: NodesStack;
}

/** Measures from now on what has to be read from logs. */
export function createMetricSources(
  scope: Construct,
  { stage, names, data, functions, nodes }: MeasuredStage,
): MetricSources {
  const namespace = metricNamespace(stage);
  const events = Object.entries(eventMetrics).map(([key, metric]) => [
    key,
    eventMetric(scope, metric, {
      logGroup: metric.log === 'nodes' ? nodes.logGroup : functions.functions[metric.log].logGroup,
      namespace,
      period: fiveMinutes,
    }),
  ]);
  // Five judgements, so that a change of leader leaves no gap.
  const judged = { logGroup: nodes.logGroup, namespace, period: fiveMinutes };
  const { kind } = data.database;
  return {
    events: Object.fromEntries(events) as Record<EventMetricName, cloudwatch.Metric>,
    sources: {
      age: sourceMetric(scope, sourceMetrics.age, judged),
      intervals: sourceMetric(scope, sourceMetrics.intervals, judged),
    },
    certificateDaysLeft: new cloudwatch.Metric({
      namespace,
      metricName: certificateDaysLeft,
      statistic: 'Minimum',
      period: Duration.days(1),
    }),
    announcementsTaken: awsMetric('SQS', 'NumberOfMessagesDeleted', 'Sum', minute, {
      QueueName: names.resource(sqsQueues.announcements.name),
    }),
    broker: (metricName, statistic) =>
      awsMetric('AmazonMQ', metricName, statistic, fiveMinutes, { Broker: names.cluster }),
    databaseKind: kind,
    database: (metricName, statistic) =>
      awsMetric(
        'RDS',
        metricName,
        statistic,
        fiveMinutes,
        kind === 'cluster'
          ? // All nodes read and write at the writer; with the idle reader it would be half as busy.
            { DBClusterIdentifier: names.cluster, Role: 'WRITER' }
          : { DBInstanceIdentifier: names.cluster },
      ),
    functions: Object.fromEntries(
      functionNames.map((name) => [name, functions.functions[name].function]),
    ) as Record<FunctionName, lambda.Function>,
    nodes,
  };
}
