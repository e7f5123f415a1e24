// Mails over real SMTP: what each way of failing means for the mail, and that nothing is said in clear.
import { connect, createServer, type AddressInfo, type Socket } from 'node:net';
import { mkdir, mkdtemp, readFile, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { pathToFileURL } from 'node:url';
import type { SecureContextOptions } from 'node:tls';
import { SMTPServer, type SMTPServerOptions } from 'smtp-server';
import { afterAll, afterEach, beforeAll, describe, expect, it } from 'vitest';
import type { InboxFault } from '../../../emulator/services/inbox/faults.ts';
import { startInbox, type Inbox } from '../../../emulator/services/inbox/inbox.ts';
import { checkSmtp, sendMail, type SmtpServer } from '../../../functions/mail/smtp.ts';
import { trySmtp } from '../../../functions/mail/try-server.ts';
import { createLogger } from '../../../runtime/logger.ts';
import { makeCertificates, type TestCertificates } from '../../support/certificates.ts';
import { invoke, loadHandler } from '../../support/invoke.ts';
import { startLeaderNode } from '../../support/leader-node.ts';

const credentials = { username: 'baton', password: 'an unmistakable password' };
const envelope = { from: 'baton@example.org', to: 'ann@example.org' };
const bytes = Buffer.from(
  'From: baton@example.org\r\nTo: ann@example.org\r\nSubject: hello\r\nMessage-ID: <1@example.org>\r\n\r\nfirst\r\n.\r\n..two dots\r\nlast\r\n',
);
let folder: string;
let certificates: TestCertificates;
let inbox: Inbox;
let server: SmtpServer;
const faults: InboxFault[] = [];
const opened: { close(): Promise<void> }[] = [];

beforeAll(async () => {
  folder = await mkdtemp(join(tmpdir(), 'baton-mail-'));
  certificates = await makeCertificates(folder);
  await writeFile(join(folder, 'credentials.json'), JSON.stringify(credentials));
  await writeFile(join(folder, 'token'), 'token');
  inbox = await startInbox(
    {
      host: '127.0.0.1',
      smtpPort: 0,
      pagePort: 0,
      certFile: certificates.certFile,
      keyFile: certificates.keyFile,
      credentialsFile: join(folder, 'credentials.json'),
      folder: join(folder, 'mails'),
      tokenFile: join(folder, 'token'),
      faults,
    },
    createLogger({ process: 'inbox', write: () => undefined }),
  );
  server = { host: '127.0.0.1', port: inbox.smtpPort, credentials, ca: certificates.ca };
});
afterAll(async () => {
  await inbox.close();
  await rm(folder, { recursive: true });
});
afterEach(async () => {
  faults.length = 0;
  for (const thing of opened.splice(0).toReversed()) await thing.close();
});

describe('outcome', () => {
  it('outcome: a mail arrives once, with the very bytes that were stored', async () => {
    const before = inbox.mails().length;
    expect(await sendMail(server, { envelope, bytes })).toMatchObject({ outcome: 'sent' });
    const [mail] = inbox.mails();
    expect(inbox.mails()).toHaveLength(before + 1);
    expect(mail).toMatchObject({ from: envelope.from, to: [envelope.to], messageId: '<1@example.org>' });
    expect(await readFile(join(folder, 'mails', `${String(mail?.id)}.eml`))).toEqual(bytes);
  });

  it.each([
    ['550 to the recipient', { kind: 'reject-recipient' }, 'rejected', /550/],
    ['451 to the recipient', { kind: 'greylist' }, 'retry', /451/],
    ['421 instead of a greeting', { kind: 'refuse' }, 'retry', /421/],
  ] as const)('outcome: %s delivers nothing and is told as it is', async (_, fault, outcome, words) => {
    faults.push(fault);
    const before = inbox.mails().length;
    const result = await sendMail(server, { envelope, bytes });
    expect(result).toEqual({ outcome, detail: expect.stringMatching(words) as unknown });
    expect(result.detail).not.toContain(envelope.to);
    expect(inbox.mails()).toHaveLength(before);
  });

  it.each([true, false])(
    'outcome: a connection lost after the mail is unknown, whether it was kept (%j) or not',
    async (kept) => {
      faults.push({ kind: 'drop-after-data', kept });
      const before = inbox.mails().length;
      expect((await sendMail(server, { envelope, bytes })).outcome).toBe('unknown');
      expect(inbox.mails()).toHaveLength(before + (kept ? 1 : 0));
    },
  );

  it('outcome: a server that looks at a mail for longer than its dialogue may take is waited for, and has one copy', async () => {
    faults.push({ kind: 'slow', delayMs: 11_000 });
    const before = inbox.mails().length;
    expect((await sendMail(server, { envelope, bytes }, { timeoutMs: 5_000 })).outcome).toBe('sent');
    expect(inbox.mails()).toHaveLength(before + 1);
  });

  it('outcome: no answer to the mail within the time is unknown', async () => {
    faults.push({ kind: 'slow', delayMs: 30_000 });
    const startedAt = performance.now();
    const { outcome, detail } = await sendMail(server, { envelope, bytes }, { answerTimeoutMs: 2_000 });
    expect(performance.now() - startedAt).toBeLessThan(20_000);
    expect({ outcome, detail }).toEqual({
      outcome: 'unknown',
      detail: 'the answer to the mail took more than 2000 ms',
    });
  });

  it('outcome: a server that says nothing before the mail is given up in time, and got nothing', async () => {
    const other = await startServer({ onMailFrom: () => undefined });
    const { outcome, detail } = await sendMail(other, { envelope, bytes }, { timeoutMs: 2_000 });
    expect({ outcome, detail }).toEqual({ outcome: 'retry', detail: 'the dialogue took more than 2000 ms' });
  });

  it.each([
    // A recipient is given up for good, so only for what says that there is none.
    ['DATA', 554, 'Message rejected: Email address is not verified', 'retry'],
    ['DATA', 554, '5.7.1 our policy', 'retry'],
    ['DATA', 552, '5.3.4 too large', 'retry'],
    ['DATA', 550, '5.1.1 no such user', 'rejected'],
    ['DATA', 451, 'later', 'retry'],
    ['DATA', 421, 'later', 'retry'],
    ['RCPT', 550, '5.7.1 your address is on a list', 'retry'],
    ['RCPT', 554, 'no mail from you', 'retry'],
    ['RCPT', 550, '5.1.1 no such user', 'rejected'],
    ['RCPT', 550, '5.2.1 mailbox disabled', 'rejected'],
    ['RCPT', 550, '5.2.2 mailbox full', 'retry'],
    ['RCPT', 556, '5.1.10 the domain takes no mail', 'rejected'],
    ['RCPT', 553, 'nobody here', 'rejected'],
  ] as const)('outcome: to %s “%i %s” is %s', async (step, responseCode, words, outcome) => {
    const refusal = Object.assign(new Error(words), { responseCode });
    const other = await startServer(
      step === 'RCPT'
        ? { onRcptTo: (_address, _session, answer) => answer(refusal) }
        : {
            onData: (stream, _session, answer) => {
              stream.resume().on('end', () => answer(refusal));
            },
          },
    );
    expect(await sendMail(other, { envelope, bytes })).toEqual({
      outcome,
      detail: expect.stringContaining(String(responseCode)) as unknown,
    });
  });

  it('outcome: the address that a server repeats in its refusal is blanked, since logs hold none', async () => {
    const other = await startServer({
      onRcptTo: ({ address }, _session, answer) =>
        answer(Object.assign(new Error(`<${address}> is nobody here`), { responseCode: 550 })),
    });
    const { outcome, detail } = await sendMail(other, { envelope, bytes });
    expect(outcome).toBe('rejected');
    expect(detail).toContain('<(recipient)> is nobody here');
    expect(detail).not.toContain(envelope.to);
  });

  it('outcome: a connection lost in the middle of a mail delivered nothing', async () => {
    const other = await startServer({
      onData: (stream) => void stream.once('data', () => other.cut()),
    });
    const large = Buffer.concat([bytes, Buffer.alloc(20 * 1024 * 1024, 'x'.repeat(70) + '\r\n')]);
    expect((await sendMail(other, { envelope, bytes: large })).outcome).toBe('retry');
  });

  it.each(['MAIL FROM', 'AUTH'])(
    'outcome: a refused %s is ours to mend, so no recipient is given up for it',
    async (step) => {
      const refusal = Object.assign(new Error('not you'), { responseCode: step === 'AUTH' ? 535 : 550 });
      const other = await startServer(
        step === 'AUTH'
          ? { onAuth: (_auth, _session, answer) => answer(refusal) }
          : { onMailFrom: (_address, _session, answer) => answer(refusal) },
      );
      expect((await sendMail(other, { envelope, bytes })).outcome).toBe('retry');
    },
  );

  it('outcome: a server that cannot be reached, or says nothing, delivered nothing', async () => {
    const silent = await startListener();
    for (const port of [1, silent.port])
      expect((await sendMail({ ...server, port }, { envelope, bytes }, { timeoutMs: 500 })).outcome).toBe(
        'retry',
      );
  });

  it('outcome: a recipient that the library itself refuses reaches no server', async () => {
    const before = inbox.mails().length;
    const crafted = { ...envelope, to: 'ann@example.org>\r\nRCPT TO:<evil@example.net' };
    expect((await sendMail(server, { envelope: crafted, bytes })).outcome).toBe('retry');
    expect(inbox.mails()).toHaveLength(before);
  });
});

describe('privacy', () => {
  it('privacy: after STARTTLS nothing is in clear: no credentials, no address, no line of the mail', async () => {
    const proxy = await startRecorder(server.port);
    expect((await sendMail({ ...server, port: proxy.port }, { envelope, bytes })).outcome).toBe('sent');
    const clear = proxy.recorded();
    expect(clear).toContain('STARTTLS');
    for (const secret of [
      credentials.password,
      Buffer.from(credentials.password).toString('base64'),
      Buffer.from(`\0${credentials.username}\0${credentials.password}`).toString('base64'),
      'AUTH PLAIN ',
      envelope.to,
      'Subject',
    ])
      expect(clear).not.toContain(secret);
  });

  it.each([
    ['without STARTTLS', () => startServer({ disabledCommands: ['STARTTLS'], allowInsecureAuth: true })],
    [
      'with a certificate of a stranger',
      async () => {
        const strange = join(folder, crypto.randomUUID());
        await mkdir(strange);
        const { cert, key } = await makeCertificates(strange);
        return await startServer({ cert, key });
      },
    ],
    [
      'with nothing newer than TLS 1.1',
      () => startServer({ minVersion: 'TLSv1', maxVersion: 'TLSv1.1', ciphers: 'DEFAULT@SECLEVEL=0' }),
    ],
  ])('privacy: a server %s is told no credentials and gets no mail', async (_, start) => {
    const other = await start();
    const proxy = await startRecorder(other.port);
    const { outcome } = await sendMail({ ...other, port: proxy.port }, { envelope, bytes });
    expect(outcome).toBe('retry');
    expect(other.logins).toEqual([]);
    expect(proxy.recorded()).not.toMatch(/AUTH PLAIN |AUTH LOGIN\r|MAIL FROM/);
    await expect(checkSmtp({ ...other, port: proxy.port })).rejects.toThrow(/TLS|certificate/i);
  });
});

describe('mail test', () => {
  it('mail test: the dialogue is shown step by step, without the password', async () => {
    const before = inbox.mails().length;
    const { lines, ok } = await trySmtp({ ...server, from: 'Baton <baton@example.org>' }, 'ann@example.org');
    expect(ok).toBe(true);
    const text = lines.join('\n');
    for (const step of [
      '> EHLO',
      '> STARTTLS',
      '> AUTH PLAIN (credentials)',
      '> MAIL FROM:<baton@example.org>',
      '> RCPT TO:<ann@example.org>',
      '> DATA',
      '< 250',
      'sent: ',
    ])
      expect(text).toContain(step);
    for (const secret of [
      credentials.password,
      Buffer.from(`\0baton\0${credentials.password}`).toString('base64'),
    ])
      expect(text).not.toContain(secret);
    expect(inbox.mails()).toHaveLength(before + 1);
    expect(inbox.mails()[0]).toMatchObject({ subject: 'Baton can send mail', to: ['ann@example.org'] });
  });

  it.each([
    [
      'a wrong password',
      () => ({ ...server, credentials: { ...credentials, password: 'wrong' } }),
      'ann@example.org',
      /535/,
    ],
    ['no server', () => ({ ...server, port: 1 }), 'ann@example.org', /ECONNREFUSED/],
    ['no address', () => server, 'ann@example.org\r\nX: y', /is no mail address/],
  ])('mail test: %s is said in words', async (_, make, to, words) => {
    const { lines, ok } = await trySmtp({ ...make(), from: 'baton@example.org' }, to);
    expect(ok).toBe(false);
    expect(lines.at(-1)).toMatch(words);
  });
});

describe('handler', () => {
  it('handler: the ready event file is claimed, sent over SMTP and reported, in this order', async () => {
    const node = await startLeaderNode(certificates);
    opened.push(node);
    const before = inbox.mails().length;
    node.answer = ({ method }) =>
      method === 'PUT'
        ? { status: 204 }
        : {
            status: 200,
            json: {
              kind: 'send',
              from: 'Baton <baton@example.org>',
              to: 'ann@example.org',
              bytes: bytes.toString('base64'),
              messageId: '<1@example.org>',
            },
          };
    const handler = await loadHandler('mail', {
      BATON_CLUSTER: 'baton',
      BATON_NODE_URLS: node.url,
      BATON_DIRECTORY_TABLE: 'baton-directory',
      AWS_REGION: 'eu-central-1',
      AWS_ACCESS_KEY_ID: 'local',
      AWS_SECRET_ACCESS_KEY: 'local',
      AWS_ENDPOINT_URL_DYNAMODB: 'http://127.0.0.1:1', // Nobody there: the nodes are asked instead.
      BATON_TLS_CA_URI: pathToFileURL(certificates.caFile).href,
      BATON_TLS_CERT_URI: pathToFileURL(certificates.certFile).href,
      BATON_TLS_KEY_URI: pathToFileURL(certificates.keyFile).href,
      BATON_BROKER_URL: 'amqps://127.0.0.1:1/',
      BATON_BROKER_CREDENTIALS_URI: pathToFileURL(join(folder, 'credentials.json')).href,
      BATON_SMTP_ADDRESS: `127.0.0.1:${inbox.smtpPort}`,
      BATON_SMTP_CREDENTIALS_URI: pathToFileURL(join(folder, 'credentials.json')).href,
      BATON_SMTP_CA_URI: pathToFileURL(certificates.caFile).href,
    });
    const event = JSON.parse(
      await readFile(new URL('../../support/events/rabbitmq-mail.json', import.meta.url), 'utf8'),
    ) as object;
    const counts = await invoke(handler, event, { function: 'mail', requestId: 'request-1' });
    expect(counts).toMatchObject({ sent: 1, retry: 0, waiting: 0 });
    expect(inbox.mails()).toHaveLength(before + 1);
    const mail = '/internal/mails/0d1f6c1a-3f0c-4d3a-8c57-9d5f5c0c1b77';
    expect(node.requests.map(({ method, path, json }) => ({ method, path, json }))).toEqual([
      { method: 'POST', path: `${mail}/claim`, json: { attempt: 1, owner: 'mail/request-1' } },
      {
        method: 'PUT',
        path: `${mail}/result`,
        json: {
          attempt: 1,
          owner: 'mail/request-1',
          outcome: 'sent',
          detail: expect.stringMatching(/^250 /) as unknown,
        },
      },
      // Shown live; best effort.
      { method: 'POST', path: '/internal/events', json: expect.anything() as unknown },
    ]);
  });
});

/** A server of the test's own making, which keeps nothing. */
async function startServer(options: SMTPServerOptions & SecureContextOptions) {
  const logins: unknown[] = [];
  const sockets = new Set<Socket>();
  const smtp = new SMTPServer({
    cert: certificates.cert,
    key: certificates.key,
    authMethods: ['PLAIN'],
    disableReverseLookup: true,
    onAuth: (auth, _session, answer) => {
      logins.push(auth);
      answer(null, { user: auth.username ?? '' });
    },
    onData: (stream, _session, answer) => void stream.resume().on('end', () => answer()),
    ...options,
  });
  smtp.on('error', () => undefined); // What the client does wrong is the test's to see.
  smtp.server.on('connection', (socket: Socket) => sockets.add(socket));
  await new Promise<void>((resolve) => smtp.listen(0, '127.0.0.1', resolve));
  const cut = () => {
    for (const socket of sockets) socket.destroy();
  };
  opened.push({
    close: () =>
      new Promise((resolve) => {
        smtp.close(() => resolve());
        cut();
      }),
  });
  return { ...server, port: (smtp.server.address() as AddressInfo).port, logins, cut };
}

/** A TCP listener; what it does not do itself, it leaves unanswered. */
async function startListener(onConnection: (socket: Socket) => void = () => undefined) {
  const sockets = new Set<Socket>();
  const listener = createServer((socket) => {
    sockets.add(socket);
    socket.on('error', () => undefined);
    onConnection(socket);
  });
  await new Promise<void>((resolve) => listener.listen(0, '127.0.0.1', resolve));
  opened.push({
    close: () =>
      new Promise((resolve) => {
        listener.close(() => resolve());
        for (const socket of sockets) socket.destroy();
      }),
  });
  return { port: (listener.address() as AddressInfo).port };
}

/** Passes everything on to `port`, and keeps what the client said. */
async function startRecorder(port: number) {
  const chunks: Buffer[] = [];
  const { port: own } = await startListener((socket) => {
    const target = connect(port, '127.0.0.1');
    target.on('error', () => socket.destroy());
    target.on('close', () => socket.destroy());
    socket.on('close', () => target.destroy());
    socket.on('data', (chunk: Buffer) => chunks.push(chunk));
    socket.pipe(target).pipe(socket);
  });
  return { port: own, recorded: () => Buffer.concat(chunks).toString('latin1') };
}
