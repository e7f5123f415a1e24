// Keeps the functions stack deployed: LocalStack forgets all of it when it restarts, so this looks every 5 s and deploys
// again when it is gone. What it deploys was made by cdk when the image was built.
import { rm, writeFile } from 'node:fs/promises';
import { z } from 'zod';
import { describeError } from '../../../runtime/failure.ts';
import type { Logger } from '../../../runtime/logger.ts';
import { pause } from '../../../runtime/waiting.ts';
import { runService } from '../../services/service-process.ts';
import { lambdaPlaces, localstackUrl } from '../addresses.ts';
import { chooseDeployment, type Deployment } from './deployments.ts';

const settingsSchema = z.strictObject({ lambda: z.enum(lambdaPlaces), triggers: z.boolean() });
const lookEveryMs = 5_000;
/** The health check of the container looks for it. */
const deployedFile = '/tmp/deployed';

await runService('deployer', settingsSchema, async (settings, logger) => {
  const stopping = new AbortController();
  const running = keepDeployed(chooseDeployment(settings), logger, stopping.signal);
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
  // At the start in any case: an image with changed functions is no reason for LocalStack to forget the ones it has.
  let deployed = false;
  while (!signal.aborted) {
    try {
      if (!deployed || !(await deployment.isThere())) {
        deployed = false;
        await rm(deployedFile, { force: true });
        const startedAt = performance.now();
        await deployment.make(signal);
        deployed = true;
        logger.info(`deployed in ${((performance.now() - startedAt) / 1_000).toFixed(1)} s`);
        await writeFile(deployedFile, '');
      }
    } catch (error) {
      if (!signal.aborted) logger.error(`not deployed, it is tried again: ${describeError(error)}`);
    }
    await pause(lookEveryMs, signal);
  }
}
