// An alarm as the tables beside this file write it down, and what CloudWatch makes of it.
import * as cloudwatch from 'aws-cdk-lib/aws-cloudwatch';
import * as actions from 'aws-cdk-lib/aws-cloudwatch-actions';
import type * as sns from 'aws-cdk-lib/aws-sns';
import type { Construct } from 'constructs';
import type { Names } from '../names.ts';

export interface AlarmSettings {
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

export function createAlarm(
  scope: Construct,
  { name, section, means, metric, above, below, periods = 1, silenceIsBad = false }: AlarmSettings,
  { names, topic }: { names: Names; topic: sns.ITopic },
): cloudwatch.Alarm {
  const alarm = new cloudwatch.Alarm(scope, `Alarm-${name}`, {
    alarmName: names.alarm(name),
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
  const action = new actions.SnsAction(topic);
  alarm.addAlarmAction(action);
  alarm.addOkAction(action);
  return alarm;
}
