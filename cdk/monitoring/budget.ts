// Warns by mail before the money of a month is spent.
import * as budgets from 'aws-cdk-lib/aws-budgets';
import type { Construct } from 'constructs';
import type { Names } from '../names.ts';
import type { AwsStage } from '../stage.ts';

export function createBudget(
  scope: Construct,
  { stage, names }: { stage: AwsStage; names: Names },
): budgets.CfnBudget {
  const subscribers = [{ subscriptionType: 'EMAIL', address: stage.alarmEmail }];
  const warn = (notificationType: 'ACTUAL' | 'FORECASTED', threshold: number) => ({
    notification: { notificationType, comparisonOperator: 'GREATER_THAN', threshold },
    subscribers,
  });
  return new budgets.CfnBudget(scope, 'Budget', {
    budget: {
      budgetName: names.cluster,
      budgetType: 'COST',
      timeUnit: 'MONTHLY',
      budgetLimit: { amount: stage.budgetUsd, unit: 'USD' },
      // The tag has to be activated for cost allocation once per account: docs/aws.md.
      costFilters: { TagKeyValue: [`user:stage$${stage.name}`] },
    },
    notificationsWithSubscribers: [warn('ACTUAL', 80), warn('FORECASTED', 100)],
  });
}
