// How long logs are kept: the few lengths a stage may choose, as CloudWatch names them.
import { RetentionDays } from 'aws-cdk-lib/aws-logs';

const retentions = {
  7: RetentionDays.ONE_WEEK,
  14: RetentionDays.TWO_WEEKS,
  30: RetentionDays.ONE_MONTH,
  90: RetentionDays.THREE_MONTHS,
  180: RetentionDays.SIX_MONTHS,
  365: RetentionDays.ONE_YEAR,
} as const;
export type LogRetentionDays = keyof typeof retentions;

export const logRetentionDays = [7, 14, 30, 90, 180, 365] as const satisfies readonly LogRetentionDays[];

export function retentionOf(days: LogRetentionDays): RetentionDays {
  return retentions[days];
}
