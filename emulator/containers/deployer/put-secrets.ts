// Puts what the functions read into the emulator's Secrets Manager, under the names that cdk/ gives them: on AWS the
// secret keeper does it. Reads them from this container's own folder; a value that is there already is replaced.
import { readFile } from 'node:fs/promises';
import {
  CreateSecretCommand,
  PutSecretValueCommand,
  ResourceExistsException,
  SecretsManagerClient,
} from '@aws-sdk/client-secrets-manager';
import { join } from 'node:path';
import { localstackCredentials } from '../../local-aws.ts';
import { functionsThatCallNodes } from '../../../contracts/topology.ts';
import { certificateNames, mountedFolder } from '../mounted.ts';

/** As cdk/names.ts calls those of the stage `local`. */
const prefix = 'baton/local/';

export async function putSecrets({ endpoint, region }: { endpoint: string; region: string }): Promise<void> {
  const client = new SecretsManagerClient({
    endpoint,
    region,
    credentials: localstackCredentials,
  });
  try {
    const read = (name: string) => readFile(join(mountedFolder, name), 'utf8');
    const ca = await read(certificateNames.ca);
    const secrets = new Map<string, string>([
      ['broker/functions', await read('broker.json')],
      ['ftp', await read('ftp.json')],
      ['smtp', await read('smtp.json')],
    ]);
    for (const name of functionsThatCallNodes)
      secrets.set(
        `tls/${name}`,
        JSON.stringify({ ca, cert: await read(`${name}.pem`), key: await read(`${name}.key`) }),
      );
    for (const [name, value] of secrets) await put(client, `${prefix}${name}`, value);
  } finally {
    client.destroy();
  }
}

async function put(client: SecretsManagerClient, name: string, value: string): Promise<void> {
  try {
    await client.send(new CreateSecretCommand({ Name: name, SecretString: value }));
  } catch (error) {
    if (!(error instanceof ResourceExistsException)) throw error;
    await client.send(new PutSecretValueCommand({ SecretId: name, SecretString: value }));
  }
}
