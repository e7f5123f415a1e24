// Alarms about what the system stands on: functions, database, broker.
import { functionNames, type FunctionName } from '../../contracts/topology.ts';
import type * as cloudwatch from 'aws-cdk-lib/aws-cloudwatch';
import type { AlarmSettings } from './alarm.ts';
import type { MetricSources } from './metric-sources.ts';
import { fiveMinutes, percentOf, sumOf } from './metrics.ts';

export function alarmsOfServices({
  events,
  broker,
  databaseKind,
  database,
  functions,
}: MetricSources): AlarmSettings[] {
  const each = (metric: (name: FunctionName) => cloudwatch.IMetric) =>
    sumOf(Object.fromEntries(functionNames.map((name) => [name.replace('-', ''), metric(name)])));
  return [
    {
      name: 'function-errors',
      section: 'functions-fail',
      means: 'Functions fail again and again.',
      metric: each((name) => functions[name].metricErrors({ period: fiveMinutes })),
      // One that is called once a minute and always fails has five, or four where a period begins.
      above: 3,
    },
    {
      name: 'problems',
      section: 'functions-fail',
      means: 'Functions met again and again what does not pass by itself.',
      metric: sumOf({
        deliver: events.problemsOfDeliver,
        ftpSync: events.problemsOfFtpSync,
        mail: events.problemsOfMail,
        announce: events.problemsOfAnnounce,
      }),
      above: 2,
    },
    {
      name: 'function-throttles',
      section: 'functions-fail',
      means: 'The account has no room for another execution.',
      metric: each((name) => functions[name].metricThrottles({ period: fiveMinutes })),
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
    ...(databaseKind === 'instance'
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
      metric: broker('ConnectionCount', 'Maximum'),
      below: 1,
      periods: 2,
      silenceIsBad: true,
    },
    {
      name: 'broker-memory',
      section: 'the-broker-is-short-of-memory-or-disk',
      means: 'RabbitMQ is near the memory at which it stops taking messages.',
      metric: percentOf('used / limit', {
        used: broker('RabbitMQMemUsed', 'Maximum'),
        limit: broker('RabbitMQMemLimit', 'Maximum'),
      }),
      above: 85,
      periods: 3,
    },
    {
      name: 'broker-disk',
      section: 'the-broker-is-short-of-memory-or-disk',
      means: 'RabbitMQ is near the free disk space at which it stops taking messages.',
      metric: percentOf('limit / free', {
        free: broker('RabbitMQDiskFree', 'Minimum'),
        limit: broker('RabbitMQDiskFreeLimit', 'Maximum'),
      }),
      above: 85,
      periods: 3,
    },
  ];
}
