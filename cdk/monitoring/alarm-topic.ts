// Where all alarms go. Whoever should hear of them subscribes.
import { RemovalPolicy, Stack } from 'aws-cdk-lib';
import * as iam from 'aws-cdk-lib/aws-iam';
import * as kms from 'aws-cdk-lib/aws-kms';
import * as sns from 'aws-cdk-lib/aws-sns';
import * as subscriptions from 'aws-cdk-lib/aws-sns-subscriptions';
import { acknowledge } from '../acknowledge.ts';
import type { Names } from '../names.ts';
import type { AwsStage } from '../stage.ts';

export function createAlarmTopic(
  scope: Stack,
  { stage, names }: { stage: AwsStage; names: Names },
): sns.Topic {
  const key = new kms.Key(scope, 'AlarmKey', {
    description: `${names.cluster}: alarms`,
    enableKeyRotation: true,
    removalPolicy: RemovalPolicy.DESTROY, // Nothing that it encrypted outlives the topic; KMS keeps it for 30 days.
  });
  const byCloudWatch = {
    principals: [new iam.ServicePrincipal('cloudwatch.amazonaws.com')],
    conditions: { StringEquals: { 'aws:SourceAccount': scope.account } },
  };
  // CloudWatch publishes to an encrypted topic only if it may use the key, which AWS's own key does not let it.
  key.addToResourcePolicy(
    new iam.PolicyStatement({
      ...byCloudWatch,
      actions: ['kms:Decrypt', 'kms:GenerateDataKey'],
      resources: ['*'], // In a key's own policy: this key.
    }),
  );
  const topic = new sns.Topic(scope, 'Alarms', {
    topicName: `${names.cluster}-alarms`,
    masterKey: key,
    enforceSSL: true,
  });
  // A policy with one statement replaces the one that lets the account publish.
  topic.addToResourcePolicy(
    new iam.PolicyStatement({ ...byCloudWatch, actions: ['sns:Publish'], resources: [topic.topicArn] }),
  );
  acknowledge(
    topic,
    'Serverless-SNSRedrivePolicy',
    'A mail that cannot be delivered has nowhere better to go: the alarm itself stays red and is on the dashboard.',
  );
  topic.addSubscription(new subscriptions.EmailSubscription(stage.alarmEmail));
  return topic;
}
