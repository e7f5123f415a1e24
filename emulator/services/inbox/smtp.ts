// The inbox's SMTP side: RFC 5321 with STARTTLS and AUTH required, on loopback. Takes mail for anybody and relays none.
// A mail is answered 250 once it is on the disk; ordered faults come in where a real server's would.
import { once } from 'node:events';
import { readFile } from 'node:fs/promises';
import type { AddressInfo, Socket } from 'node:net';
import { pathToFileURL } from 'node:url';
import { SMTPServer, type SMTPServerSession } from 'smtp-server';
import { describeError } from '../../../runtime/failure.ts';
import type { Logger } from '../../../runtime/logger.ts';
import { sameSecret } from '../../../runtime/same-secret.ts';
import { credentialsSchema, type Credentials } from '../../../contracts/secrets.ts';
import { createSecrets } from '../../../runtime/secrets.ts';
import { pause } from '../../../runtime/waiting.ts';
import { takeFault, type InboxFault } from './faults.ts';
import { mailBytesMax, type MailStore } from './mail-store.ts';

const connectionsMax = 20; // Each may hold one mail of 10 MB in memory.
const recipientsMax = 100;
const idleMs = 90_000; // Longer than a `slow` fault, during which the client says nothing.

export interface SmtpOptions {
  readonly host: string;
  readonly port: number;
  readonly certFile: string;
  readonly keyFile: string;
  /** JSON { username, password } */
  readonly credentialsFile: string;
  readonly store: MailStore;
  readonly faults: InboxFault[];
  readonly logger: Logger;
}

export async function startSmtp(options: SmtpOptions): Promise<{ port: number; close(): Promise<void> }> {
  const { store, faults, logger } = options;
  const secrets = createSecrets();
  const credentials = () => secrets.json(pathToFileURL(options.credentialsFile).href, credentialsSchema);
  await credentials(); // Wrong ones are found at the start, not by the first sender.
  const closing = new AbortController();
  const sockets = new Map<string, Socket>();

  async function receive(session: SMTPServerSession, stream: AsyncIterable<Buffer>): Promise<string> {
    const bytes = await collect(stream);
    if (bytes === undefined) throw reply(552, `a mail has at most ${mailBytesMax} bytes`);
    const { mailFrom, rcptTo } = session.envelope;
    const to = rcptTo.map(({ address }) => address);
    const drop = takeFault(faults, 'drop-after-data', to);
    const kept =
      drop?.kept === false ? undefined : await keep({ from: mailFrom ? mailFrom.address : '', to }, bytes);
    if (drop) {
      sockets.get(session.id)?.destroy();
      throw reply(421, 'cut off'); // Never seen: the connection is gone.
    }
    const slow = takeFault(faults, 'slow', to);
    if (slow) await pause(slow.delayMs, closing.signal);
    return `kept as ${kept?.id}`;
  }
  async function keep(...mail: Parameters<MailStore['add']>) {
    try {
      return await store.add(...mail);
    } catch (error) {
      logger.error(`a mail cannot be kept: ${describeError(error)}`);
      throw reply(452, 'the mail cannot be kept now');
    }
  }

  const server = new SMTPServer({
    name: 'localhost',
    banner: 'Baton inbox',
    cert: await readFile(options.certFile),
    key: await readFile(options.keyFile),
    minVersion: 'TLSv1.2',
    authMethods: ['PLAIN', 'LOGIN'],
    authRequiredMessage: 'STARTTLS and then AUTH come first',
    hideENHANCEDSTATUSCODES: false,
    size: mailBytesMax,
    maxClients: connectionsMax,
    maxRecipients: recipientsMax,
    socketTimeout: idleMs,
    disableReverseLookup: true,
    logger: false,
    onConnect: (session, answer) =>
      answer(takeFault(faults, 'refuse') ? reply(421, 'come back later (a fault was ordered)') : null),
    onSecure(socket, session, answer) {
      sockets.set(session.id, socket);
      answer();
    },
    onClose: (session) => sockets.delete(session.id),
    onAuth: (auth, _session, answer) =>
      void credentials().then(
        (wanted) =>
          isLogin(auth, wanted)
            ? answer(null, { user: wanted.username })
            : answer(reply(535, 'user name or password is wrong')),
        (error: unknown) => {
          logger.error(describeError(error));
          answer(reply(454, 'logins cannot be checked now'));
        },
      ),
    onRcptTo({ address }, _session, answer) {
      if (takeFault(faults, 'reject-recipient', [address]))
        answer(reply(550, 'no such mailbox (a fault was ordered)'));
      else if (takeFault(faults, 'greylist', [address]))
        answer(reply(451, 'greylisted (a fault was ordered)'));
      else answer();
    },
    onData: (stream, session, answer) =>
      void receive(session, stream).then(
        (text) => answer(null, text),
        (error: unknown) => answer(error instanceof Error ? error : new Error(String(error))),
      ),
  });
  // A client that goes away, or whose handshake fails, is its own affair; it is said for whoever looks for it.
  server.on('error', (error: Error) => logger.debug(`SMTP: ${describeError(error)}`));
  const plain = new Set<Socket>();
  server.server.on('connection', (socket: Socket) => {
    plain.add(socket);
    socket.on('close', () => plain.delete(socket));
  });
  server.listen(options.port, options.host);
  await once(server.server, 'listening');

  return {
    port: (server.server.address() as AddressInfo).port,
    async close() {
      closing.abort();
      const closed = new Promise<void>((resolve) => server.close(() => resolve()));
      for (const socket of [...sockets.values(), ...plain]) socket.destroy();
      await closed;
    },
  };
}

/** An error that the library answers with this code. */
function reply(responseCode: number, message: string): Error & { responseCode: number } {
  return Object.assign(new Error(message), { responseCode });
}

/** Undefined when there is more than a mail may have; the rest is read and thrown away, so that it can be answered. */
async function collect(stream: AsyncIterable<Buffer>): Promise<Buffer | undefined> {
  const chunks: Buffer[] = [];
  let bytes = 0;
  for await (const chunk of stream) {
    bytes += chunk.length;
    if (bytes <= mailBytesMax) chunks.push(chunk);
    else chunks.length = 0;
  }
  return bytes <= mailBytesMax ? Buffer.concat(chunks, bytes) : undefined;
}

function isLogin(
  { username, password }: { username?: string | undefined; password?: string | null | undefined },
  wanted: Credentials,
): boolean {
  return sameSecret(JSON.stringify([username, password]), JSON.stringify([wanted.username, wanted.password]));
}
