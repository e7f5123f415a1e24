// Every metric that an alarm looks at has a producer: a line that code of ours writes and a filter counts, or a resource
// of the templates that AWS measures. Every alarm leads to a section of the runbook that exists.
import { readFileSync } from 'node:fs';
import { beforeAll, describe, expect, test } from 'vitest';
import { z } from 'zod';
import { nodes } from '../../contracts/topology.ts';
import { resourceGrants } from './grants.ts';
import { producedLines } from './produced-lines.ts';
import { account } from './resolve.ts';
import { ofType, synthesized, type Resource } from './synthesize.ts';

const metricSchema = z.object({
  Namespace: z.string(),
  MetricName: z.string(),
  Dimensions: z.array(z.object({ Name: z.string(), Value: z.string() })).default([]),
});
type Metric = z.infer<typeof metricSchema>;
const alarmSchema = z.object({
  AlarmName: z.string(),
  AlarmDescription: z.string(),
  AlarmActions: z.array(z.string()).min(1),
  Threshold: z.number(),
  ComparisonOperator: z.string(),
  TreatMissingData: z.string(),
  Statistic: z.string().optional(),
  Metrics: z
    .array(
      z.object({
        MetricStat: z.object({ Metric: metricSchema }).optional(),
        Expression: z.string().optional(),
      }),
    )
    .optional(),
});
const filterSchema = z.object({
  FilterPattern: z.string(),
  LogGroupName: z.string(),
  MetricTransformations: z.tuple([
    z.object({
      MetricName: z.string(),
      MetricNamespace: z.string(),
      MetricValue: z.string(),
      DefaultValue: z.number().optional(),
      Dimensions: z.array(z.object({ Key: z.string(), Value: z.string() })).default([]),
    }),
  ]),
});

/** What AWS measures of which resource, and by what it is named: only what is used here. */
const measured: Readonly<
  Record<string, { dimension: string; type: string; property: string; names: readonly string[] }[]>
> = {
  'AWS/SQS': [
    {
      dimension: 'QueueName',
      type: 'AWS::SQS::Queue',
      property: 'QueueName',
      names: ['NumberOfMessagesDeleted'],
    },
  ],
  'AWS/Lambda': [
    {
      dimension: 'FunctionName',
      type: 'AWS::Lambda::Function',
      property: 'FunctionName',
      names: ['Errors', 'Throttles', 'Invocations'],
    },
  ],
  'AWS/RDS': [
    {
      dimension: 'DBInstanceIdentifier',
      type: 'AWS::RDS::DBInstance',
      property: 'DBInstanceIdentifier',
      names: ['CPUUtilization', 'FreeStorageSpace'],
    },
    {
      dimension: 'DBClusterIdentifier',
      type: 'AWS::RDS::DBCluster',
      property: 'DBClusterIdentifier',
      names: ['CPUUtilization'],
    },
  ],
  'AWS/AmazonMQ': [
    {
      dimension: 'Broker',
      type: 'AWS::AmazonMQ::Broker',
      property: 'BrokerName',
      names: [
        'MessageReadyCount',
        'ConnectionCount',
        'RabbitMQMemUsed',
        'RabbitMQMemLimit',
        'RabbitMQDiskFree',
        'RabbitMQDiskFreeLimit',
      ],
    },
  ],
};

const alarmsOf = (resources: readonly Resource[]) =>
  ofType(resources, 'AWS::CloudWatch::Alarm').map(({ Properties }) => {
    const alarm = alarmSchema.parse(Properties);
    const metrics: Metric[] = alarm.Metrics
      ? alarm.Metrics.flatMap(({ MetricStat }) => (MetricStat ? [MetricStat.Metric] : []))
      : [metricSchema.parse(Properties)];
    return { ...alarm, metrics };
  });

