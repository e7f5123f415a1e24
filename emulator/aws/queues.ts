// The depths of a stage's SQS queues.
import { GetQueueAttributesCommand, GetQueueUrlCommand, SQSClient } from '@aws-sdk/client-sqs';
import { sqsQueues } from '../../contracts/topology.ts';
import { callAws, clientSettings, type Account } from './account.ts';

export interface QueueDepth {
  readonly name: string;
  readonly waiting: number;
  readonly inFlight: number;
  readonly delayed: number;
}

/** Approximate, as SQS counts. */
export async function readQueueDepths({ names }: Account): Promise<QueueDepth[]> {
  const sqs = new SQSClient(clientSettings);
  return await Promise.all(Object.values(sqsQueues).map(({ name }) => depthOf(names.resource(name))));

  async function depthOf(QueueName: string): Promise<QueueDepth> {
    const { QueueUrl } = await callAws({ action: 'sqs:GetQueueUrl', on: QueueName }, (options) =>
      sqs.send(new GetQueueUrlCommand({ QueueName }), options),
    );
    const { Attributes = {} } = await callAws(
      { action: 'sqs:GetQueueAttributes', on: QueueName },
      (options) =>
        sqs.send(
          new GetQueueAttributesCommand({
            QueueUrl,
            AttributeNames: [
              'ApproximateNumberOfMessages',
              'ApproximateNumberOfMessagesNotVisible',
              'ApproximateNumberOfMessagesDelayed',
            ],
          }),
          options,
        ),
    );
    return {
      name: QueueName,
      waiting: Number(Attributes['ApproximateNumberOfMessages'] ?? 0),
      inFlight: Number(Attributes['ApproximateNumberOfMessagesNotVisible'] ?? 0),
      delayed: Number(Attributes['ApproximateNumberOfMessagesDelayed'] ?? 0),
    };
  }
}
