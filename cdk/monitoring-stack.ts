// Alarms, each with the section of docs/runbook.md that says what to do, one dashboard, and a budget. Alarms go to one
// topic; whoever should hear of them subscribes.
import { Duration, RemovalPolicy, Stack, type StackProps } from 'aws-cdk-lib';
import * as budgets from 'aws-cdk-lib/aws-budgets';
import * as cloudwatch from 'aws-cdk-lib/aws-cloudwatch';
import * as actions from 'aws-cdk-lib/aws-cloudwatch-actions';
import * as elb from 'aws-cdk-lib/aws-elasticloadbalancingv2';
import * as iam from 'aws-cdk-lib/aws-iam';
import * as kms from 'aws-cdk-lib/aws-kms';
import * as sns from 'aws-cdk-lib/aws-sns';
import * as subscriptions from 'aws-cdk-lib/aws-sns-subscriptions';
import type { Construct } from 'constructs';
import { overdueAfterIntervals } from '../contracts/source.ts';
import { functionNames, queuesOf, scraperPausesAtDepth, sqsQueues } from '../contracts/topology.ts';
import { acknowledge } from './acknowledge.ts';
import { nodeIds } from './addresses.ts';
import type { DataStack } from './data-stack.ts';
import type { FunctionsStack } from './functions-stack.ts';
import {
  certificateDaysLeft,
  eventMetric,
  eventMetrics,
  sourceMetric,
  sourceMetrics,
  type EventMetricName,
} from './metrics.ts';
import { metricNamespace, type Names } from './names.ts';
import type { NodesStack } from './nodes-stack.ts';
import type { AwsStage } from './stage.ts';

export interface MonitoringStackProps extends StackProps {
  readonly stage: AwsStage;
  readonly names: Names;
  readonly data: DataStack;
  readonly functions: FunctionsStack;
  readonly nodes: NodesStack;
}

interface AlarmSettings {
  /** The end of the alarm's name. */
  readonly name: string;
  /** Anchor of the section in docs/runbook.md that says what to do. */
  readonly section: string;
  readonly means: string;
  readonly metric: cloudwatch.IMetric;
  readonly above?: number;
  readonly below?: number;
  /** How many periods in a row. */
  readonly periods?: number;
  /** Whether silence is bad news too. */
  readonly silenceIsBad?: boolean;
}

const minute = Duration.minutes(1);
const fiveMinutes = Duration.minutes(5);
const halfAnHour = Duration.minutes(30);
const hour = Duration.hours(1);

export class MonitoringStack extends Stack {
  readonly #props: MonitoringStackProps;
  readonly #events: Readonly<Record<EventMetricName, cloudwatch.Metric>>;
  readonly #sources: Readonly<Record<keyof typeof sourceMetrics, cloudwatch.MathExpression>>;
  readonly #topic: sns.Topic;
  readonly #alarms: cloudwatch.Alarm[] = [];

