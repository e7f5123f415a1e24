// `baton mail test <address>`: one mail through the code that sends all mails, with the whole dialogue to look at.
// Asks no leader and leaves no trace in the database; shows no password.
import { randomUUID } from 'node:crypto';
import MailComposer from 'nodemailer/lib/mail-composer/index.js';
import { isMailAddress, senderAddress } from '../../contracts/mail-address.ts';
import { describeError } from '../../runtime/failure.ts';
import { sendMail, type SmtpServer } from './smtp.ts';

const answerTimeoutMs = 60_000; // Somebody waits for it.

/** `lines`: `> ` is what we say, `< ` what the server answers, the rest what came of it. Never throws. */
export async function trySmtp(
  server: SmtpServer & { readonly from: string },
  to: string,
): Promise<{ lines: string[]; ok: boolean }> {
  const from = senderAddress(server.from);
  if (from === undefined)
    return {
      lines: [`${JSON.stringify(server.from)} is no mail address: correct BATON_MAIL_FROM`],
      ok: false,
    };
  if (!isMailAddress(to))
    return { lines: [`${JSON.stringify(to)} is no mail address: use the form name@example.org`], ok: false };
  const lines: string[] = [];
  try {
    const bytes = await render(server.from, to);
    const { outcome, detail } = await sendMail(
      server,
      { envelope: { from, to }, bytes },
      { answerTimeoutMs, listen: (line) => lines.push(line) },
    );
    lines.push(`${outcome}: ${detail}`);
    return { lines, ok: outcome === 'sent' };
  } catch (error) {
    return { lines: [...lines, describeError(error)], ok: false };
  }
}

async function render(from: string, to: string): Promise<Buffer> {
  const host = from.replace(/>$/, '').split('@').at(-1) ?? 'localhost';
  return await new MailComposer({
    from,
    to: { name: '', address: to },
    subject: 'Baton can send mail',
    text: 'This mail was sent by `baton mail test`. Nothing has to be done about it.\n',
    messageId: `<${randomUUID()}@${host}>`,
    headers: { 'Auto-Submitted': 'auto-generated' },
    disableFileAccess: true,
    disableUrlAccess: true,
  })
    .compile()
    .build();
}
