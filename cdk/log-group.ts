// A log that ends: kept for the days of its stage, and gone with its stack unless something that stays writes to it.
import { RemovalPolicy } from 'aws-cdk-lib';
import { LogGroup, RetentionDays } from 'aws-cdk-lib/aws-logs';
import type { Construct } from 'constructs';
import type { LogRetentionDays } from './stage.ts';

const retentions = {
  7: RetentionDays.ONE_WEEK,
  14: RetentionDays.TWO_WEEKS,
  30: RetentionDays.ONE_MONTH,
  90: RetentionDays.THREE_MONTHS,
  180: RetentionDays.SIX_MONTHS,
  365: RetentionDays.ONE_YEAR,
} as const satisfies Record<LogRetentionDays, RetentionDays>;

export function logGroup(
  scope: Construct,
  id: string,
  {
    name,
    days,
    removal = RemovalPolicy.DESTROY,
  }: { name?: string; days: LogRetentionDays; removal?: RemovalPolicy },
): LogGroup {
  return new LogGroup(scope, id, {
    ...(name === undefined ? {} : { logGroupName: name }),
    retention: retentions[days],
    removalPolicy: removal,
  });
}
