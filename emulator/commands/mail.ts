// `baton mail test <address>`: one mail through the running system's SMTP server, with the code that sends all mails, and
// the dialogue to look at. BATON_SMTP_ADDRESS and its kin name another server, as for the mail function.
import { readFile } from 'node:fs/promises';
import { join } from 'node:path';
import { trySmtp } from '../../functions/mail/try-server.ts';
import { callControl } from '../control.ts';
import { layoutOf, readRecord } from '../instance/instance.ts';
import { isAlive } from '../instance/process-table.ts';
import type { SystemStatus } from '../status.ts';
import { exitCodes, orFailed } from './exit-codes.ts';

const statusWithinMs = 2_000;

export async function mailTest(to: string, options: { data: string }): Promise<number> {
  return await orFailed(() => tryMail(to, options));
}

async function tryMail(to: string, options: { data: string }): Promise<number> {
  const layout = layoutOf(options.data);
  const record = await readRecord(layout);
  if (!record || !isAlive(record.launcher)) {
    process.stderr.write(`Nothing runs in ${layout.root}: \`npm start\` starts it.\n`);
    return exitCodes.nothingRunning;
  }
  const { services } = (await callControl(record, {
    path: 'status',
    timeoutMs: statusWithinMs,
  })) as SystemStatus;
  const [host, port] = (services.find(({ kind }) => kind === 'smtp')?.address ?? '').split(':');
  const credentials = JSON.parse(await readFile(join(layout.secrets, 'smtp.json'), 'utf8')) as {
    username: string;
    password: string;
  };
  const ca = await readFile(join(layout.tls, 'ca.pem'), 'utf8');
  const { lines, ok } = await trySmtp(
    { host: host ?? '', port: Number(port), credentials, ca, from: 'Baton <baton@localhost>' },
    to,
  );
  for (const line of lines) process.stdout.write(`${line}\n`);
  return ok ? exitCodes.ok : exitCodes.failed;
}
