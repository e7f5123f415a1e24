// SQS (fauxqs) and DynamoDB (dynalite) of a laptop in one process, with the queues and the table of
// contracts/topology.ts. Both keep everything in memory: ticks and announcements are sent again within seconds, and
// the directory fills itself from announcements. Neither checks credentials, so both listen on loopback only.
import { once } from 'node:events';
import type { AddressInfo } from 'node:net';
import dynalite from 'dynalite';
import { startFauxqs } from 'fauxqs';
import { isLoopback } from '../../../contracts/environment.ts';
import { provisionAws, type SqsQueueKey } from './provision.ts';

export interface AwsServicesOptions {
  /** A loopback address. */
  readonly host: string;
  /** 0 takes a free one. */
  readonly sqsPort: number;
  readonly dynamodbPort: number;
  readonly region: string;
}
export interface AwsServices {
  readonly name: 'aws';
  /** SQS' and DynamoDB's, for people. */
  readonly address: string;
  readonly sqsUrl: string;
  readonly dynamodbUrl: string;
  readonly queueUrls: Readonly<Record<SqsQueueKey, string>>;
  close(): Promise<void>;
}

/** @throws Error for a host that is not loopback, and for a taken port. */
export async function startAwsServices({
  host,
  sqsPort,
  dynamodbPort,
  region,
}: AwsServicesOptions): Promise<AwsServices> {
  if (!isLoopback(host))
    throw new Error(`SQS and DynamoDB listen on loopback only, ${host} is not: use 127.0.0.1`);
  const dynamodb = dynalite({ createTableMs: 0 });
  dynamodb.listen(dynamodbPort, host);
  await once(dynamodb, 'listening');
  const dynamodbUrl = `http://${host}:${(dynamodb.address() as AddressInfo).port}`;
  const closeDynamodb = async (): Promise<void> => {
    const closed = once(dynamodb, 'close');
    dynamodb.close();
    dynamodb.closeAllConnections();
    await closed;
  };
  try {
    const sqs = await startFauxqs({ port: sqsPort, host, logger: false, defaultRegion: region });
    const sqsUrl = `http://${host}:${sqs.port}`;
    try {
      const queueUrls = await provisionAws({ sqsUrl, dynamodbUrl, region });
      return {
        name: 'aws',
        address: `${sqsUrl} ${dynamodbUrl}`,
        sqsUrl,
        dynamodbUrl,
        queueUrls,
        async close() {
          await sqs.stop();
          await closeDynamodb();
        },
      };
    } catch (error) {
      await sqs.stop();
      throw error;
    }
  } catch (error) {
    await closeDynamodb();
    throw error;
  }
}
