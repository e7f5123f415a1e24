// How a program in a node's place connects to its database.
import type { Environment } from '../../contracts/environment.ts';
import type { Secrets } from '../../runtime/secrets.ts';
import type { ConnectionOptions } from './pool.ts';

export async function connectionOf(
  environment: Readonly<Environment<'node'>>,
  secrets: Secrets,
  applicationName: string,
): Promise<ConnectionOptions> {
  return {
    url: environment.BATON_DATABASE_URL,
    password: () => secrets.text(environment.BATON_DATABASE_PASSWORD_URI),
    ca: await secrets.text(environment.BATON_DATABASE_CA_URI ?? environment.BATON_TLS_CA_URI),
    applicationName,
  };
}
