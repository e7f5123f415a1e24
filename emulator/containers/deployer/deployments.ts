// What has to be in the emulator of AWS, and how it gets there: the functions stack by cdk, or, where our Lambda host runs
// the functions, the SQS queues and the table alone. Making either again changes nothing.
import { GetQueueUrlCommand, QueueDoesNotExist, SQSClient } from '@aws-sdk/client-sqs';
import { fileURLToPath } from 'node:url';
import { request } from 'undici';
import { localstackCredentials } from '../../local-aws.ts';
import { sqsQueues } from '../../../contracts/topology.ts';
import { region } from '../../local-aws.ts';
import { provisionAws } from '../../services/aws/provision.ts';
import { localstackUrl, type LambdaPlace } from '../addresses.ts';
import { deployStack, lastFunction } from './deploy-stack.ts';
import { disableTriggers } from './disable-triggers.ts';
import { putSecrets } from './put-secrets.ts';

export interface Deployment {
  /** @throws Error when the emulator does not answer, which is no reason to deploy. */
  isThere(): Promise<boolean>;
  make(signal: AbortSignal): Promise<void>;
}

const lookWithinMs = 15_000; // LocalStack loads a service when it is first asked, which takes seconds.

/** Made by cdk when the image was built. */
const assembly = fileURLToPath(new URL('../../../cdk.out', import.meta.url));

const functionsStack = ({ triggers }: { triggers: boolean }): Deployment => ({
  async isThere() {
    const { statusCode, body } = await request(`${localstackUrl}/2015-03-31/functions/${lastFunction}`, {
      signal: AbortSignal.timeout(lookWithinMs),
    });
    await body.dump();
    if (statusCode === 200 || statusCode === 404) return statusCode === 200;
    throw new Error(`${localstackUrl} answered ${statusCode} when it was asked for ${lastFunction}`);
  },
  async make(signal) {
    await putSecrets({ endpoint: localstackUrl, region });
    await deployStack({ endpoint: localstackUrl, region, assembly, signal });
    if (!triggers) await disableTriggers(localstackUrl);
  },
});

const queuesAlone: Deployment = {
  async isThere() {
    const sqs = new SQSClient({
      region,
      endpoint: localstackUrl,
      credentials: localstackCredentials,
    });
    try {
      await sqs.send(new GetQueueUrlCommand({ QueueName: sqsQueues.announcements.name }), {
        abortSignal: AbortSignal.timeout(lookWithinMs),
      });
      return true;
    } catch (error) {
      if (error instanceof QueueDoesNotExist) return false;
      throw error;
    } finally {
      sqs.destroy();
    }
  },
  async make() {
    await provisionAws({ sqsUrl: localstackUrl, dynamodbUrl: localstackUrl, region });
  },
};

/** `triggers`: whether what is deployed is also called by its queues and rules. */
export function chooseDeployment({
  lambda,
  triggers,
}: {
  lambda: LambdaPlace;
  triggers: boolean;
}): Deployment {
  return lambda === 'host' ? queuesAlone : functionsStack({ triggers });
}
