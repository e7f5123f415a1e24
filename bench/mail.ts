// Mails a second over SMTP with STARTTLS, a connection each, as the mail function sends them, beside nodemailer's own
// transport in the same way. Both talk to the local mode's inbox, which keeps each mail before it answers for it.
import { mkdtemp, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { createTransport } from 'nodemailer';
import { startInbox } from '../emulator/services/inbox/inbox.ts';
import { sendMail } from '../functions/mail/smtp.ts';
import { inParallel } from '../runtime/in-parallel.ts';
import { createLogger } from '../runtime/logger.ts';
import { makeCertificates } from '../test/support/certificates.ts';
import { median, round, type Bench } from './bench.ts';

const mailsPerTurn = 100;
const atOnce = 4;
const credentials = { username: 'bench', password: 'bench-password' };
const envelope = { from: 'baton@shop.example', to: 'reader@mail.example' };
const goal = 0.9; // It is the same library underneath: the same, but for noise.

export const bench: Bench = async ({ rounds }) => {
  const folder = await mkdtemp(join(tmpdir(), 'baton-bench-mail-'));
  const { ca, certFile, keyFile } = await makeCertificates(folder);
  const credentialsFile = join(folder, 'smtp.json');
  const tokenFile = join(folder, 'token');
  await writeFile(credentialsFile, JSON.stringify(credentials));
  await writeFile(tokenFile, 'bench-token');
  const inbox = await startInbox(
    {
      host: '127.0.0.1',
      smtpPort: 0,
      pagePort: 0,
      certFile,
      keyFile,
      credentialsFile,
      tokenFile,
      folder: join(folder, 'mails'),
    },
    createLogger({ process: 'bench', write: () => undefined }),
  );
  const server = { host: '127.0.0.1', port: inbox.smtpPort, credentials, ca };
  const transport = createTransport({
    host: server.host,
    port: server.port,
    requireTLS: true,
    tls: { ca, minVersion: 'TLSv1.2' },
    auth: { user: credentials.username, pass: credentials.password },
  });
  try {
    const ours: number[] = [];
    const peer: number[] = [];
    // The first turn compiles what is hot, and counts for nothing.
    for (let turn = 0; turn <= rounds; turn++) {
      const rates = [
        await mailsPerSecond(async (bytes) => {
          const { outcome, detail } = await sendMail(server, { envelope, bytes });
          if (outcome !== 'sent') throw new Error(`a mail was not sent: ${outcome}, ${detail}`);
        }),
        await mailsPerSecond(async (raw) => void (await transport.sendMail({ envelope, raw }))),
      ] as const;
      if (turn === 0) continue;
      ours.push(rates[0]);
      peer.push(rates[1]);
    }
    const ratio = median(ours) / median(peer);
    return [
      {
        what: "mails with STARTTLS, a connection each, beside nodemailer's transport",
        unit: 'mails/s',
        ours: round(median(ours)),
        peer: round(median(peer)),
        ratio: round(ratio, 2),
        goal: `>= ${goal}`,
        met: ratio >= goal,
      },
    ];
  } finally {
    transport.close();
    await inbox.close();
    await rm(folder, { recursive: true, force: true });
  }
};

async function mailsPerSecond(send: (bytes: Buffer) => Promise<void>): Promise<number> {
  const began = performance.now();
  await inParallel(
    Array.from({ length: mailsPerTurn }, (_, number) => mail(number)),
    atOnce,
    send,
  );
  return mailsPerTurn / ((performance.now() - began) / 1_000);
}

function mail(number: number): Buffer {
  return Buffer.from(
    [
      `From: <${envelope.from}>`,
      `To: <${envelope.to}>`,
      `Message-ID: <bench-${number}-${Date.now()}@shop.example>`,
      `Subject: The price of article ${number} has fallen`,
      '',
      'An article that you watch costs less than before. '.repeat(40),
      '',
    ].join('\r\n'),
  );
}