describe.each(['dev', 'prod'])('monitoring: stage %s', (stage) => {
  const { resources } = synthesized(stage);
  const namespace = `Baton/${stage}`;
  const alarms = alarmsOf(resources);
  let lines: Awaited<ReturnType<typeof producedLines>>;
  beforeAll(async () => {
    lines = await producedLines(namespace);
  });

  /** In which log the metric's lines stand, and how they are recognized. */
  function counts(metric: string): ((line: string) => boolean) | undefined {
    const filter = ofType(resources, 'AWS::Logs::MetricFilter')
      .map(({ Properties }) => filterSchema.parse(Properties))
      .find(
        ({ MetricTransformations: [made] }) =>
          made.MetricName === metric && made.MetricNamespace === namespace,
      );
    if (!filter) return undefined;
    const owner = filter.LogGroupName.split('/').at(-1) ?? '';
    return (line) => (lines.get(owner) ?? []).includes(line) && matches(filter.FilterPattern, line);
  }
  const all = () => [...lines.values()].flat();
  const filterOf = (metric: string) =>
    ofType(resources, 'AWS::Logs::MetricFilter')
      .map(({ Properties }) => filterSchema.parse(Properties))
      .find(({ MetricTransformations: [made] }) => made.MetricName === metric);

  test('there are alarms, each with somebody who hears it and a section of the runbook that exists', () => {
    expect(alarms.length).toBeGreaterThanOrEqual(16);
    const anchors = runbookAnchors();
    for (const { AlarmDescription, AlarmActions } of alarms) {
      expect(AlarmActions).toEqual(['Alarms']);
      const anchor = /docs\/runbook\.md#(?<anchor>\S+)$/.exec(AlarmDescription)?.groups?.['anchor'];
      expect(anchors).toContain(anchor);
    }
  });

  test('every metric of our own appears when the code that writes it runs', () => {
    const own = alarms.flatMap(({ metrics }) => metrics).filter(({ Namespace }) => Namespace === namespace);
    expect(own.length).toBeGreaterThanOrEqual(10);
    for (const { MetricName, Dimensions } of own) {
      expect(Dimensions).toEqual([]);
      const isCounted = counts(MetricName) ?? ((line: string) => isEmbedded(line, { namespace, MetricName }));
      expect({ MetricName, lines: all().filter(isCounted).length > 0 }).toEqual({ MetricName, lines: true });
    }
  });

  test('each reason for which RabbitMQ stops taking messages has an alarm', () => {
    const asked = (name: string) => alarms.find(({ AlarmName }) => AlarmName === `baton-${stage}-${name}`);
    for (const [name, metrics] of [
      ['broker-memory', ['RabbitMQMemUsed', 'RabbitMQMemLimit']],
      ['broker-disk', ['RabbitMQDiskFree', 'RabbitMQDiskFreeLimit']],
    ] as const)
      expect(asked(name)?.metrics.map(({ MetricName }) => MetricName)).toEqual(metrics);
  });

  test('a node is away also when its task is gone, and counted neither as healthy nor as unhealthy', () => {
    expect(alarms.find(({ AlarmName }) => AlarmName === `baton-${stage}-node-away`)).toMatchObject({
      metrics: [{ MetricName: 'HealthyHostCount' }],
      Statistic: 'Minimum',
      ComparisonOperator: 'LessThanThreshold',
      Threshold: nodes.countDefault,
      TreatMissingData: 'breaching',
    });
  });

  const ofSources =
    /^SELECT MAX\((?<metric>\w+)\) FROM SCHEMA\("(?<namespace>[^"]+)", source\) GROUP BY source ORDER BY MAX\(\) DESC$/;
  test('a source that is overdue is a series of its own: the query of the alarm asks for what the filter makes of the line', () => {
    const [alarm, ...more] = alarms.filter(({ Metrics }) =>
      Metrics?.some(({ Expression }) => Expression?.includes('SELECT')),
    );
    expect(more).toEqual([]);
    expect(alarm).toMatchObject({ AlarmName: `baton-${stage}-source-overdue`, Threshold: 3 });
    const asked = alarm?.Metrics?.map(({ Expression }) => ofSources.exec(Expression ?? '')?.groups) ?? [];
    expect(asked).toEqual([{ metric: 'SourceIntervals', namespace }]);
    const points = seriesOf('SourceIntervals');
    expect(points).toEqual([
      { source: 'late-shop', value: 7.5 },
      { source: 'shop', value: 0.5 },
    ]);
    // A partner of whom no file is expected has an age, and nothing to be late for.
    expect(seriesOf('SourceAge').map(({ source }) => source)).toEqual(['late-shop', 'shop', 'partner']);
  });

  /** What the filter makes of the lines: CloudWatch takes no default value beside dimensions. */
  function seriesOf(metric: string): { source: unknown; value: unknown }[] {
    const filter = filterOf(metric);
    const [made] = filter?.MetricTransformations ?? [];
    expect(made).toMatchObject({
      MetricNamespace: namespace,
      Dimensions: [{ Key: 'source', Value: '$.source' }],
    });
    expect(made?.DefaultValue).toBeUndefined();
    const field = /^\$\.(?<field>\w+)$/.exec(made?.MetricValue ?? '')?.groups?.['field'] ?? '';
    return all()
      .filter((line) => counts(metric)?.(line))
      .map((line) => JSON.parse(line) as Record<string, unknown>)
      .map((json) => ({ source: json['source'], value: json[field] }));
  }

  test('every query of the dashboard asks for a metric that a filter makes', () => {
    const [dashboard] = ofType(resources, 'AWS::CloudWatch::Dashboard');
    const queries = [
      ...JSON.stringify(dashboard?.Properties['DashboardBody']).matchAll(/SELECT MAX\((?<metric>\w+)\)/g),
    ].map(({ groups }) => groups?.['metric'] ?? '');
    expect(queries.toSorted()).toEqual(['SourceAge', 'SourceIntervals']);
    for (const metric of queries) expect(seriesOf(metric)).not.toEqual([]);
  });

  test('every other metric is one that AWS measures of a resource in the templates', () => {
    const others = alarms
      .flatMap(({ metrics }) => metrics)
      .filter(({ Namespace }) => Namespace !== namespace);
    expect(others.length).toBeGreaterThan(0);
    const [balanced, single] = [
      others.filter(({ Namespace }) => Namespace === 'AWS/ApplicationELB'),
      others.filter(({ Namespace }) => Namespace !== 'AWS/ApplicationELB'),
    ];
    expect(
      balanced.map(({ MetricName, Dimensions }) => [MetricName, ...Dimensions.map(({ Name }) => Name)]),
    ).toEqual([['HealthyHostCount', 'LoadBalancer', 'TargetGroup']]);
    for (const { Namespace, MetricName, Dimensions } of single) {
      const [dimension, ...more] = Dimensions;
      // Of a cluster as a whole there is only the mean of a busy writer and an idle reader.
      expect(more).toEqual(
        dimension?.Name === 'DBClusterIdentifier' ? [{ Name: 'Role', Value: 'WRITER' }] : [],
      );
      const kind = measured[Namespace]?.find((candidate) => candidate.dimension === dimension?.Name);
      expect(kind?.names).toContain(MetricName);
      const named = ofType(resources, kind?.type ?? '').map(
        ({ Properties }) => Properties[kind?.property ?? ''],
      );
      expect(named).toContain(dimension?.Value);
    }
  });

  test('a filter counts nothing else: each line is of one metric, or the two of a source or a tick, and most lines of none', () => {
    const filters = ofType(resources, 'AWS::Logs::MetricFilter').map(
      ({ Properties }) => filterSchema.parse(Properties).MetricTransformations[0].MetricName,
    );
    for (const line of all())
      expect(
        [[], ['SourceAge'], ['SourceAge', 'SourceIntervals'], ['Ticks', 'TicksFailed']]
          .map(String)
          .concat(filters),
      ).toContain(String(filters.filter((metric) => counts(metric)?.(line))));
    const [line] = lines.get('deliver') ?? [];
    const other = JSON.stringify({ ...(JSON.parse(line ?? '{}') as object), type: 'page.failed' });
    for (const filter of ofType(resources, 'AWS::Logs::MetricFilter'))
      expect(matches(String(filter.Properties['FilterPattern']), other)).toBe(false);
  });

  test('CloudWatch of this account may publish alarms, and use the key that encrypts them', () => {
    const allowed = resourceGrants(resources).filter(
      ({ who, effect }) => who === 'cloudwatch.amazonaws.com' && effect === 'Allow',
    );
    const fromHere = { StringEquals: { 'aws:SourceAccount': account } };
    expect(allowed.map(({ actions, resources: on, condition }) => ({ actions, on, condition }))).toEqual(
      expect.arrayContaining([
        { actions: ['sns:Publish'], on: ['Alarms'], condition: fromHere },
        { actions: ['kms:Decrypt', 'kms:GenerateDataKey'], on: ['AlarmKey'], condition: fromHere },
      ]),
    );
  });

  test('a budget warns before it is spent, by mail and not through the topic', () => {
    const [budget] = ofType(resources, 'AWS::Budgets::Budget');
    const warnings = JSON.stringify(budget?.Properties['NotificationsWithSubscribers']);
    expect(warnings).toContain('"FORECASTED"');
    expect(warnings).toContain('"SubscriptionType":"EMAIL"');
    expect(warnings).not.toContain('"SNS"');
  });
});

