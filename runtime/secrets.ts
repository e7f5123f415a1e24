// Secrets by URI (`file:/path`, `secretsmanager:name-or-arn#field`), read when used and again after 60 s, so that a
// rotated one is taken up without a restart, and kept for an hour while they cannot be read. Never logs a secret and never
// quotes one in an error.
import { readFile } from 'node:fs/promises';
import { fileURLToPath } from 'node:url';
import { GetSecretValueCommand, SecretsManagerClient } from '@aws-sdk/client-secrets-manager';
import * as z from 'zod';
import { parseJson } from './parse-json.ts';

const refreshAfterMs = 60_000; // The bound on how long a rotated secret's predecessor is still used.
const answerWithinMs = 3_000;
/** While a secret cannot be read again, its last value is the likeliest: it is used for this long, and asked for this often. */
const usedWithoutAnswerMs = 60 * 60_000;
const askAgainMs = 5_000;

export interface Secrets {
  text(uri: string): Promise<string>;
  json<T>(uri: string, schema: z.ZodType<T>): Promise<T>;
}

/** The whole text of a secret of Secrets Manager. */
export type FetchSecret = (secretId: string) => Promise<string>;

export function createSecrets(
  now: () => number = () => performance.now(),
  fetchSecret: FetchSecret = fromSecretsManager(),
): Secrets {
  const asked = new Map<string, Promise<string>>();
  const known = new Map<string, { value: string; readAt: number; askFrom: number }>();

  async function read(place: Place): Promise<string> {
    const key = `${place.kind}:${place.id}`;
    const last = known.get(key);
    if (last && now() < last.askFrom) return last.value;
    try {
      const value = await ask(key, place);
      known.set(key, { value, readAt: now(), askFrom: now() + refreshAfterMs });
      return value;
    } catch (error) {
      if (!last || now() - last.readAt >= usedWithoutAnswerMs) throw error;
      known.set(key, { ...last, askFrom: now() + askAgainMs });
      return last.value;
    }
  }

  /** Those who ask at once share one request. */
  async function ask(key: string, place: Place): Promise<string> {
    const underWay = asked.get(key);
    if (underWay) return await underWay;
    const answer = place.kind === 'file' ? readFile(place.id, 'utf8') : fetchSecret(place.id);
    asked.set(key, answer);
    try {
      return await answer;
    } finally {
      asked.delete(key);
    }
  }

  async function text(uri: string): Promise<string> {
    const place = parseUri(uri);
    let value: string;
    try {
      value = await read(place);
    } catch (cause) {
      throw new Error(`secret ${uri} cannot be read`, { cause });
    }
    if (place.field === undefined) return value;
    // One read serves all fields: a certificate and its key come from the same version.
    const field = z.record(z.string(), z.unknown()).safeParse(parseJson(value)).data?.[place.field];
    if (typeof field !== 'string') throw new Error(`secret ${uri} has no text field of that name`);
    return field;
  }

  return {
    text,
    async json(uri, schema) {
      const parsed = schema.safeParse(parseJson(await text(uri)));
      // The reason names fields only: a secret's content is never part of a message.
      if (!parsed.success)
        throw new Error(
          `secret ${uri} has the wrong shape: ${parsed.error.issues.map((issue) => issue.path.join('.') || '(whole)').join(', ')}`,
        );
      return parsed.data;
    },
  };
}

interface Place {
  readonly kind: 'file' | 'secretsmanager';
  /** A path, or the name or ARN of a secret. */
  readonly id: string;
  readonly field?: string;
}

function parseUri(uri: string): Place {
  if (uri.startsWith('file:')) return { kind: 'file', id: fileURLToPath(uri) };
  const { id, field } = /^secretsmanager:(?<id>[^#]+)(?:#(?<field>.+))?$/.exec(uri)?.groups ?? {};
  if (id === undefined) throw new Error(`${uri} is neither a file: nor a secretsmanager: URI`);
  return { kind: 'secretsmanager', id, ...(field === undefined ? {} : { field }) };
}

/** Region, credentials and endpoint come from the environment, which the SDK reads by itself. */
function fromSecretsManager(): FetchSecret {
  let client: SecretsManagerClient | undefined;
  return async (secretId) => {
    client ??= new SecretsManagerClient({ maxAttempts: 3 });
    const { SecretString } = await client.send(new GetSecretValueCommand({ SecretId: secretId }), {
      abortSignal: AbortSignal.timeout(answerWithinMs),
    });
    if (SecretString === undefined) throw new Error('it is binary, a text was expected');
    return SecretString;
  };
}
