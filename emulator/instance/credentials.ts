// Passwords, tokens and keys of a laptop: made once, each in a file of mode 0600 that the processes read by URI.
// Never printed, never in an environment variable.
import { randomBytes } from 'node:crypto';
import { readFile, rename, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { pathToFileURL } from 'node:url';

export interface SecretFile {
  readonly file: string;
  readonly uri: string;
}
export interface LocalCredentials {
  /** Text: the password alone. */
  readonly database: SecretFile & { readonly password: string };
  /** JSON { username, password } */
  readonly broker: SecretFile & { readonly username: string; readonly password: string };
  readonly ftp: SecretFile;
  readonly smtp: SecretFile;
  /** JSON { current: { id, key } }: what seals the votes. */
  readonly clusterKeys: SecretFile;
  /** JSON { reader, editor, operator } */
  readonly tokens: SecretFile & { readonly editor: string; readonly operator: string };
  /** Text: what the inbox's page wants for a change. */
  readonly inboxToken: SecretFile;
  readonly controlToken: string;
  /** Text: lets the nodes pass on what their page wants broken, and nothing else. */
  readonly faultsToken: SecretFile & { readonly token: string };
}

export async function openCredentials(folder: string): Promise<LocalCredentials> {
  const keep = async (name: string, make: () => string): Promise<SecretFile & { text: string }> => {
    const file = join(folder, name);
    const text = (await readText(file)) ?? (await writeText(file, make()));
    return { file, uri: pathToFileURL(file).href, text };
  };
  const login = (username: string) => () => JSON.stringify({ username, password: random() });
  const database = await keep('database-password', random);
  const broker = await keep('broker.json', login('baton'));
  const tokens = await keep('tokens.json', () =>
    JSON.stringify({ reader: random(), editor: random(), operator: random() }),
  );
  const faultsToken = await keep('faults-token', random);
  const { username, password } = JSON.parse(broker.text) as { username: string; password: string };
  const { editor, operator } = JSON.parse(tokens.text) as { editor: string; operator: string };
  return {
    database: { ...database, password: database.text },
    broker: { ...broker, username, password },
    ftp: await keep('ftp.json', login('partner')),
    smtp: await keep('smtp.json', login('baton')),
    clusterKeys: await keep('cluster-keys.json', () =>
      JSON.stringify({ current: { id: 1, key: randomBytes(32).toString('base64') } }),
    ),
    tokens: { ...tokens, editor, operator },
    inboxToken: await keep('inbox-token', random),
    controlToken: random(),
    faultsToken: { ...faultsToken, token: faultsToken.text },
  };
}

function random(): string {
  return randomBytes(24).toString('base64url');
}
async function readText(file: string): Promise<string | undefined> {
  try {
    return await readFile(file, 'utf8');
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code === 'ENOENT') return undefined;
    throw new Error(`the secret ${file} cannot be read`, { cause: error });
  }
}
async function writeText(file: string, text: string): Promise<string> {
  await writeFile(`${file}.part`, text, { mode: 0o600 });
  await rename(`${file}.part`, file);
  return text;
}