  constructor(scope: Construct, id: string, props: MonitoringStackProps) {
    super(scope, id, { ...props, description: 'Baton: alarms, dashboard, budget' });
    this.#props = props;
    this.#topic = this.#alarmTopic();
    this.#events = this.#countEvents();
    this.#sources = this.#measureSources();
    for (const alarm of [...this.#cluster(), ...this.#intake(), ...this.#services()]) this.#alarm(alarm);
    this.#dashboard();
    this.#budget();
  }

  #cluster(): AlarmSettings[] {
    return [
      {
        name: 'no-writer',
        section: 'a-leader-that-writes-nothing',
        means:
          'For three minutes no leader could write into the database; it says twice a minute that it can.',
        metric: this.#events.leaderWrites.with({ period: minute }),
        below: 1,
        periods: 3,
        silenceIsBad: true,
      },
      {
        name: 'no-leader',
        section: 'nobody-leads',
        means: 'For two minutes nobody was announced as leader; a leader is every 2 s.',
        // Taken, not sent: it also needs the function that keeps the directory.
        metric: aws('SQS', 'NumberOfMessagesDeleted', 'Sum', minute, {
          QueueName: this.#props.names.resource(sqsQueues.announcements.name),
        }),
        below: 1,
        periods: 2,
        silenceIsBad: true,
      },
      {
        name: 'term-churn',
        section: 'leadership-changes-often',
        means: 'Leadership changed more than five times within an hour.',
        metric: this.#events.termsClaimed.with({ period: hour }),
        above: 5,
      },
      {
        name: 'fence-refused',
        section: 'a-leader-that-writes-nothing',
        means: 'A node that no longer leads tried to write, and the database refused it.',
        metric: this.#events.fenceRefusals,
        above: 0,
      },
      {
        name: 'node-away',
        section: 'a-node-is-away',
        means: 'Fewer nodes than configured are healthy behind the load balancer.',
        // Not those that are unhealthy: a task that is gone is deregistered and no longer counted among them.
        metric: this.#props.nodes.allNodes.metrics.healthyHostCount({
          period: minute,
          statistic: 'Minimum',
        }),
        below: nodeIds.length,
        // A deploy replaces all of them within ten minutes, one after another.
        periods: 15,
        silenceIsBad: true,
      },
      {
        name: 'certificate-ends',
        section: 'certificates',
        means: 'A certificate of the cluster was not renewed and ends within three weeks.',
        metric: new cloudwatch.Metric({
          namespace: metricNamespace(this.#props.stage),
          metricName: certificateDaysLeft,
          statistic: 'Minimum',
          period: Duration.days(1),
        }),
        below: 21,
        silenceIsBad: true,
      },
    ];
  }

