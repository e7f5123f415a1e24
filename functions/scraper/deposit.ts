// Puts a crawl's file into in/ of the FTP server: FTPS required, uploaded as `.name.part`, compared with SIZE,
// then renamed, so that a reader never sees half a file.
import { Readable } from 'node:stream';
import { posix } from 'node:path';
import { folders } from '../../contracts/file.ts';
import { within } from '../../runtime/waiting.ts';
import type { FtpAddress } from '../ftp-address.ts';

export interface Deposit {
  readonly name: string;
  readonly bytes: Buffer;
  /** performance.now() by which it has failed, if it does. */
  readonly deadline: number;
}

const attemptsMax = 3;
const socketTimeoutMs = 10_000;
const attemptMs = 60_000;

/** @throws the last error after three tries, fewer where the time is over, each over a connection of its own. */
export async function depositFile(ftp: FtpAddress, { deadline, ...file }: Deposit): Promise<void> {
  for (let attempt = 1; ; attempt++) {
    try {
      // A socket's timeout sees silence only; this also ends a server that trickles.
      const tryMs = Math.max(1, Math.min(attemptMs, deadline - performance.now()));
      return await within(tryMs, 'the FTP server', (signal) => depositOnce(ftp, file, signal));
    } catch (cause) {
      if (attempt < attemptsMax && performance.now() < deadline) continue;
      throw new Error(`depositing ${file.name} at ${ftp.host}:${ftp.port} failed ${attempt} times`, {
        cause,
      });
    }
  }
}

async function depositOnce(
  ftp: FtpAddress,
  { name, bytes }: Omit<Deposit, 'deadline'>,
  signal: AbortSignal,
): Promise<void> {
  // Not loaded before a crawl has ended: until then it would only make the start slower.
  const { Client } = await import('basic-ftp');
  const client = new Client(socketTimeoutMs);
  signal.addEventListener('abort', () => client.close());
  try {
    const { username, password } = await ftp.credentials();
    const ca = await ftp.ca();
    signal.throwIfAborted(); // A client that was closed would open another connection.
    await client.access({
      host: ftp.host,
      port: ftp.port,
      user: username,
      password,
      secure: true,
      secureOptions: { minVersion: 'TLSv1.2', ...(ca === undefined ? {} : { ca }) },
    });
    const folder = posix.join(ftp.root, folders.in);
    const part = posix.join(folder, `.${name}.part`);
    await client.uploadFrom(Readable.from([bytes], { objectMode: false }), part);
    // A transfer that was cut off can still be reported as complete (see basic-ftp's early FIN with 226).
    const size = await client.size(part);
    if (size !== bytes.length) throw new Error(`${part} holds ${size} bytes after ${bytes.length} were sent`);
    await client.rename(part, posix.join(folder, name));
  } finally {
    client.close();
  }
}
