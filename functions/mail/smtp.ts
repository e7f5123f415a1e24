// One SMTP dialogue: EHLO, STARTTLS, AUTH and, where there is a mail, its envelope and bytes. Never speaks without
// verified TLS, and tells a failure that certainly delivered nothing from one that may have. Never tries again, never
// renders: the library's connection is used without its composer, so no file and no URL is ever read for a mail.
import { Readable } from 'node:stream';
import SMTPConnection, { type SMTPConnectionSendInfo } from 'nodemailer/lib/smtp-connection';
import type { ExternalLogger } from 'nodemailer/lib/shared';
import type { MailResult } from '../../contracts/node-api.ts';
import { describeError } from '../../runtime/failure.ts';
import type { Credentials } from '../../contracts/secrets.ts';

export interface SmtpServer {
  readonly host: string;
  readonly port: number;
  readonly credentials: Credentials;
  /** PEM; undefined trusts the public authorities. */
  readonly ca: string | undefined;
}
export interface Envelope {
  /** Bare addresses, checked: see mail-address.ts. */
  readonly from: string;
  readonly to: string;
}
export interface SmtpOutcome {
  readonly outcome: MailResult['outcome'];
  /** The server's words, or ours; without the recipient's address. */
  readonly detail: string;
}
/** Told each command and answer; credentials are blanked. */
export type Listen = (line: string) => void;

const dialogueMsMax = 20_000;
const stepMsMax = 10_000;
const detailLengthMax = 1_000;
const sliceBytes = 16 * 1024;
/** RFC 3463, 3.2 and 3.3: bad mailbox, bad system, bad syntax, moved without a forward; mailbox disabled. RFC 7505: 5.1.10. */
const nobody = new Set(['5.1.1', '5.1.2', '5.1.3', '5.1.6', '5.1.10', '5.2.1']);

/** @returns what became of it; a mail whose bytes were all handed over and not answered for is `unknown`. */
export async function sendMail(
  server: SmtpServer,
  mail: { envelope: Envelope; bytes: Buffer },
  { timeoutMs = dialogueMsMax, listen }: { timeoutMs?: number; listen?: Listen } = {},
): Promise<SmtpOutcome> {
  const stage: Stage = { handedOver: false };
  try {
    const answer = await dialogue(server, { timeoutMs, listen }, (connection) =>
      submit(connection, mail, stage),
    );
    return { outcome: 'sent', detail: presentable(answer, mail.envelope) };
  } catch (error) {
    return { outcome: judge(error, stage), detail: presentable(describeError(error), mail.envelope) };
  }
}

/** EHLO, STARTTLS, AUTH, QUIT. @throws Error when any of them fails. */
export async function checkSmtp(
  server: SmtpServer,
  { timeoutMs = dialogueMsMax, listen }: { timeoutMs?: number; listen?: Listen } = {},
): Promise<void> {
  await dialogue(server, { timeoutMs, listen }, () => Promise.resolve());
}

interface Stage {
  /** All bytes were given to the connection, so the final dot may have reached the server. */
  handedOver: boolean;
}

