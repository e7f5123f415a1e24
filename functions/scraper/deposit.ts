// Puts a crawl's file into in/ of the FTP server: FTPS required, uploaded as `.name.part`, compared with SIZE,
// then renamed, so that a reader never sees half a file.
import { Readable } from 'node:stream';
import { posix } from 'node:path';
import { folders } from '../../contracts/file.ts';
import type { FtpAddress } from '../ftp-address.ts';

export interface Deposit {
  readonly name: string;
  readonly bytes: Buffer;
}

const attemptsMax = 3;
const socketTimeoutMs = 10_000;
const attemptMs = 60_000;

/** @throws the last error after three tries, each over a connection of its own. */
export async function depositFile(ftp: FtpAddress, { name, bytes }: Deposit): Promise<void> {
  let last: unknown;
  for (let attempt = 1; attempt <= attemptsMax; attempt++) {
    try {
      return await depositOnce(ftp, { name, bytes });
    } catch (error) {
      last = error;
    }
  }
  throw new Error(`depositing ${name} at ${ftp.host}:${ftp.port} failed ${attemptsMax} times`, {
    cause: last,
  });
}

async function depositOnce(ftp: FtpAddress, { name, bytes }: Deposit): Promise<void> {
  // Not loaded before a crawl has ended: until then it would only make the start slower.
  const { Client } = await import('basic-ftp');
  const client = new Client(socketTimeoutMs);
  // The socket timeout sees silence only; this also ends a server that trickles.
  const deadline = setTimeout(() => client.close(), attemptMs);
  try {
    const { username, password } = await ftp.credentials();
    const ca = await ftp.ca();
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
    clearTimeout(deadline);
    client.close();
  }
}
