// Alarms, each with the section of docs/runbook.md that says what to do, one dashboard, and a budget. What raises which
// alarm is in the tables of monitoring/.
import { Stack, type StackProps } from 'aws-cdk-lib';
import type { Construct } from 'constructs';
import { createAlarmTopic } from './monitoring/alarm-topic.ts';
import { createAlarm } from './monitoring/alarm.ts';
import { alarmsOfCluster } from './monitoring/alarms-of-cluster.ts';
import { alarmsOfIntake } from './monitoring/alarms-of-intake.ts';
import { alarmsOfServices } from './monitoring/alarms-of-services.ts';
import { createBudget } from './monitoring/budget.ts';
import { createDashboard } from './monitoring/dashboard.ts';
import { createMetricSources, type MeasuredStage } from './monitoring/metric-sources.ts';

export type MonitoringStackProps = StackProps & MeasuredStage;

export class MonitoringStack extends Stack {
  constructor(scope: Construct, id: string, props: MonitoringStackProps) {
    super(scope, id, { ...props, description: 'Baton: alarms, dashboard, budget' });
    const { stage, names } = props;
    const topic = createAlarmTopic(this, { stage, names });
    const sources = createMetricSources(this, props);
    const alarms = [alarmsOfCluster, alarmsOfIntake, alarmsOfServices]
      .flatMap((table) => table(sources))
      .map((alarm) => createAlarm(this, alarm, { names, topic }));
    createDashboard(this, { stage, names, sources, alarms });
    createBudget(this, { stage, names });
  }
}
