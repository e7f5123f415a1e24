// Each thing that users can lose raises an alarm within the time that docs/runbook.md says; normal use raises none. The
// alarms are those of the templates, judged as CloudWatch does.
import { readFileSync } from 'node:fs';
import { describe, expect, test } from 'vitest';
import { alarmsIn, raisedAfter, type Alarm } from './cloudwatch.ts';
import { normal, outages, type Outage } from './outages.ts';
import { synthesized } from './synthesize.ts';

const dayMinutes = 24 * 60;
const quietDay = normal['a stage that works'] ?? (() => ({}));

describe.each(['dev', 'prod'])('outages: stage %s', (stage) => {
  const alarms = alarmsIn(synthesized(stage).resources, stage);
  const here = outages.filter((outage) => (outage.stage ?? stage) === stage);
  const named = (name: string): Alarm => {
    const alarm = alarms.find((candidate) => candidate.name === name);
    if (!alarm) throw new Error(`there is no alarm ${name}`);
    return alarm;
  };

  test.each(here)('$lost, since $because: $alarm within $within minutes', ({ alarm, world, within }) => {
    const { periodMinutes } = named(alarm);
    // Wherever in a period it begins.
    for (let offset = 0; offset < periodMinutes; offset += Math.max(1, periodMinutes / 30))
      expect(
        raisedAfter(named(alarm), {
          outage: world,
          before: quietDay,
          from: 10 * dayMinutes + Math.floor(offset),
          within,
        }),
      ).toBeDefined();
  });

  test.each(Object.entries(normal))('%s raises nothing', (_, world) => {
    const raised = alarms.filter((alarm) =>
      [0, 4, 13, 29].some(
        (offset) =>
          raisedAfter(alarm, {
            outage: world,
            before: quietDay,
            from: 10 * dayMinutes + offset,
            within: Math.max(60, alarm.periodMinutes),
          }) !== undefined,
      ),
    );
    expect(raised.map(({ name }) => name)).toEqual([]);
  });

  test('every alarm is one that something above raises', () => {
    expect(alarms.map(({ name }) => name).toSorted()).toEqual(
      [...new Set(here.map(({ alarm }) => alarm))].toSorted(),
    );
  });
});

test('docs/runbook.md has each of them in its table, and no others', () => {
  const text = readFileSync(new URL('../../docs/runbook.md', import.meta.url), 'utf8');
  const section = /^## Which alarm tells of what$(?<body>.+?)^## /ms.exec(text)?.groups?.['body'] ?? '';
  const rows = section
    .split('\n')
    .filter((line) => line.startsWith('| ') && !/^\| (?:lost|-+) /.test(line))
    .map((line) =>
      line
        .split('|')
        .slice(1, -1)
        .map((cell) => cell.trim()),
    );
  expect(rows).toEqual(outages.map(rowOf));
});

function rowOf({ lost, because, alarm, within, stage }: Outage): string[] {
  const time = within < 180 ? `${within} min` : `${within / 60} h`;
  return [lost, because, `\`${alarm}\`${stage === undefined ? '' : ` (${stage})`}`, time];
}
