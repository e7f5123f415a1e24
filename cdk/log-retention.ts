// The lengths of stage.ts for which logs are kept, as CloudWatch's construct names them.
import { RetentionDays } from 'aws-cdk-lib/aws-logs';
import type { LogRetentionDays } from './stage.ts';

const retentions = {
  7: RetentionDays.ONE_WEEK,
  14: RetentionDays.TWO_WEEKS,
  30: RetentionDays.ONE_MONTH,
  90: RetentionDays.THREE_MONTHS,
  180: RetentionDays.SIX_MONTHS,
  365: RetentionDays.ONE_YEAR,
} as const satisfies Record<LogRetentionDays, RetentionDays>;

export function retentionOf(days: LogRetentionDays): RetentionDays {
  return retentions[days];
}
