// Every error answer of a node: application/problem+json (RFC 9457) with a code of contracts/failures.ts.
// The stranger outside gets code and reason; the cause goes to the log alone.
import { STATUS_CODES } from 'node:http';
import type {
  FastifyError,
  FastifyInstance,
  FastifyReply,
  FastifyRequest,
  FastifyServerOptions,
} from 'fastify';
import { problem, problemMediaType } from '../../contracts/failures.ts';
import type { LeaderHint, Problem } from '../../contracts/node-api.ts';
import { describeError, Failure } from '../../runtime/failure.ts';
import { describeIssues } from '../../runtime/issues.ts';
import type { Logger } from '../../runtime/logger.ts';

const contentType = `${problemMediaType}; charset=utf-8`;

interface ValidationIssue {
  instancePath?: string;
  message?: string;
}

/** The Failure behind whatever was thrown: fastify's own errors get the code that says the same. */
function failureOf(error: unknown): Failure {
  if (error instanceof Failure) return error;
  const { statusCode, validation, code, message } = error as Partial<FastifyError>;
  if (validation) {
    const issues = (validation as ValidationIssue[]).map((issue) => ({
      path: (issue.instancePath ?? '').replace(/^\//, '').replaceAll('/', '.'),
      message: issue.message ?? 'wrong',
    }));
    return new Failure('REQUEST_MALFORMED', describeIssues(issues), { details: { issues } });
  }
  if (statusCode === 413) return new Failure('BODY_TOO_LARGE', message ?? 'the body is too large');
  if (statusCode === 429)
    return new Failure('BUSY', message ?? 'too many requests', { details: { retryAfterMs: 1_000 } });
  if (statusCode !== undefined && statusCode >= 400 && statusCode < 500)
    return new Failure('REQUEST_MALFORMED', message ?? code ?? 'the request cannot be read');
  return new Failure('INTERNAL', 'an unexpected error', { cause: error });
}

export function problemOf(failure: Failure): Problem {
  const { leader, retryAfterMs, issues } = failure.details;
  return problem(failure.code, {
    ...(failure.code === 'INTERNAL' ? {} : { detail: failure.message }),
    ...(leader === undefined ? {} : { leader: leader as LeaderHint }),
    ...(typeof retryAfterMs === 'number' ? { retryAfterMs } : {}),
    ...(issues === undefined ? {} : { issues: issues as NonNullable<Problem['issues']> }),
  });
}

function sendProblem(reply: FastifyReply, failure: Failure): FastifyReply {
  const body = problemOf(failure);
  if (body.status === 503 || body.status === 429) {
    body.retryAfterMs ??= 1_000;
    reply.header('retry-after', String(Math.max(1, Math.ceil(body.retryAfterMs / 1_000))));
  }
  if (body.status === 401) reply.header('www-authenticate', 'Bearer');
  return reply
    .code(body.status)
    .header('content-type', contentType)
    .serializer((payload: unknown) => JSON.stringify(payload))
    .send(body);
}

/** For requests that reach no error handler: those without a route that can be looked up, and those that are no HTTP. */
export const problemsOfFramework = {
  frameworkErrors: (error, _request, reply) => void sendProblem(reply, failureOf(error)),
  clientErrorHandler(error, socket) {
    if (error.code === 'ECONNRESET' || !socket.writable) return void socket.destroy(error);
    const body = problem('REQUEST_MALFORMED', { detail: `the request cannot be read: ${error.message}` });
    const text = JSON.stringify(body);
    socket.end(
      [
        `HTTP/1.1 ${body.status} ${STATUS_CODES[body.status]}`,
        `content-type: ${contentType}`,
        `content-length: ${Buffer.byteLength(text)}`,
        'connection: close',
        '',
        text,
      ].join('\r\n'),
      () => socket.destroy(),
    );
  },
} as const satisfies Pick<FastifyServerOptions, 'frameworkErrors' | 'clientErrorHandler'>;

export function useProblems(app: FastifyInstance, logger: Logger): void {
  app.setErrorHandler((error: unknown, request: FastifyRequest, reply: FastifyReply) => {
    const failure = failureOf(error);
    if (failure.code === 'INTERNAL')
      logger.error(`${request.method} ${request.routeOptions.url ?? '?'}: ${describeError(error)}`);
    return sendProblem(reply, failure);
  });
  app.setNotFoundHandler((request, reply) =>
    sendProblem(
      reply,
      new Failure('NOT_FOUND', `${request.method} ${request.url.split('?')[0]} is no route`),
    ),
  );
}
