// A request to whichever node leads, over the public API. Tries once: whoever calls knows how long to go on.
import { request } from 'undici';

const answerWithinMs = 3_000;

export interface LeaderCall {
  readonly method: 'GET' | 'PUT' | 'POST' | 'DELETE';
  readonly path: string;
  readonly json?: unknown;
}

/** @returns the answer's JSON. @throws Error when nobody leads, or the leader refuses. */
export async function callLeader(
  nodes: readonly { readonly publicUrl: string }[],
  { token, method, path, json }: LeaderCall & { token: string },
): Promise<unknown> {
  const leader = await Promise.any(
    nodes.map(async ({ publicUrl }) => {
      const { statusCode, body } = await request(`${publicUrl}/leader`, {
        signal: AbortSignal.timeout(answerWithinMs),
      });
      await body.dump();
      if (statusCode !== 200) throw new Error(`${publicUrl} does not lead`);
      return publicUrl;
    }),
  ).catch((cause: unknown) => {
    throw new Error('nobody leads', { cause });
  });
  const { statusCode, body } = await request(`${leader}${path}`, {
    method,
    headers: {
      authorization: `Bearer ${token}`,
      ...(json === undefined ? {} : { 'content-type': 'application/json' }),
    },
    body: json === undefined ? null : JSON.stringify(json),
    signal: AbortSignal.timeout(answerWithinMs),
  });
  const text = await body.text();
  if (statusCode >= 300) throw new Error(`${method} ${path}: ${statusCode} ${text.slice(0, 500)}`);
  return text === '' ? undefined : JSON.parse(text);
}
