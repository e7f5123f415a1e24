// One request to the public API of one node, with a token: how everything here that starts, watches or repairs a system
// asks. Tries once, and looks for no leader: the caller knows whom to ask, and how long to go on.
import { request } from 'undici';
import { failures, type FailureCode } from '../../contracts/failures.ts';
import { problemSchema } from '../../contracts/node-api.ts';
import { Failure } from '../../runtime/failure.ts';
import { parseJson } from '../../runtime/parse-json.ts';

export interface NodeCall {
  readonly method: 'GET' | 'PUT' | 'POST' | 'DELETE';
  readonly path: string;
  readonly json?: unknown;
}

/**
 * @returns the answer's JSON; undefined when there is none.
 * @throws Failure with the node's code and reason when it refuses; Error when it does not answer, or not as a node does.
 */
export async function askNode(
  url: string,
  { method, path, json }: NodeCall,
  { token, withinMs }: { token: string; withinMs: number },
): Promise<unknown> {
  const { statusCode, body } = await request(url + path, {
    method,
    headers: {
      authorization: `Bearer ${token}`,
      ...(json === undefined ? {} : { 'content-type': 'application/json' }),
    },
    body: json === undefined ? null : JSON.stringify(json),
    signal: AbortSignal.timeout(withinMs),
  }).catch((cause: unknown) => {
    throw new Error(`nobody answers at ${url}`, { cause });
  });
  const text = await body.text();
  const answer = parseJson(text);
  const isSuccess = statusCode < 300;
  if (isSuccess && (answer !== undefined || text === '')) return answer;
  const problem = problemSchema.safeParse(answer);
  // Not a node: a load balancer that has none behind it answers a page.
  if (isSuccess || !problem.success) throw new Error(`${url} answers ${statusCode}, and not as a node does`);
  const { code, detail, title } = problem.data;
  throw new Failure(code in failures ? (code as FailureCode) : 'INTERNAL', detail ?? title);
}
