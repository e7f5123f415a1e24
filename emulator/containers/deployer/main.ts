// Keeps the functions stack deployed: LocalStack forgets all of it when it restarts, so this looks every 5 s and deploys
// again when it is gone. Deploys what cdk made when the image was built; with our Lambda host in LocalStack's place it
// makes the SQS queues and the table alone, since there is nothing else to deploy.
import { rm, writeFile } from 'node:fs/promises';
import { GetQueueUrlCommand, QueueDoesNotExist, SQSClient } from '@aws-sdk/client-sqs';
import { request } from 'undici';
import { z } from 'zod';
import { sqsQueues } from '../../../contracts/topology.ts';
import { describeError } from '../../../runtime/failure.ts';
import type { Logger } from '../../../runtime/logger.ts';
import { pause } from '../../pause.ts';
import { runService } from '../../service-process.ts';
import { provisionAws } from '../../services/aws/provision.ts';
import { lambdaPlaces, localstackUrl, region } from '../addresses.ts';
import { deployStack, lastFunction } from './deploy-stack.ts';
import { putSecrets } from './put-secrets.ts';

const settingsSchema = z.strictObject({ lambda: z.enum(lambdaPlaces) });
const lookEveryMs = 5_000;
const lookWithinMs = 4_000;
/** The health check of the container looks for it. */
const deployedFile = '/tmp/deployed';

interface Deployment {
  /** @throws Error when the emulator does not answer, which is no reason to deploy. */
  isThere(): Promise<boolean>;
  make(signal: AbortSignal): Promise<void>;
}

await runService('deployer', settingsSchema, async ({ lambda }, logger) => {
  const stopping = new AbortController();
  const running = keepDeployed(lambda === 'host' ? queuesAlone : functionsStack, logger, stopping.signal);
  return {
    name: 'deployer',
    address: localstackUrl,
    async close() {
      stopping.abort();
      await running;
    },
  };
});

async function keepDeployed(deployment: Deployment, logger: Logger, signal: AbortSignal): Promise<void> {
  while (!signal.aborted) {
    try {
      if (!(await deployment.isThere())) {
        await rm(deployedFile, { force: true });
        const startedAt = performance.now();
        await deployment.make(signal);
        logger.info(`deployed in ${((performance.now() - startedAt) / 1_000).toFixed(1)} s`);
      }
      await writeFile(deployedFile, '');
    } catch (error) {
      if (!signal.aborted) logger.error(`not deployed, it is tried again: ${describeError(error)}`);
    }
    await pause(lookEveryMs, signal);
  }
}

const functionsStack: Deployment = {
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
    await deployStack({ endpoint: localstackUrl, region, signal });
  },
};

const queuesAlone: Deployment = {
  async isThere() {
    const sqs = new SQSClient({
      region,
      endpoint: localstackUrl,
      credentials: { accessKeyId: 'test', secretAccessKey: 'test' },
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