  #intake(): AlarmSettings[] {
    const {
      ticks,
      ticksFailed,
      filesRejected,
      deadItems,
      deadFiles,
      deadMails,
      mailsSent,
      mailsFailed,
      mailsPostponed,
    } = this.#events;
    const { deliver, mail, scraper } = this.#props.functions.functions;
    const called = (of: typeof deliver) =>
      of.function.metricInvocations({ period: fiveMinutes, statistic: 'Sum' });
    return [
      {
        name: 'sync-lag',
        section: 'files-do-not-move',
        means: 'The FTP server was looked at less than half as often as twice a minute.',
        metric: ticks.with({ period: fiveMinutes }),
        below: 5,
        periods: 2,
        silenceIsBad: true,
      },
      {
        name: 'sync-fails',
        section: 'files-do-not-move',
        means: 'Looks at the FTP server fail again and again.',
        metric: ticksFailed,
        above: 2,
        periods: 2,
      },
      {
        name: 'no-scraper',
        section: 'no-crawl-ends',
        means: 'The scraper was called less than half as often as once a minute.',
        metric: called(scraper),
        below: 3,
        periods: 2,
        silenceIsBad: true,
      },
      {
        // Each source is a contributor of this one alarm: it names those that are overdue, and tells of each by itself.
        name: 'source-overdue',
        section: 'a-source-is-overdue',
        means: `The last good crawl or file of a source is older than ${overdueAfterIntervals} of its intervals.`,
        metric: this.#sources.intervals,
        above: overdueAfterIntervals,
      },
      {
        name: 'file-rejected',
        section: 'a-file-was-rejected',
        means: 'A partner file was rejected.',
        metric: filesRejected,
        above: 0,
      },
      {
        name: 'dead-letters',
        section: 'dead-letters',
        means: 'A message could not be done and lies in a dead-letter queue.',
        metric: sum({ deadItems, deadFiles, deadMails }),
        above: 0,
      },
      {
        name: 'mail-failed',
        section: 'mails-do-not-go-out',
        means: 'A mail was refused for good by its recipient’s server.',
        metric: mailsFailed,
        above: 0,
      },
      {
        name: 'mail-postponed',
        section: 'mails-do-not-go-out',
        means: 'The SMTP server postponed mails for half an hour and took none.',
        // Tries of one mail come less and less often, up to an hour apart: not each five minutes have one.
        metric: condition('(postponed > 0) AND (FILL(sent, 0) < 1)', {
          period: halfAnHour,
          of: {
            postponed: mailsPostponed.with({ period: halfAnHour }),
            sent: mailsSent.with({ period: halfAnHour }),
          },
        }),
        above: 0,
      },
      {
        name: 'queue-depth',
        section: 'the-queue-grows',
        means:
          'So many messages have waited in RabbitMQ for a quarter of an hour that scrapers pause, or soon will.',
        metric: this.#broker('MessageReadyCount', 'Minimum'),
        above: 0.8 * scraperPausesAtDepth,
        periods: 3,
      },
      {
        name: 'nothing-consumed',
        section: 'the-queue-grows',
        means: 'Messages wait in RabbitMQ, and for a quarter of an hour Lambda called no function with any.',
        metric: condition('(waiting > 0) AND (FILL(deliver, 0) + FILL(mail, 0) < 1)', {
          period: fiveMinutes,
          of: {
            waiting: this.#broker('MessageReadyCount', 'Minimum'),
            deliver: called(deliver),
            mail: called(mail),
          },
        }),
        above: 0,
        periods: 3,
      },
    ];
  }

  #services(): AlarmSettings[] {
    const { functions, data } = this.#props;
    const each = (metric: (name: (typeof functionNames)[number]) => cloudwatch.IMetric) =>
      sum(Object.fromEntries(functionNames.map((name) => [name.replace('-', ''), metric(name)])));
    const database = (metricName: string, statistic: string) =>
      aws(
        'RDS',
        metricName,
        statistic,
        fiveMinutes,
        data.database.kind === 'cluster'
          ? // All nodes read and write at the writer; with the idle reader it would be half as busy.
            { DBClusterIdentifier: this.#props.names.cluster, Role: 'WRITER' }
          : { DBInstanceIdentifier: this.#props.names.cluster },
      );
    return [
      {
        name: 'function-errors',
        section: 'functions-fail',
        means: 'Functions fail again and again.',
        metric: each((name) => functions.functions[name].function.metricErrors({ period: fiveMinutes })),
        // One that is called once a minute and always fails has five, or four where a period begins.
        above: 3,
      },
      {
        name: 'problems',
        section: 'functions-fail',
        means: 'Functions met again and again what does not pass by itself.',
        metric: sum({
          deliver: this.#events.problemsOfDeliver,
          ftpSync: this.#events.problemsOfFtpSync,
          mail: this.#events.problemsOfMail,
          announce: this.#events.problemsOfAnnounce,
        }),
        above: 2,
      },
      {
        name: 'function-throttles',
        section: 'functions-fail',
        means: 'The account has no room for another execution.',
        metric: each((name) => functions.functions[name].function.metricThrottles({ period: fiveMinutes })),
        above: 0,
        periods: 2,
      },
      {
        name: 'database-busy',
        section: 'the-database-is-at-its-limit',
        means: 'The database has been at its limit for a quarter of an hour.',
        metric: database('CPUUtilization', 'Average'),
        above: 90,
        periods: 3,
      },
      ...(data.database.kind === 'instance'
        ? [
            {
              name: 'database-full',
              section: 'the-database-is-at-its-limit',
              means: 'Less than 2 GB is free on the database.',
              metric: database('FreeStorageSpace', 'Minimum'),
              below: 2 * 1024 ** 3,
            },
          ]
        : []),
      {
        name: 'broker-away',
        section: 'the-broker-is-away',
        means: 'For ten minutes nobody was connected to RabbitMQ; nodes and mappings always are.',
        metric: this.#broker('ConnectionCount', 'Maximum'),
        below: 1,
        periods: 2,
        silenceIsBad: true,
      },
      {
        name: 'broker-memory',
        section: 'the-broker-is-short-of-memory-or-disk',
        means: 'RabbitMQ is near the memory at which it stops taking messages.',
        metric: this.#ofLimit('100 * used / limit', {
          used: this.#broker('RabbitMQMemUsed', 'Maximum'),
          limit: this.#broker('RabbitMQMemLimit', 'Maximum'),
        }),
        above: 85,
        periods: 3,
      },
      {
        name: 'broker-disk',
        section: 'the-broker-is-short-of-memory-or-disk',
        means: 'RabbitMQ is near the free disk space at which it stops taking messages.',
        metric: this.#ofLimit('100 * limit / free', {
          free: this.#broker('RabbitMQDiskFree', 'Minimum'),
          limit: this.#broker('RabbitMQDiskFreeLimit', 'Maximum'),
        }),
        above: 85,
        periods: 3,
      },
    ];
  }

  #alarm({
    name,
    section,
    means,
    metric,
    above,
    below,
    periods = 1,
    silenceIsBad = false,
  }: AlarmSettings): void {
    const { names } = this.#props;
    const alarm = new cloudwatch.Alarm(this, `Alarm-${name}`, {
      alarmName: `${names.cluster}-${name}`,
      alarmDescription: `${means} What to do: docs/runbook.md#${section}`,
      metric,
      threshold: above ?? below ?? 0,
      comparisonOperator:
        above === undefined
          ? cloudwatch.ComparisonOperator.LESS_THAN_THRESHOLD
          : cloudwatch.ComparisonOperator.GREATER_THAN_THRESHOLD,
      evaluationPeriods: periods,
      treatMissingData: silenceIsBad
        ? cloudwatch.TreatMissingData.BREACHING
        : cloudwatch.TreatMissingData.NOT_BREACHING,
    });
    const action = new actions.SnsAction(this.#topic);
    alarm.addAlarmAction(action);
    alarm.addOkAction(action);
    this.#alarms.push(alarm);
  }

  #countEvents(): Record<EventMetricName, cloudwatch.Metric> {
    const { stage, functions, nodes } = this.#props;
    const counters = Object.entries(eventMetrics).map(([key, metric]) => [
      key,
      eventMetric(this, metric, {
        logGroup: metric.log === 'nodes' ? nodes.logGroup : functions.functions[metric.log].logGroup,
        namespace: metricNamespace(stage),
        period: fiveMinutes,
      }),
    ]);
    return Object.fromEntries(counters) as Record<EventMetricName, cloudwatch.Metric>;
  }

  #measureSources(): Record<keyof typeof sourceMetrics, cloudwatch.MathExpression> {
    const { stage, nodes } = this.#props;
    // Five judgements, so that a change of leader leaves no gap.
    const how = {
      logGroup: nodes.logGroup,
      namespace: metricNamespace(stage),
      period: fiveMinutes,
    };
    return {
      age: sourceMetric(this, sourceMetrics.age, how),
      intervals: sourceMetric(this, sourceMetrics.intervals, how),
    };
  }

  /** Amazon MQ has no metrics per queue on RabbitMQ 4: these are the broker's own. */
  #broker(metricName: string, statistic: string): cloudwatch.Metric {
    return aws('AmazonMQ', metricName, statistic, fiveMinutes, { Broker: this.#props.names.cluster });
  }

  #ofLimit(expression: string, usingMetrics: Record<string, cloudwatch.Metric>): cloudwatch.MathExpression {
    return new cloudwatch.MathExpression({
      expression,
      usingMetrics,
      period: fiveMinutes,
      label: 'percent of the limit',
    });
  }

  #alarmTopic(): sns.Topic {
    const { stage, names } = this.#props;
    const key = new kms.Key(this, 'AlarmKey', {
      description: `${names.cluster}: alarms`,
      enableKeyRotation: true,
      removalPolicy: RemovalPolicy.DESTROY, // Nothing that it encrypted outlives the topic; KMS keeps it for 30 days.
    });
    // CloudWatch publishes to an encrypted topic only if it may use the key, which AWS's own key does not let it.
    key.addToResourcePolicy(
      new iam.PolicyStatement({
        principals: [new iam.ServicePrincipal('cloudwatch.amazonaws.com')],
        actions: ['kms:Decrypt', 'kms:GenerateDataKey'],
        resources: ['*'], // In a key's own policy: this key.
        conditions: { StringEquals: { 'aws:SourceAccount': this.account } },
      }),
    );
    const topic = new sns.Topic(this, 'Alarms', {
      topicName: `${names.cluster}-alarms`,
      masterKey: key,
      enforceSSL: true,
    });
    // A policy with one statement replaces the one that lets the account publish.
    topic.addToResourcePolicy(
      new iam.PolicyStatement({
        principals: [new iam.ServicePrincipal('cloudwatch.amazonaws.com')],
        actions: ['sns:Publish'],
        resources: [topic.topicArn],
        conditions: { StringEquals: { 'aws:SourceAccount': this.account } },
      }),
    );
    acknowledge(
      topic,
      'Serverless-SNSRedrivePolicy',
      'A mail that cannot be delivered has nowhere better to go: the alarm itself stays red and is on the dashboard.',
    );
    topic.addSubscription(new subscriptions.EmailSubscription(stage.alarmEmail));
    return topic;
  }

  #dashboard(): void {
    const { names } = this.#props;
    const graph = (title: string, left: cloudwatch.IMetric[], width = 8) =>
      new cloudwatch.GraphWidget({ title, left, width });
    const {
      leaderWrites,
      termsClaimed,
      fenceRefusals,
      ticks,
      ticksFailed,
      crawlsFinished,
      filesRejected,
      mailsSent,
      mailsFailed,
      mailsPostponed,
    } = this.#events;
    new cloudwatch.Dashboard(this, 'Dashboard', {
      dashboardName: names.cluster,
      widgets: [
        [new cloudwatch.AlarmStatusWidget({ title: 'Alarms', alarms: this.#alarms, width: 24, height: 3 })],
        [
          graph('Leadership', [leaderWrites, termsClaimed, fenceRefusals]),
          graph('Intake', [crawlsFinished, ticks, ticksFailed, filesRejected]),
          graph('RabbitMQ', [
            this.#broker('MessageReadyCount', 'Maximum'),
            this.#broker('MessageUnacknowledgedCount', 'Maximum'),
          ]),
        ],
        [
          graph(
            'Functions: duration',
            functionNames.map((name) => this.#props.functions.functions[name].function.metricDuration()),
          ),
          graph('Mail', [mailsSent, mailsFailed, mailsPostponed]),
          graph('Load balancer', [
            this.#props.nodes.loadBalancer.metrics.requestCount(),
            this.#props.nodes.loadBalancer.metrics.httpCodeTarget(elb.HttpCodeTarget.TARGET_5XX_COUNT),
          ]),
        ],
        [
          graph('Sources: seconds since the last good crawl or file', [this.#sources.age], 12),
          graph('Sources: the same in their intervals', [this.#sources.intervals], 12),
        ],
        [
          new cloudwatch.TextWidget({
            markdown: `Queues: ${queuesOf(this.#props.stage.itemPartitions)
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

  #budget(): void {
    const { stage, names } = this.#props;
    const subscribers = [{ subscriptionType: 'EMAIL', address: stage.alarmEmail }];
    const warn = (notificationType: 'ACTUAL' | 'FORECASTED', threshold: number) => ({
      notification: { notificationType, comparisonOperator: 'GREATER_THAN', threshold },
      subscribers,
    });
    new budgets.CfnBudget(this, 'Budget', {
      budget: {
        budgetName: names.cluster,
        budgetType: 'COST',
        timeUnit: 'MONTHLY',
        budgetLimit: { amount: stage.budgetUsd, unit: 'USD' },
        // The tag has to be activated for cost allocation once per account: docs/aws.md.
        costFilters: { TagKeyValue: [`user:stage$${stage.name}`] },
      },
      notificationsWithSubscribers: [warn('ACTUAL', 80), warn('FORECASTED', 100)],
    });
  }
}

function aws(
  service: string,
  metricName: string,
  statistic: string,
  period: Duration,
  dimensionsMap: Record<string, string>,
): cloudwatch.Metric {
  return new cloudwatch.Metric({ namespace: `AWS/${service}`, metricName, statistic, period, dimensionsMap });
}
/** 1 where it holds and 0 where not. */
function condition(
  expression: string,
  { period, of }: { period: Duration; of: Record<string, cloudwatch.IMetric> },
): cloudwatch.MathExpression {
  return new cloudwatch.MathExpression({
    expression: `IF(${expression}, 1, 0)`,
    usingMetrics: of,
    period,
    label: '1: it is so',
  });
}
function sum(usingMetrics: Record<string, cloudwatch.IMetric>): cloudwatch.MathExpression {
  const names = Object.keys(usingMetrics);
  return new cloudwatch.MathExpression({
    // A metric that reported nothing counts as none, not as unknown.
    expression: names.map((name) => `FILL(${name}, 0)`).join(' + '),
    usingMetrics,
    period: fiveMinutes,
    label: 'all together',
  });
}
