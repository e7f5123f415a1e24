// Starts the development broker as a process of the emulator. A disk that fails ends it at once: a confirm after that
// could be untrue.
import { readFile } from 'node:fs/promises';
import { z } from 'zod';
import { describeError } from '../../../runtime/failure.ts';
import { credentialsSchema } from '../../../contracts/secrets.ts';
import { runService } from '../service-process.ts';
import { startDevBroker } from './dev-broker.ts';

const settingsSchema = z.strictObject({
  host: z.string().default('127.0.0.1'),
  port: z.int().min(0).max(65_535),
  certFile: z.string().min(1),
  keyFile: z.string().min(1),
  /** JSON: { "username", "password" } */
  credentialsFile: z.string().min(1),
  folder: z.string().min(1),
});

await runService('broker', settingsSchema, async ({ credentialsFile, ...settings }, logger) => {
  const credentials = credentialsSchema.parse(JSON.parse(await readFile(credentialsFile, 'utf8')));
  return await startDevBroker({
    ...settings,
    credentials,
    logger,
    onFatal: (error) => {
      logger.error(describeError(error));
      process.exit(1);
    },
  });
});
