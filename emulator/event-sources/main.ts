// Starts the event sources as a service of `baton up`. Functions, SQS and the broker may start later: it waits for them.
import { z } from 'zod';
import { itemPartitionsSchema } from '../../contracts/item-partitions.ts';
import { credentialsSchema } from '../../contracts/secrets.ts';
import { createSecrets } from '../../runtime/secrets.ts';
import { runService } from '../services/service-process.ts';
import { startEventSources } from './event-sources.ts';

const settingsSchema = z.strictObject({
  invokeUrl: z.url({ protocol: /^https?$/ }),
  sqsUrl: z.url({ protocol: /^https?$/ }),
  region: z.string().min(1),
  broker: z.strictObject({
    /** amqps://host:port/vhost */
    url: z.url({ protocol: /^amqps$/ }),
    /** file: URIs. */
    credentialsUri: z.string().startsWith('file:'),
    caUri: z.string().startsWith('file:'),
  }),
  itemPartitions: itemPartitionsSchema,
});

await runService('event-sources', settingsSchema, async ({ broker, ...settings }, logger) => {
  const secrets = createSecrets();
  return await startEventSources({
    ...settings,
    logger,
    broker: {
      url: broker.url,
      credentials: () => secrets.json(broker.credentialsUri, credentialsSchema),
      ca: await secrets.text(broker.caUri),
    },
  });
});
