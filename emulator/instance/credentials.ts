// Passwords, tokens and keys of a laptop: made once, each in a file of mode 0600 that the processes read by URI.
// Never printed, never in an environment variable.
import { randomBytes } from 'node:crypto';
import { readFile } from 'node:fs/promises';
import { join } from 'node:path';
import { pathToFileURL } from 'node:url';
import { z } from 'zod';
import { writeWhole } from '../../runtime/write-file.ts';
import { clusterKeysSchema, credentialsSchema, tokensSchema } from '../../contracts/secrets.ts';
import { parseJson } from '../../runtime/parse-json.ts';

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

/** @throws Error naming the file that cannot be read, or does not hold what it should, and what to do. */
export async function openCredentials(folder: string): Promise<LocalCredentials> {
  const keep = async <T>(
    name: string,
    { schema, read, make }: { schema: z.ZodType<T>; read: (text: string) => unknown; make: () => string },
  ): Promise<SecretFile & { value: T }> => {
    const file = join(folder, name);
    const { success, data } = schema.safeParse(
      read((await readText(file)) ?? (await writeText(file, make()))),
    );
    if (success) return { file, uri: pathToFileURL(file).href, value: data };
    throw new Error(`the secret ${file} is damaged: delete it, and the next start makes a new one`);
  };
  const keepText = (name: string) =>
    keep(name, { schema: z.string().regex(/\S/), read: (text) => text, make: random });
  const keepJson = <T extends object>(name: string, schema: z.ZodType<T>, make: () => T) =>
    keep(name, { schema, read: parseJson, make: () => JSON.stringify(make()) });
  const keepLogin = (name: string, username: string) =>
    keepJson(name, credentialsSchema, () => ({ username, password: random() }));
  const database = await keepText('database-password');
  const broker = await keepLogin('broker.json', 'baton');
  const tokens = await keepJson('tokens.json', tokensSchema, () => ({
    reader: random(),
    editor: random(),
    operator: random(),
  }));
  const faultsToken = await keepText('faults-token');
  return {
    database: { ...database, password: database.value },
    broker: { ...broker, ...broker.value },
    ftp: await keepLogin('ftp.json', 'partner'),
    smtp: await keepLogin('smtp.json', 'baton'),
    clusterKeys: await keepJson('cluster-keys.json', clusterKeysSchema, () => ({
      current: { id: 1, key: randomBytes(32).toString('base64') },
    })),
    tokens: { ...tokens, ...tokens.value },
    inboxToken: await keepText('inbox-token'),
    controlToken: random(),
    faultsToken: { ...faultsToken, token: faultsToken.value },
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
  await writeWhole(file, text, { mode: 0o600, flush: true });
  return text;
}
