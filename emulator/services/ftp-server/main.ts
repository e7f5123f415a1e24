// Starts the FTP server as a process of the emulator. Its four folders are made here.
import { mkdir } from 'node:fs/promises';
import { join } from 'node:path';
import { z } from 'zod';
import { folders } from '../../../contracts/file.ts';
import { credentialsSchema } from '../../../contracts/secrets.ts';
import { createSecrets } from '../../../runtime/secrets.ts';
import { runService } from '../service-process.ts';
import { startFtpServer } from './ftp-server.ts';

const settingsSchema = z.strictObject({
  host: z.string().default('127.0.0.1'),
  port: z.int().min(0).max(65_535),
  root: z.string().min(1),
  tls: z.object({ certFile: z.string(), keyFile: z.string() }),
  /** JSON { username, password } of the one user. */
  credentialsUri: z.string().startsWith('file:'),
});

await runService('ftp', settingsSchema, async ({ credentialsUri, ...settings }) => {
  for (const folder of Object.values(folders)) await mkdir(join(settings.root, folder), { recursive: true });
  const user = await createSecrets().json(credentialsUri, credentialsSchema);
  return await startFtpServer({ ...settings, users: [user] });
});
