// How CloudWatch judges an alarm, as far as the templates use it: periods that are aligned with the clock, statistics over
// the minutes of a period, math, missing data, so many periods in a row. Minutes are whole, and nothing arrives late.
import { compileFunction } from 'node:vm';
import { z } from 'zod';
import { ofType, type Resource } from './synthesize.ts';

const metricSchema = z.object({
  Namespace: z.string(),
  MetricName: z.string(),
  Dimensions: z.array(z.object({ Name: z.string(), Value: z.string() })).default([]),
});
const alarmSchema = z.object({
  AlarmName: z.string(),
  ComparisonOperator: z.enum(['LessThanThreshold', 'GreaterThanThreshold']),
  Threshold: z.number(),
  EvaluationPeriods: z.int(),
  DatapointsToAlarm: z.undefined().optional(),
  TreatMissingData: z.enum(['breaching', 'notBreaching']),
  Statistic: z.string().optional(),
  Period: z.number().optional(),
  Metrics: z
    .array(
      z.object({
        Id: z.string(),
        Expression: z.string().optional(),
        Period: z.number().optional(),
        MetricStat: z.object({ Metric: metricSchema, Period: z.number(), Stat: z.string() }).optional(),
      }),
    )
    .optional(),
});

/** Values of one minute by the names of `nameOf`; undefined where there is none. */
export type Minute = Readonly<Record<string, number | undefined>>;
/** Of each minute since some midnight. */
export type World = (minute: number) => Minute;

interface Series {
  readonly name: string;
  readonly stat: string;
}
export interface Alarm {
  /** Without the stage. */
  readonly name: string;
  readonly periodMinutes: number;
  readonly periods: number;
  readonly metrics: readonly string[];
  /** Of a period that ends before `minute`. */
  isBreaching(world: World, minute: number): boolean;
}

/** Our own by their name, those of AWS by service, name and what they are of. */
function nameOf({ Namespace, MetricName, Dimensions }: z.infer<typeof metricSchema>): string {
  if (!Namespace.startsWith('AWS/')) return MetricName;
  const of = Dimensions.filter(({ Name }) => Name === 'FunctionName').map(({ Value }) =>
    Value.replace(/^baton-[a-z]+-/, ' '),
  );
  return `${Namespace.slice(4)} ${MetricName}${of.join('')}`;
}

const statistics: Readonly<Record<string, (values: readonly number[]) => number>> = {
  Sum: (values) => values.reduce((sum, value) => sum + value, 0),
  Average: (values) => values.reduce((sum, value) => sum + value, 0) / values.length,
  Minimum: (values) => Math.min(...values),
  Maximum: (values) => Math.max(...values),
};

export function alarmsIn(resources: readonly Resource[], stage: string): Alarm[] {
  return ofType(resources, 'AWS::CloudWatch::Alarm').map(({ Properties }) => {
    const alarm = alarmSchema.parse(Properties);
    const { series, expression, periodS } = alarm.Metrics
      ? fromMath(alarm.Metrics)
      : {
          series: { one: { name: nameOf(metricSchema.parse(Properties)), stat: alarm.Statistic ?? '' } },
          expression: 'one',
          periodS: alarm.Period ?? 0,
        };
    const periodMinutes = periodS / 60;
    const result = calculation(expression, Object.keys(series));
    return {
      name: alarm.AlarmName.replace(`baton-${stage}-`, ''),
      periodMinutes,
      periods: alarm.EvaluationPeriods,
      metrics: Object.values(series).map(({ name }) => name),
      isBreaching(world, minute) {
        const minutes = Array.from({ length: periodMinutes }, (_, index) => world(minute - 1 - index));
        const value = result(
          Object.fromEntries(Object.entries(series).map(([id, one]) => [id, statisticOf(one, minutes)])),
        );
        if (value === undefined) return alarm.TreatMissingData === 'breaching';
        return alarm.ComparisonOperator === 'LessThanThreshold'
          ? value < alarm.Threshold
          : value > alarm.Threshold;
      },
    };
  });
}

function fromMath(metrics: NonNullable<z.infer<typeof alarmSchema>['Metrics']>) {
  const series: Record<string, Series> = {};
  let expression = '';
  let periodS = 0;
  for (const { Id, Expression, Period, MetricStat } of metrics) {
    if (MetricStat) {
      series[Id] = { name: nameOf(MetricStat.Metric), stat: MetricStat.Stat };
      periodS = MetricStat.Period;
      continue;
    }
    const query = /^SELECT MAX\((?<name>\w+)\)/.exec(Expression ?? '')?.groups?.['name'];
    if (query === undefined) expression = Expression ?? '';
    else [series['query'], expression, periodS] = [{ name: query, stat: 'Maximum' }, 'query', Period ?? 0];
  }
  return { series, expression, periodS };
}

function statisticOf({ name, stat }: Series, minutes: readonly Minute[]): number | undefined {
  const values = minutes.flatMap((values) => {
    if (!(name in values)) throw new Error(`the world of this test says nothing about ${name}`);
    return values[name] ?? [];
  });
  if (values.length === 0) return undefined;
  const statistic = statistics[stat];
  if (!statistic) throw new Error(`this test does not know the statistic ${stat}`);
  return statistic(values);
}

type Values = Readonly<Record<string, number | undefined>>;
/** Of one period. @returns what gives undefined where something is missing that nothing fills. */
function calculation(expression: string, ids: readonly string[]): (values: Values) => number | undefined {
  const needed = ids.filter((id) => new RegExp(String.raw`(?<!FILL\()\b${id}\b`).test(expression));
  const result = compileFunction(`return ${expression.replaceAll(' AND ', ' && ')}`, [...ids, 'FILL', 'IF']);
  return (values) =>
    needed.some((id) => values[id] === undefined)
      ? undefined
      : z.number().parse(
          result(
            ...ids.map((id) => values[id]),
            (series: number | undefined, instead: number) => series ?? instead,
            (holds: boolean, yes: number, no: number) => (holds ? yes : no),
          ),
        );
}

/** After how many minutes of `outage`, which begins at `from`, the alarm is there. @returns undefined when not `within`. */
export function raisedAfter(
  alarm: Alarm,
  { outage, before, from, within }: { outage: World; before: World; from: number; within: number },
): number | undefined {
  const world: World = (minute) => (minute < from ? before(minute) : outage(minute - from));
  const { periodMinutes, periods } = alarm;
  let breaching = 0;
  // Periods that ended before the outage count too: they are good.
  const first = Math.ceil(from / periodMinutes) * periodMinutes;
  for (let end = first; end <= from + within; end += periodMinutes) {
    breaching = alarm.isBreaching(world, end) ? breaching + 1 : 0;
    if (breaching >= periods) return end - from;
  }
  return undefined;
}
