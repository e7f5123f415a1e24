// Makes the SQS queues and the DynamoDB table of contracts/topology.ts through the AWS API, wherever it is served:
// fauxqs and dynalite, LocalStack, MiniStack. Doing it again changes nothing; on AWS itself cdk/ does it instead.
import {
  CreateTableCommand,
  DescribeTableCommand,
  DynamoDBClient,
  ResourceInUseException,
} from '@aws-sdk/client-dynamodb';
import { CreateQueueCommand, SetQueueAttributesCommand, SQSClient } from '@aws-sdk/client-sqs';
import { directoryTable, sqsQueues } from '../../../contracts/topology.ts';
import { pause } from '../../../runtime/waiting.ts';
import { credentials } from '../../local-aws.ts';
import { reachableQueueUrl } from './queue-url.ts';

export interface AwsEndpoints {
  readonly sqsUrl: string;
  readonly dynamodbUrl: string;
  readonly region: string;
}
export type SqsQueueKey = keyof typeof sqsQueues;

const tableMsMax = 10_000;

/**
 * @returns the URL of each queue.
 * @throws Error when an endpoint does not answer, or the table is not ready within 10 s.
 */
export async function provisionAws(endpoints: AwsEndpoints): Promise<Readonly<Record<SqsQueueKey, string>>> {
  const { region } = endpoints;
  const sqs = new SQSClient({ region, endpoint: endpoints.sqsUrl, credentials });
  const dynamodb = new DynamoDBClient({ region, endpoint: endpoints.dynamodbUrl, credentials });
  try {
    const urls = await Promise.all(
      Object.entries(sqsQueues).map(
        async ([key, queue]) => [key, await makeQueue(sqs, queue, endpoints.sqsUrl)] as const,
      ),
    );
    await makeTable(dynamodb);
    return Object.fromEntries(urls) as Record<SqsQueueKey, string>;
  } finally {
    sqs.destroy();
    dynamodb.destroy();
  }
}

async function makeQueue(
  sqs: SQSClient,
  queue: (typeof sqsQueues)[SqsQueueKey],
  endpoint: string,
): Promise<string> {
  const attributes = {
    MessageRetentionPeriod: String(queue.retentionS),
    VisibilityTimeout: String(queue.visibilityTimeoutS),
    DelaySeconds: String(queue.delayS),
  };
  // Made without attributes, since creating one that exists with others is an error; then set to what is said.
  const { QueueUrl } = await sqs.send(
    new CreateQueueCommand({
      QueueName: queue.name,
      ...(queue.fifo ? { Attributes: { FifoQueue: 'true' } } : {}),
    }),
  );
  if (QueueUrl === undefined) throw new Error(`the SQS queue ${queue.name} was made without a URL`);
  await sqs.send(new SetQueueAttributesCommand({ QueueUrl, Attributes: attributes }));
  return reachableQueueUrl(QueueUrl, endpoint);
}

async function makeTable(dynamodb: DynamoDBClient): Promise<void> {
  try {
    await dynamodb.send(
      new CreateTableCommand({
        TableName: directoryTable.name,
        AttributeDefinitions: [{ AttributeName: directoryTable.key, AttributeType: 'S' }],
        KeySchema: [{ AttributeName: directoryTable.key, KeyType: 'HASH' }],
        BillingMode: 'PAY_PER_REQUEST',
      }),
    );
  } catch (error) {
    if (!(error instanceof ResourceInUseException)) throw error;
  }
  const deadline = performance.now() + tableMsMax;
  for (;;) {
    const { Table } = await dynamodb.send(new DescribeTableCommand({ TableName: directoryTable.name }));
    if (Table?.TableStatus === 'ACTIVE') return;
    if (performance.now() > deadline)
      throw new Error(
        `the DynamoDB table ${directoryTable.name} is still ${Table?.TableStatus ?? 'unknown'}`,
      );
    await pause(50);
  }
}
