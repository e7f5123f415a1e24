// `baton mail test <address>`: one mail through the running system's SMTP server, with the code that sends all mails, and
// the dialogue to look at. BATON_SMTP_ADDRESS and its kin name another server, as for the mail function.
import type { Command } from 'commander';
import { readFile } from 'node:fs/promises';
import { join } from 'node:path';
import { trySmtp } from '../../functions/mail/try-server.ts';
import { readStatus } from '../launcher/ask-launcher.ts';
import { layoutOf } from '../instance/instance.ts';
import { dataOption, mailAddress } from './options.ts';
import { exitCodes, orFailed, type Finish } from './exit-codes.ts';
import { findRunning } from './find-running.ts';

const statusWithinMs = 2_000;

export function addMail(program: Command, finish: Finish): void {
  program
    .command('mail')
    .description('try the SMTP server')
    .command('test')
    .argument('<address>', 'who gets the mail', mailAddress)
    .addOption(dataOption())
    .action(async (address: string, options: { data: string }) =>
      finish(await orFailed(() => tryMail(address, options))),
    );
}

async function tryMail(to: string, options: { data: string }): Promise<number> {
  const layout = layoutOf(options.data);
  const record = await findRunning(options.data);
  if (!record) return exitCodes.nothingRunning;
  const { services } = await readStatus(record, statusWithinMs);
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
