// The one thing that no emulator of AWS has, as a container: Amazon MQ for RabbitMQ to Lambda. Declares the queues
// first. SQS mappings and rules are LocalStack's own, unless our Lambda host runs the functions: then they are here too.
import { writeFile } from 'node:fs/promises';
import { z } from 'zod';
import { itemPartitionsSchema } from '../../../contracts/item-partitions.ts';
import { describeError } from '../../../runtime/failure.ts';
import type { Logger } from '../../../runtime/logger.ts';
import { credentialsSchema } from '../../../contracts/secrets.ts';
import { createSecrets } from '../../../runtime/secrets.ts';
import type { BrokerAddress } from '../../../runtime/amqps.ts';
import { pause } from '../../../runtime/waiting.ts';
import { startEventSources } from '../../event-sources/event-sources.ts';
import { region } from '../../local-aws.ts';
import { runService } from '../../services/service-process.ts';
import { declareTopology } from '../../services/declare-topology.ts';
import { brokerUrl, invokeUrlOf, lambdaPlaces, localstackUrl } from '../addresses.ts';
import { certificateNames, mountedUri } from '../mounted.ts';

const settingsSchema = z.strictObject({
  lambda: z.enum(lambdaPlaces),
  itemPartitions: itemPartitionsSchema,
});
const declareTriesMax = 30;

await runService('event-sources', settingsSchema, async ({ lambda, itemPartitions }, logger) => {
  const secrets = createSecrets();
  const broker: BrokerAddress = {
    url: brokerUrl,
    credentials: () => secrets.json(mountedUri('broker.json'), credentialsSchema),
    ca: await secrets.text(mountedUri(certificateNames.ca)),
  };
  await declare(broker, { itemPartitions, logger });
  const sources = await startEventSources({
    invokeUrl: invokeUrlOf(lambda),
    ...(lambda === 'host' ? { sqsUrl: localstackUrl } : {}),
    region,
    broker,
    itemPartitions,
    logger,
  });
  // It listens nowhere, so the health check of the container looks for this.
  await writeFile('/tmp/started', '');
  return sources;
});

/** A broker that was just started may still turn clients away. */
async function declare(
  broker: BrokerAddress,
  { itemPartitions, logger }: { itemPartitions: number; logger: Logger },
): Promise<void> {
  for (let tries = 1; ; tries++) {
    try {
      return await declareTopology(broker, itemPartitions);
    } catch (error) {
      if (tries === declareTriesMax) throw error;
      logger.warn(`the queues are not declared yet: ${describeError(error)}`);
      await pause(1_000);
    }
  }
}
