// HTTPS with mutual TLS between the cluster's own processes: the caller's side. Every wait has a bound. Streams bodies with undici.request, never fetch (which keeps a
// file in memory: nodejs/undici#4058).
import type { IncomingHttpHeaders } from 'node:http';
import type { Readable } from 'node:stream';
import { Agent, request } from 'undici';
import { apiVersion, headers as headerNames, problemSchema, type Problem } from '../contracts/node-api.ts';
import { failures, type FailureCode } from '../contracts/failures.ts';
import { Failure } from './failure.ts';

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
  });

  /**
   * @returns a 2xx answer.
   * @throws Failure: the problem's code with `details.leader` and `details.retryAfterMs` when the node said so;
   *   DATABASE_TIMEOUT-like codes keep their meaning; no answer at all is INTERNAL (indefinite), a refused
   *   connection NO_LEADER (definite: nothing was sent).
   */
  async function call(baseUrl: string, what: InternalRequest): Promise<InternalAnswer> {
    const answer = await send(baseUrl, what, AbortSignal.timeout(what.timeoutMs));
    const bytes = await readBounded(answer.body);
    const json: unknown = bytes.length === 0 ? undefined : JSON.parse(bytes.toString('utf8'));
    if (answer.statusCode < 300) {
      const term = answer.headers[headerNames.term];
      return { status: answer.statusCode, term: typeof term === 'string' ? Number(term) : undefined, json };
    }
    throw failureFrom(answer.statusCode, json, `${what.method} ${baseUrl}${what.path}`);
  }

  /** A streamed answer (exports). The caller reads or destroys it. */
  async function download(baseUrl: string, what: InternalRequest): Promise<Readable> {
    const answer = await send(baseUrl, what, AbortSignal.timeout(what.timeoutMs));
    if (answer.statusCode < 300) return answer.body;
    const bytes = await readBounded(answer.body);
    throw failureFrom(
      answer.statusCode,
      JSON.parse(bytes.toString('utf8')),
      `${what.method} ${baseUrl}${what.path}`,
    );
  }

  /** An answer as it came, whatever its status, for whoever passes it on. @throws Failure as `call`, when there is none. */
  async function relay(
    baseUrl: string,
    what: InternalRequest,
  ): Promise<{ status: number; headers: IncomingHttpHeaders; bytes: Buffer }> {
    const answer = await send(baseUrl, what, AbortSignal.timeout(what.timeoutMs));
    return { status: answer.statusCode, headers: answer.headers, bytes: await readBounded(answer.body) };
  }

  async function send(baseUrl: string, what: InternalRequest, signal: AbortSignal) {
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
        signal,
        headersTimeout: what.timeoutMs,
        bodyTimeout: what.timeoutMs,
      });
    } catch (cause) {
      const code = (cause as NodeJS.ErrnoException).code;
      const neverSent = code === 'ECONNREFUSED' || code === 'ENOTFOUND' || code === 'UND_ERR_CONNECT_TIMEOUT';
      throw new Failure(
        neverSent ? 'NO_LEADER' : 'INTERNAL',
        `${what.method} ${baseUrl}${what.path} got no answer`,
        { cause },
      );
    }
  }

  async function close(): Promise<void> {
    if (!agent.closed && !agent.destroyed) await agent.close();
  }

  return { call, relay, download, close };
}
export type InternalClient = ReturnType<typeof createInternalClient>;

async function readBounded(body: Readable): Promise<Buffer> {
  const chunks: Buffer[] = [];
  let length = 0;
  for await (const chunk of body as AsyncIterable<Buffer>) {
    length += chunk.length;
    if (length > answerBytesMax) {
      body.destroy();
      throw new Failure('INTERNAL', `a node's answer is larger than ${answerBytesMax} bytes`);
    }
    chunks.push(chunk);
  }
  return Buffer.concat(chunks, length);
}

function failureFrom(status: number, json: unknown, what: string): Failure {
  const parsed = problemSchema.safeParse(json);
  const problem: Problem | undefined = parsed.success ? parsed.data : undefined;
  const code: FailureCode = problem && problem.code in failures ? (problem.code as FailureCode) : 'INTERNAL';
  return new Failure(code, `${what}: ${problem?.detail ?? problem?.title ?? `HTTP ${status}`}`, {
    details: {
      status,
      leader: problem?.leader ?? undefined,
      retryAfterMs: problem?.retryAfterMs,
      issues: problem?.issues,
    },
  });
}
