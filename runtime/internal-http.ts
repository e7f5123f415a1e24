// HTTPS with mutual TLS between the cluster's own processes: the caller's side. Every wait has a bound. Streams bodies with
// undici.request, never fetch (which keeps a file in memory: nodejs/undici#4058).
import type { IncomingHttpHeaders } from 'node:http';
import type { Readable } from 'node:stream';
import { Agent, request } from 'undici';
import { apiVersion, headers as headerNames, problemSchema, type Problem } from '../contracts/node-api.ts';
import { failures, type FailureCode } from '../contracts/failures.ts';
import { Failure } from './failure.ts';
import { readBounded } from './read-bounded.ts';

export interface TlsMaterial {
  /** PEM */
  readonly ca: string;
  readonly cert: string;
  readonly key: string;
}

export interface InternalRequest {
  readonly method: 'GET' | 'POST' | 'PUT' | 'DELETE';
  readonly path: string;
  readonly json?: unknown;
  /** A streamed body: called anew for each try, since a stream can be sent once. */
  readonly body?: () => { stream: Readable; contentType: string; contentLength: number };
  readonly timeoutMs: number;
  readonly traceparent?: string;
  readonly idempotencyKey?: string;
  /** Beside those that the fields above make. */
  readonly headers?: Readonly<Record<string, string>>;
}

export interface InternalAnswer {
  readonly status: number;
  readonly term: number | undefined;
  /** Parsed JSON, undefined for 204. */
  readonly json: unknown;
}

const answerBytesMax = 8 * 1024 * 1024;

/** One keep-alive pool per process. `close()` ends it once what is under way has its answer; it may be called again. */
export function createInternalClient(tls: TlsMaterial) {
  const agent = new Agent({
    connect: { ca: tls.ca, cert: tls.cert, key: tls.key, timeout: 2_000, minVersion: 'TLSv1.3' },
    keepAliveTimeout: 10_000,
    connections: 16,
    pipelining: 1,
    // A request's own signal bounds it as a whole.
    headersTimeout: 0,
    bodyTimeout: 0,
  });

  /**
   * @returns a 2xx answer.
   * @throws Failure: the problem's code with `details.leader` and `details.retryAfterMs` when the node said so;
   *   DATABASE_TIMEOUT-like codes keep their meaning; no answer at all is INTERNAL (indefinite), a refused
   *   connection NO_LEADER (definite: nothing was sent).
   */
  async function call(baseUrl: string, what: InternalRequest): Promise<InternalAnswer> {
    const answer = await send(baseUrl, what);
    const bytes = await readWhole(answer.body);
    const json: unknown = bytes.length === 0 ? undefined : JSON.parse(bytes.toString('utf8'));
    if (answer.statusCode < 300) {
      const term = answer.headers[headerNames.term];
      return { status: answer.statusCode, term: typeof term === 'string' ? Number(term) : undefined, json };
    }
    throw failureFrom(answer.statusCode, json, wordsFor(baseUrl, what));
  }

  /** A streamed answer (exports). The caller reads or destroys it. */
  async function download(baseUrl: string, what: InternalRequest): Promise<Readable> {
    const answer = await send(baseUrl, what);
    if (answer.statusCode < 300) return answer.body;
    const json: unknown = JSON.parse((await readWhole(answer.body)).toString('utf8'));
    throw failureFrom(answer.statusCode, json, wordsFor(baseUrl, what));
  }

  /** An answer as it came, whatever its status, for whoever passes it on. @throws Failure as `call`, when there is none. */
  async function relay(
    baseUrl: string,
    what: InternalRequest,
  ): Promise<{ status: number; headers: IncomingHttpHeaders; bytes: Buffer }> {
    const answer = await send(baseUrl, what);
    return { status: answer.statusCode, headers: answer.headers, bytes: await readWhole(answer.body) };
  }

  async function send(baseUrl: string, what: InternalRequest) {
    const streamed = what.body?.();
    const headers: Record<string, string> = {
      ...what.headers,
      [headerNames.apiVersion]: String(apiVersion),
    };
    if (what.traceparent !== undefined) headers[headerNames.traceparent] = what.traceparent;
    if (what.idempotencyKey !== undefined) headers[headerNames.idempotencyKey] = what.idempotencyKey;
    if (streamed) {
      headers['content-type'] = streamed.contentType;
      headers['content-length'] = String(streamed.contentLength);
    } else if (what.json !== undefined) headers['content-type'] = 'application/json';
    try {
      return await request(new URL(what.path, baseUrl), {
        dispatcher: agent,
        method: what.method,
        headers,
        body: streamed?.stream ?? (what.json === undefined ? null : JSON.stringify(what.json)),
        signal: AbortSignal.timeout(what.timeoutMs),
      });
    } catch (cause) {
      const code = (cause as NodeJS.ErrnoException).code;
      const neverSent = code === 'ECONNREFUSED' || code === 'ENOTFOUND' || code === 'UND_ERR_CONNECT_TIMEOUT';
      throw new Failure(neverSent ? 'NO_LEADER' : 'INTERNAL', `${wordsFor(baseUrl, what)} got no answer`, {
        cause,
      });
    }
  }

  async function close(): Promise<void> {
    if (!agent.closed && !agent.destroyed) await agent.close();
  }

  return { call, relay, download, close };
}
export type InternalClient = ReturnType<typeof createInternalClient>;

function readWhole(body: Readable): Promise<Buffer> {
  return readBounded(body, { bytesMax: answerBytesMax, what: "a node's answer" });
}
function wordsFor(baseUrl: string, { method, path }: InternalRequest): string {
  return `${method} ${baseUrl}${path}`;
}

function failureFrom(status: number, json: unknown, asked: string): Failure {
  const parsed = problemSchema.safeParse(json);
  const problem: Problem | undefined = parsed.success ? parsed.data : undefined;
  const code: FailureCode = problem && problem.code in failures ? (problem.code as FailureCode) : 'INTERNAL';
  return new Failure(code, `${asked}: ${problem?.detail ?? problem?.title ?? `HTTP ${status}`}`, {
    details: {
      status,
      leader: problem?.leader ?? undefined,
      retryAfterMs: problem?.retryAfterMs,
      issues: problem?.issues,
    },
  });
}
