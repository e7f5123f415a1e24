// One SMTP dialogue: EHLO, STARTTLS, AUTH and, where there is a mail, its envelope and bytes. Never speaks without
// verified TLS, and tells a failure that certainly delivered nothing from one that may have. Never tries again, never
// renders: the library's connection is used without its composer, so no file and no URL is ever read for a mail.
import { Readable } from 'node:stream';
import SMTPConnection, { type SMTPConnectionSendInfo } from 'nodemailer/lib/smtp-connection';
import type { ExternalLogger } from 'nodemailer/lib/shared';
import { mailTimes } from '../../contracts/mail-message.ts';
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
  /** Bare addresses, checked: see contracts/mail-address.ts. */
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

const connectMsMax = 10_000;
const detailLengthMax = 1_000;
const sliceBytes = 16 * 1024;
/** RFC 3463, 3.2 and 3.3: bad mailbox, bad system, bad syntax, moved without a forward; mailbox disabled. RFC 7505: 5.1.10. */
const nobody = new Set(['5.1.1', '5.1.2', '5.1.3', '5.1.6', '5.1.10', '5.2.1']);

/** @returns what became of it; a mail whose bytes were all handed over and not answered for is `unknown`. */
export async function sendMail(
  server: SmtpServer,
  mail: { envelope: Envelope; bytes: Buffer },
  {
    timeoutMs = mailTimes.dialogueMs,
    answerTimeoutMs = mailTimes.answerMs,
    listen,
  }: {
    /** Up to the last byte. */
    timeoutMs?: number;
    answerTimeoutMs?: number;
    listen?: Listen;
  } = {},
): Promise<SmtpOutcome> {
  /** All bytes were given to the connection, so the final dot may have reached the server. */
  let handedOver = false;
  try {
    const answer = await dialogue(server, { timeoutMs, listen }, (connection, bound) =>
      submit(connection, mail, () => {
        handedOver = true;
        bound('the answer to the mail', answerTimeoutMs);
      }),
    );
    return { outcome: 'sent', detail: presentable(answer, mail.envelope) };
  } catch (error) {
    return { outcome: judge(error, handedOver), detail: presentable(describeError(error), mail.envelope) };
  }
}

/** EHLO, STARTTLS, AUTH, QUIT. @throws Error when any of them fails. */
export async function checkSmtp(
  server: SmtpServer,
  { timeoutMs = mailTimes.dialogueMs, listen }: { timeoutMs?: number; listen?: Listen } = {},
): Promise<void> {
  await dialogue(server, { timeoutMs, listen }, () => Promise.resolve());
}

/** @param work - told how to bound what comes next, instead of what was bounded before. */
async function dialogue<T>(
  server: SmtpServer,
  { timeoutMs, listen }: { timeoutMs: number; listen: Listen | undefined },
  work: (connection: SMTPConnection, bound: (what: string, ms: number) => void) => Promise<T>,
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
    connectionTimeout: connectMsMax,
    greetingTimeout: connectMsMax,
    dnsTimeout: connectMsMax,
    // The library has one for all steps: how long each may take is measured here.
    socketTimeout: 2 * mailTimes.answerMs,
    socketCloseTimeout: 1_000,
    ...(listen ? { logger: tap(listen), transactionLog: true } : {}),
  });
  // The library says what went wrong with the connection by these events, whatever step was under way.
  const broken = Promise.withResolvers<never>();
  connection.on('error', broken.reject);
  // Later than the step that was under way: a 421 is that step's answer first, and then the end.
  connection.on('end', () => setImmediate(() => broken.reject(new Error('the server ended the connection'))));
  let timer: NodeJS.Timeout | undefined;
  let isOver = false; // The library may ask for one more slice of a mail after that.
  const bound = (what: string, ms: number): void => {
    clearTimeout(timer);
    if (isOver) return;
    timer = setTimeout(() => broken.reject(new Error(`${what} took more than ${ms} ms`)), ms);
  };
  bound('the dialogue', timeoutMs);
  const { username: user, password: pass } = server.credentials;
  const steps = async (): Promise<T> => {
    await step<void>((done) => connection.connect((error) => done(error ?? null)));
    await step((done) => connection.login({ credentials: { user, pass } }, done));
    const result = await work(connection, bound);
    connection.quit(); // Its answer is not waited for: the server has said all that counts.
    return result;
  };
  try {
    return await Promise.race([broken.promise, steps()]);
  } finally {
    isOver = true;
    clearTimeout(timer);
    connection.close();
  }
}

async function submit(
  connection: SMTPConnection,
  { envelope, bytes }: { envelope: Envelope; bytes: Buffer },
  onHandedOver: () => void,
): Promise<string> {
  // The library reads this stream once the server has answered DATA with 354. In slices, so that its end is asked for
  // only when the connection has taken what came before.
  const message = Readable.from(
    (function* () {
      for (let at = 0; at < bytes.length; at += sliceBytes) yield bytes.subarray(at, at + sliceBytes);
      onHandedOver();
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
function judge(error: unknown, handedOver: boolean): SmtpOutcome['outcome'] {
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
