// Starts the Lambda host as a service of `baton up`: bundles every function of contracts/topology.ts, then runs them.
import { z } from 'zod';
import { functionNames, functions } from '../../contracts/topology.ts';
import { bundleAll } from '../../functions/bundle.ts';
import { runService } from '../services/service-process.ts';
import { startLambdaHost } from './host.ts';

const settingsSchema = z.strictObject({
  host: z.string().default('127.0.0.1'),
  port: z.int().min(0).max(65_535),
  frontPort: z.int().min(0).max(65_535),
  logDir: z.string().min(1),
  workFolder: z.string().min(1),
  /** Variables per function: contracts/environment.ts says which. */
  environments: z.record(z.enum(functionNames), z.record(z.string(), z.string())),
});

await runService('lambda', settingsSchema, async ({ environments, ...settings }, logger) => {
  const bundles = await bundleAll();
  return await startLambdaHost({
    ...settings,
    logger,
    functions: Object.fromEntries(
      functionNames.map((name) => [
        name,
        { zipFile: bundles[name].zipFile, settings: functions[name], environment: environments[name] },
      ]),
    ),
  });
});
