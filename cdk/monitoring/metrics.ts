// Every metric that an alarm or the dashboard looks at, with who produces it: AWS itself, the secret keeper, or an
// event of contracts/event.ts in a log, which the compiler knows by its type. A metric nobody produces cannot be named.
import { Duration } from 'aws-cdk-lib';
import * as cloudwatch from 'aws-cdk-lib/aws-cloudwatch';
import * as logs from 'aws-cdk-lib/aws-logs';
import type { Construct } from 'constructs';
import type { BatonEvent, EventType } from '../../contracts/event.ts';
import type { FunctionName } from '../../contracts/topology.ts';

export const minute = Duration.minutes(1);
export const fiveMinutes = Duration.minutes(5);
export const halfAnHour = Duration.minutes(30);
export const hour = Duration.hours(1);

type FieldOf<T extends EventType> = Exclude<keyof Extract<BatonEvent, { type: T }>, 'type'> & string;
/** An event that is counted: in whose log, of which type, and with which value of which field. */
export interface EventMetric<T extends EventType = EventType> {
  readonly name: string;
  readonly log: 'nodes' | FunctionName;
  readonly type: T;
  readonly where?: { readonly field: string; readonly equals: string };
}

function counted<T extends EventType>(
  name: string,
  log: EventMetric['log'],
  type: T,
  where?: { field: FieldOf<T>; equals: string },
): EventMetric<T> {
  return { name, log, type, ...(where ? { where } : {}) };
}

export const eventMetrics = {
  leaderWrites: counted('LeaderWrites', 'nodes', 'leader.writes'),
  termsClaimed: counted('TermsClaimed', 'nodes', 'fence.claimed'),
  fenceRefusals: counted('FenceRefusals', 'nodes', 'fence.refused'),
  crawlsFinished: counted('CrawlsFinished', 'scraper', 'crawl.changed', {
    field: 'status',
    equals: 'finished',
  }),
  ticks: counted('Ticks', 'ftp-sync', 'tick.received'),
  ticksFailed: counted('TicksFailed', 'ftp-sync', 'tick.received', { field: 'outcome', equals: 'failed' }),
  filesRejected: counted('FilesRejected', 'ftp-sync', 'file.changed', { field: 'state', equals: 'rejected' }),
  problemsOfDeliver: counted('ProblemsOfDeliver', 'deliver', 'problem'),
  problemsOfFtpSync: counted('ProblemsOfFtpSync', 'ftp-sync', 'problem'),
  problemsOfMail: counted('ProblemsOfMail', 'mail', 'problem'),
  problemsOfAnnounce: counted('ProblemsOfAnnounce', 'announce', 'problem'),
  deadItems: counted('DeadLettersOfDeliver', 'deliver', 'message.dead-lettered'),
  deadFiles: counted('DeadLettersOfFtpSync', 'ftp-sync', 'message.dead-lettered'),
  deadMails: counted('DeadLettersOfMail', 'mail', 'message.dead-lettered'),
  mailsSent: counted('MailsSent', 'mail', 'mail.changed', { field: 'state', equals: 'sent' }),
  mailsFailed: counted('MailsFailed', 'mail', 'mail.changed', { field: 'state', equals: 'failed' }),
  mailsPostponed: counted('MailsPostponed', 'mail', 'mail.changed', { field: 'state', equals: 'queued' }),
} as const satisfies Record<string, EventMetric>;
export type EventMetricName = keyof typeof eventMetrics;

/** Finds events in the log, where runtime/logger.ts writes one JSON object a line. */
function filterPattern({ type, where }: EventMetric): string {
  const conditions = [
    '($.event IS TRUE)',
    `($.type = "${type}")`,
    ...(where ? [`($.${where.field} = "${where.equals}")`] : []),
  ];
  return `{ ${conditions.join(' && ')} }`;
}

/** Counts the event from now on. */
export function eventMetric(
  scope: Construct,
  metric: EventMetric,
  { logGroup, namespace, period }: { logGroup: logs.ILogGroup; namespace: string; period: Duration },
): cloudwatch.Metric {
  new logs.MetricFilter(scope, `Filter-${metric.name}`, {
    logGroup,
    metricNamespace: namespace,
    metricName: metric.name,
    filterPattern: logs.FilterPattern.literal(filterPattern(metric)),
    metricValue: '1',
    defaultValue: 0,
  });
  return new cloudwatch.Metric({ namespace, metricName: metric.name, statistic: 'Sum', period });
}

/** Numbers of `source.judged`, a series a source: a new source has its own with its first line, and no deployment. */
export const sourceMetrics = {
  /** Seconds since the last good crawl or file. */
  age: { name: 'SourceAge', field: 'ageS' },
  /** The same in intervals of the source; of a source without one there is none. */
  intervals: { name: 'SourceIntervals', field: 'intervals' },
} as const satisfies Record<string, { name: string; field: FieldOf<'source.judged'> }>;
const byEvent = 'source.judged' satisfies EventType;
const bySource = 'source' satisfies FieldOf<'source.judged'>;

/**
 * Measures it from now on. @returns the largest of each source in a period, as a query: the series are not known here.
 * At most 500 of them are returned, which is how many sources the leader judges.
 */
export function sourceMetric(
  scope: Construct,
  { name, field }: (typeof sourceMetrics)[keyof typeof sourceMetrics],
  { logGroup, namespace, period }: { logGroup: logs.ILogGroup; namespace: string; period: Duration },
): cloudwatch.MathExpression {
  new logs.MetricFilter(scope, `Filter-${name}`, {
    logGroup,
    metricNamespace: namespace,
    metricName: name,
    // What is null is not compared, and so not measured.
    filterPattern: logs.FilterPattern.literal(
      `{ ($.event IS TRUE) && ($.type = "${byEvent}") && ($.${field} >= 0) }`,
    ),
    metricValue: `$.${field}`,
    dimensions: { [bySource]: `$.${bySource}` }, // CloudWatch takes no default value beside it.
  });
  return new cloudwatch.MathExpression({
    // Both clauses are needed for an alarm in which each source has a state of its own.
    expression: `SELECT MAX(${name}) FROM SCHEMA("${namespace}", ${bySource}) GROUP BY ${bySource} ORDER BY MAX() DESC`,
    period,
    label: name,
  });
}

/** Written by functions/deploy/secret-keeper in embedded metric format. */
export const certificateDaysLeft = 'CertificateDaysLeft';

export function awsMetric(
  service: string,
  metricName: string,
  statistic: string,
  period: Duration,
  dimensionsMap: Record<string, string>,
): cloudwatch.Metric {
  return new cloudwatch.Metric({ namespace: `AWS/${service}`, metricName, statistic, period, dimensionsMap });
}
/** 1 while it holds, and 0 while not. */
export function oneWhile(
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
export function sumOf(usingMetrics: Record<string, cloudwatch.IMetric>): cloudwatch.MathExpression {
  const names = Object.keys(usingMetrics);
  return new cloudwatch.MathExpression({
    // A metric that reported nothing counts as none, not as unknown.
    expression: names.map((name) => `FILL(${name}, 0)`).join(' + '),
    usingMetrics,
    period: fiveMinutes,
    label: 'all together',
  });
}
export function percentOf(
  quotient: string,
  usingMetrics: Record<string, cloudwatch.IMetric>,
): cloudwatch.MathExpression {
  return new cloudwatch.MathExpression({
    expression: `100 * ${quotient}`,
    usingMetrics,
    period: fiveMinutes,
    label: 'percent of the limit',
  });
}
