// Secrets by URI, read when used and again after 60 s, so that a rotated one is taken up without a restart.
// `file:` only: the AWS stacks add their own scheme when they exist.
import { readFile } from 'node:fs/promises';
import { fileURLToPath } from 'node:url';
import { z } from 'zod';

const refreshAfterMs = 60_000; // The bound on how long a rotated secret's predecessor is still used.

export interface Secrets {
  text(uri: string): Promise<string>;
  json<T>(uri: string, schema: z.ZodType<T>): Promise<T>;
}

export const credentialsSchema = z.object({ username: z.string().min(1), password: z.string().min(1) });
export type Credentials = z.infer<typeof credentialsSchema>;

export function createSecrets(now: () => number = () => performance.now()): Secrets {
  const cache = new Map<string, { value: string; readAt: number }>();
  async function text(uri: string): Promise<string> {
    const cached = cache.get(uri);
    if (cached && now() - cached.readAt < refreshAfterMs) return cached.value;
    let value: string;
    try {
      value = await readFile(fileURLToPath(uri), 'utf8');
    } catch (cause) {
      throw new Error(`secret ${uri} cannot be read`, { cause });
    }
    cache.set(uri, { value, readAt: now() });
    return value;
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

function parseJson(value: string): unknown {
  try {
    return JSON.parse(value);
  } catch {
    return undefined; // Reported as a wrong shape, without quoting the secret.
  }
}
