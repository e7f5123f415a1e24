// Starts the inbox as a service of `baton up`.
import { z } from 'zod';
import { runService } from '../service-process.ts';
import { startInbox } from './inbox.ts';

const port = z.int().min(0).max(65_535);
const settingsSchema = z.strictObject({
  host: z.string().default('127.0.0.1'),
  smtpPort: port,
  pagePort: port,
  containerName: z.string().min(1).optional(),
  certFile: z.string().min(1),
  keyFile: z.string().min(1),
  credentialsFile: z.string().min(1),
  folder: z.string().min(1),
  tokenFile: z.string().min(1),
});

await runService('smtp', settingsSchema, startInbox);