const condition = /^\(\$\.(?<field>\w+) (?:IS (?<is>TRUE)|>= (?<least>\d+)|= "(?<equals>[^"]*)")\)$/;

/** The part of CloudWatch's filter patterns that is used here. @throws for a pattern beyond it. */
function matches(pattern: string, line: string): boolean {
  const inner = /^\{ (?<inner>.+) \}$/.exec(pattern)?.groups?.['inner'];
  if (inner === undefined) throw new Error(`no filter pattern for JSON: ${pattern}`);
  const json = z.record(z.string(), z.unknown()).parse(JSON.parse(line));
  return inner.split(' && ').every((text) => {
    const { field, is, least, equals } = condition.exec(text)?.groups ?? {};
    if (field === undefined) throw new Error(`this test cannot read ${text} of ${pattern}`);
    if (least !== undefined) return typeof json[field] === 'number' && json[field] >= Number(least);
    return json[field] === (is === undefined ? equals : true);
  });
}

const embeddedSchema = z.object({
  _aws: z.object({
    Timestamp: z.number(),
    CloudWatchMetrics: z.array(
      z.object({
        Namespace: z.string(),
        Dimensions: z.array(z.array(z.string())),
        Metrics: z.array(z.object({ Name: z.string() })),
      }),
    ),
  }),
});
/** Without dimensions, as the alarm asks for it, and with its number in the line. */
function isEmbedded(line: string, wanted: { namespace: string; MetricName: string }): boolean {
  const json: unknown = JSON.parse(line);
  const parsed = embeddedSchema.safeParse(json);
  return (
    parsed.success &&
    typeof (json as Record<string, unknown>)[wanted.MetricName] === 'number' &&
    parsed.data._aws.CloudWatchMetrics.some(
      ({ Namespace, Dimensions, Metrics }) =>
        Namespace === wanted.namespace &&
        Dimensions.some((dimensions) => dimensions.length === 0) &&
        Metrics.some(({ Name }) => Name === wanted.MetricName),
    )
  );
}

function runbookAnchors(): string[] {
  const text = readFileSync(new URL('../../docs/runbook.md', import.meta.url), 'utf8');
  return [...text.matchAll(/^## (?<heading>.+)$/gm)].map((match) =>
    (match.groups?.['heading'] ?? '')
      .toLowerCase()
      .replaceAll(/[^a-z0-9 -]/g, '')
      .replaceAll(' ', '-'),
  );
}
