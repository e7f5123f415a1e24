// The FTP server that the scraper and ftp-sync share, as their environment names it. Opens no connection.
import { splitAddress, type Environment } from '../contracts/environment.ts';
import { credentialsSchema, type Credentials } from '../contracts/secrets.ts';
import { type Secrets } from '../runtime/secrets.ts';

export interface FtpAddress {
  readonly host: string;
  readonly port: number;
  /** Folder that holds in/, done/, rejected/ and out/. */
  readonly root: string;
  readonly credentials: () => Promise<Credentials>;
  /** PEM; undefined trusts the public authorities. */
  readonly ca: () => Promise<string | undefined>;
}
type FtpEnvironment = Pick<
  Environment<'ftp-sync'>,
  'BATON_FTP_ADDRESS' | 'BATON_FTP_ROOT' | 'BATON_FTP_CREDENTIALS_URI' | 'BATON_FTP_CA_URI'
>;

export function ftpAddressOf(environment: FtpEnvironment, secrets: Secrets): FtpAddress {
  const caUri = environment.BATON_FTP_CA_URI;
  return {
    ...splitAddress(environment.BATON_FTP_ADDRESS),
    root: environment.BATON_FTP_ROOT,
    credentials: () => secrets.json(environment.BATON_FTP_CREDENTIALS_URI, credentialsSchema),
    ca: async () => (caUri === undefined ? undefined : await secrets.text(caUri)),
  };
}
