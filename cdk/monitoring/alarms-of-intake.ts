// Alarms about what comes in and goes out: shops, partners' files, messages, mails.
import { overdueAfterIntervals } from '../../contracts/source.ts';
import { scraperPausesAtDepth, type FunctionName } from '../../contracts/topology.ts';
import type { AlarmSettings } from './alarm.ts';
import type { MetricSources } from './metric-sources.ts';
import { fiveMinutes, halfAnHour, oneWhile, sumOf } from './metrics.ts';

export function alarmsOfIntake({ events, sources, broker, functions }: MetricSources): AlarmSettings[] {
  const { deadItems, deadFiles, deadMails } = events;
  const called = (name: FunctionName) =>
    functions[name].metricInvocations({ period: fiveMinutes, statistic: 'Sum' });
  return [
    {
      name: 'sync-lag',
      section: 'files-do-not-move',
      means: 'The FTP server was looked at less than half as often as twice a minute.',
      metric: events.ticks,
      below: 5,
      periods: 2,
      silenceIsBad: true,
    },
    {
      name: 'sync-fails',
      section: 'files-do-not-move',
      means: 'Looks at the FTP server fail again and again.',
      metric: events.ticksFailed,
      above: 2,
      periods: 2,
    },
    {
      name: 'no-scraper',
      section: 'no-crawl-ends',
      means: 'The scraper was called less than half as often as once a minute.',
      metric: called('scraper'),
      below: 3,
      periods: 2,
      silenceIsBad: true,
    },
    {
      // Each source is a contributor of this one alarm: it names those that are overdue, and tells of each by itself.
      name: 'source-overdue',
      section: 'a-source-is-overdue',
      means: `The last good crawl or file of a source is older than ${overdueAfterIntervals} of its intervals.`,
      metric: sources.intervals,
      above: overdueAfterIntervals,
    },
    {
      name: 'file-rejected',
      section: 'a-file-was-rejected',
      means: 'A partner file was rejected.',
      metric: events.filesRejected,
      above: 0,
    },
    {
      name: 'dead-letters',
      section: 'dead-letters',
      means: 'A message could not be done and lies in a dead-letter queue.',
      metric: sumOf({ deadItems, deadFiles, deadMails }),
      above: 0,
    },
    {
      name: 'mail-failed',
      section: 'mails-do-not-go-out',
      means: 'A mail was refused for good by its recipient’s server.',
      metric: events.mailsFailed,
      above: 0,
    },
    {
      name: 'mail-postponed',
      section: 'mails-do-not-go-out',
      means: 'The SMTP server postponed mails for half an hour and took none.',
      // Tries of one mail come less and less often, up to an hour apart: not each five minutes have one.
      metric: oneWhile('(postponed > 0) AND (FILL(sent, 0) < 1)', {
        period: halfAnHour,
        of: {
          postponed: events.mailsPostponed.with({ period: halfAnHour }),
          sent: events.mailsSent.with({ period: halfAnHour }),
        },
      }),
      above: 0,
    },
    {
      name: 'queue-depth',
      section: 'the-queue-grows',
      means:
        'So many messages have waited in RabbitMQ for a quarter of an hour that scrapers pause, or soon will.',
      metric: broker('MessageReadyCount', 'Minimum'),
      above: 0.8 * scraperPausesAtDepth,
      periods: 3,
    },
    {
      name: 'nothing-consumed',
      section: 'the-queue-grows',
      means: 'Messages wait in RabbitMQ, and for a quarter of an hour Lambda called no function with any.',
      metric: oneWhile('(waiting > 0) AND (FILL(deliver, 0) + FILL(mail, 0) < 1)', {
        period: fiveMinutes,
        of: {
          waiting: broker('MessageReadyCount', 'Minimum'),
          deliver: called('deliver'),
          mail: called('mail'),
        },
      }),
      above: 0,
      periods: 3,
    },
  ];
}