async function dialogue<T>(
  server: SmtpServer,
  { timeoutMs, listen }: { timeoutMs: number; listen: Listen | undefined },
  work: (connection: SMTPConnection) => Promise<T>,
): Promise<T> {
  const connection = new SMTPConnection({
    host: server.host,
    port: server.port,
    secure: false,
    requireTLS: true,
    tls: {
      minVersion: 'TLSv1.2',
      rejectUnauthorized: true,
      ...(server.ca === undefined ? {} : { ca: server.ca }),
    },
    connectionTimeout: stepMsMax,
    greetingTimeout: stepMsMax,
    dnsTimeout: stepMsMax,
    socketTimeout: stepMsMax,
    socketCloseTimeout: 1_000,
    ...(listen ? { logger: tap(listen), transactionLog: true } : {}),
  });
  let timer: NodeJS.Timeout | undefined;
  // The library says what went wrong with the connection by these events, whatever step was under way.
  const broken = new Promise<never>((_resolve, reject) => {
    connection.on('error', reject);
    // Later than the step that was under way: a 421 is that step's answer first, and then the end.
    connection.on('end', () => setImmediate(() => reject(new Error('the server ended the connection'))));
    timer = setTimeout(() => reject(new Error(`the dialogue took more than ${timeoutMs} ms`)), timeoutMs);
  });
  const { username: user, password: pass } = server.credentials;
  const steps = async (): Promise<T> => {
    await step<void>((done) => connection.connect((error) => done(error ?? null)));
    await step((done) => connection.login({ credentials: { user, pass } }, done));
    const result = await work(connection);
    connection.quit(); // Its answer is not waited for: the server has said all that counts.
    return result;
  };
  try {
    return await Promise.race([broken, steps()]);
  } finally {
    clearTimeout(timer);
    connection.close();
  }
}

async function submit(
  connection: SMTPConnection,
  { envelope, bytes }: { envelope: Envelope; bytes: Buffer },
  stage: Stage,
): Promise<string> {
  // The library reads this stream once the server has answered DATA with 354. In slices, so that its end is asked for
  // only when the connection has taken what came before.
  const message = Readable.from(
    (function* () {
      for (let at = 0; at < bytes.length; at += sliceBytes) yield bytes.subarray(at, at + sliceBytes);
      stage.handedOver = true;
    })(),
  );
  const { response } = await step<SMTPConnectionSendInfo>((done) =>
    connection.send({ from: envelope.from, to: [envelope.to], size: bytes.length }, message, done),
  );
  return response;
}

/**
 * A rejection ends all mail to this recipient, so only what says that there is none counts as one: RFC 3463's codes of the
 * address and of a mailbox that is disabled, or a bare 550, 551 or 553 to RCPT. A policy, a size, a login, a sender, our own
 * address in somebody's list: tried again for a day, then this mail alone has failed.
 */
function judge(error: unknown, { handedOver }: Stage): SmtpOutcome['outcome'] {
  const { command, responseCode, response } = error as Partial<Record<string, unknown>>;
  if (handedOver && command !== 'DATA') return 'unknown';
  if (typeof responseCode !== 'number' || responseCode < 500) return 'retry';
  const detailed = /^5\d\d[ -](?<status>5\.\d{1,3}\.\d{1,3})\b/.exec(String(response))?.groups?.['status'];
  const saysNobody =
    detailed === undefined
      ? command === 'RCPT TO' && [550, 551, 553].includes(responseCode)
      : nobody.has(detailed) && (command === 'RCPT TO' || command === 'DATA');
  return saysNobody ? 'rejected' : 'retry';
}

function presentable(text: string, { to }: Envelope): string {
  return text
    .replaceAll(to, '(recipient)')
    .replaceAll(/\p{Cc}+/gu, ' ')
    .slice(0, detailLengthMax);
}

function step<T>(run: (done: (error: Error | null, result?: T) => void) => void): Promise<T> {
  return new Promise((resolve, reject) => {
    run((error, result) => {
      if (error) reject(error);
      else resolve(result as T);
    });
  });
}

/** The library's logger, reduced to the dialogue. */
function tap(listen: Listen): ExternalLogger {
  const log = (entry: unknown, text: unknown): void => {
    const { tnx } = entry as { tnx?: unknown };
    if (typeof text !== 'string' || (tnx !== 'client' && tnx !== 'server')) return;
    const safe = tnx === 'client' ? text.replace(/^(AUTH \S+).*$/s, '$1 (credentials)') : text;
    for (const line of safe.split(/\r?\n/)) listen(`${tnx === 'client' ? '>' : '<'} ${line}`);
  };
  return { trace: log, debug: log, info: log, warn: log, error: log, fatal: log };
}
