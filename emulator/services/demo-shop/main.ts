// Starts the demo shop as a service of `baton up`.
import { z } from 'zod';
import { runService } from '../service-process.ts';
import { startDemoShop } from './demo-shop.ts';

const settingsSchema = z.strictObject({
  host: z.string().default('127.0.0.1'),
  port: z.int().min(0).max(65_535),
});

await runService('demo-shop', settingsSchema, (address) =>
  startDemoShop({ ...address, seed: 1, driftEveryMs: 2_000 }),
);
