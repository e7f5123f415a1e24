// Starts the FTP server as a process of the emulator. Its four folders are made here.
import { mkdir } from 'node:fs/promises';
import { join } from 'node:path';
import { z } from 'zod';
import { folders } from '../../../contracts/file.ts';
import { createSecrets, credentialsSchema } from '../../../runtime/secrets.ts';
import { runService } from '../../service-process.ts';
import { ftpFaultSchema } from './faults.ts';
import { startFtpServer } from './ftp-server.ts';

const port = z.int().min(0).max(65_535);
const settingsSchema = z.object({
  host: z.string().default('127.0.0.1'),
  port,
  root: z.string().min(1),
  tls: z.object({ certFile: z.string(), keyFile: z.string() }),
  /** JSON { username, password } of the one user. */
  credentialsUri: z.string().startsWith('file:'),
  passivePorts: z.object({ from: port, to: port }).optional(),
  faults: z.array(ftpFaultSchema).optional(),
  connectionsMax: z.int().min(1).optional(),
  fileBytesMax: z.int().min(1).optional(),
  idleMs: z.int().min(1).optional(),
  requireSessionReuse: z.boolean().optional(),
});

await runService('ftp', settingsSchema, async ({ credentialsUri, ...settings }) => {
  for (const folder of Object.values(folders)) await mkdir(join(settings.root, folder), { recursive: true });
  const user = await createSecrets().json(credentialsUri, credentialsSchema);
  return await startFtpServer({ ...settings, users: [user] });
});
