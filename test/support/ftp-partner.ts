// A partner at the FTP server of a system: logged in over TLS, and dropping files as a careful one does.
import { readFile } from 'node:fs/promises';
import { join } from 'node:path';
import { Readable } from 'node:stream';
import { Client } from 'basic-ftp';

export interface FtpLogin {
  readonly url: string;
  readonly username: string;
  readonly password: string;
  readonly ca: string;
}

/** Of the system whose data lies in that folder. */
export async function ftpLogin({ url, data }: { url: string; data: string }): Promise<FtpLogin> {
  const secret = await readFile(join(data, 'secrets', 'ftp.json'), 'utf8');
  return {
    ...(JSON.parse(secret) as { username: string; password: string }),
    url,
    ca: await readFile(join(data, 'tls', 'ca.pem'), 'utf8'),
  };
}

export async function withFtp<T>(
  { url, username, password, ca }: FtpLogin,
  use: (ftp: Client) => Promise<T>,
): Promise<T> {
  const { hostname: host, port } = new URL(url);
  const ftp = new Client(10_000);
  try {
    await ftp.access({
      host,
      port: Number(port),
      user: username,
      password,
      secure: true,
      secureOptions: { ca },
    });
    return await use(ftp);
  } finally {
    ftp.close();
  }
}

/** Under its name once it is whole. */
export function dropFile(login: FtpLogin, name: string, text: string): Promise<void> {
  return withFtp(login, async (ftp) => {
    await ftp.uploadFrom(Readable.from([text]), `/in/.${name}.part`);
    await ftp.rename(`/in/.${name}.part`, `/in/${name}`);
  });
}
