// The Invoke API, so that anything that calls Lambda calls this host: `aws lambda invoke --endpoint-url ...`, SDKs,
// the event sources. Signatures are not checked: it listens on loopback only.
// Source: https://docs.aws.amazon.com/lambda/latest/api/API_Invoke.html and API_ListFunctions.html
import { randomBytes, randomUUID } from 'node:crypto';
import type { IncomingMessage, ServerResponse } from 'node:http';
import { bundleHandler } from '../../functions/bundle.ts';
import { pause } from '../../runtime/waiting.ts';
import { answerJson, isLocalRequest, readBody } from '../local-http.ts';
import type { Invocation } from './execution-environment.ts';
import type { EventInvocations } from './event-invocations.ts';
import type { FunctionPool } from './function-pool.ts';
import { eventBytesMax, requestBytesMax } from './limits.ts';

const base = '/2015-03-31/functions';
const clientContextBytesMax = 3_583;
/** What the process printed comes through a pipe of its own, a moment after the answer. */
const tailWaitMs = 15;

export function createInvokeApi({
  pools,
  events,
  containerName,
}: {
  pools: ReadonlyMap<string, FunctionPool>;
  events: EventInvocations;
  containerName?: string | undefined;
}) {
  return async function serve(request: IncomingMessage, response: ServerResponse): Promise<void> {
    const requestId = randomUUID();
    response.setHeader('x-amzn-requestid', requestId);
    if (!isLocalRequest(request, containerName))
      return fail(
        response,
        403,
        'AccessDeniedException',
        'the Host or Origin of this request is not this machine',
      );
    const url = new URL(request.url ?? '/', 'http://localhost');
    const [name, action, ...rest] = url.pathname.startsWith(`${base}/`)
      ? url.pathname.slice(base.length + 1).split('/')
      : [];
    if (request.method === 'GET' && (url.pathname === base || (name === '' && action === undefined)))
      return answerJson(response, 200, { Functions: [...pools.values()].map(describe), NextMarker: null });
    if (request.method !== 'POST' || action !== 'invocations' || rest.length > 0 || name === undefined)
      return fail(
        response,
        404,
        'UnknownOperationException',
        `this host serves GET ${base} and POST ${base}/<name>/invocations`,
      );
    const wanted = functionName(name, url.searchParams.get('Qualifier'));
    const pool = wanted === undefined ? undefined : pools.get(wanted);
    if (!pool)
      return fail(
        response,
        404,
        'ResourceNotFoundException',
        `Function not found: ${name}; this host has ${[...pools.keys()].join(', ') || 'none'}`,
      );
    await invoke(request, response, { pool, requestId });
  };

  async function invoke(
    request: IncomingMessage,
    response: ServerResponse,
    { pool, requestId }: { pool: FunctionPool; requestId: string },
  ): Promise<void> {
    const type = request.headers['x-amz-invocation-type'] ?? 'RequestResponse';
    const bytesMax = type === 'Event' ? eventBytesMax : requestBytesMax;
    const body = await readBody(request, bytesMax);
    if (!Buffer.isBuffer(body))
      return fail(
        response,
        413,
        'RequestTooLargeException',
        `Request must be smaller than ${bytesMax} bytes for the InvokeFunction operation`,
      );
    const problem = jsonProblem(body);
    if (problem !== undefined)
      return fail(
        response,
        400,
        'InvalidRequestContentException',
        `Could not parse request body into json: ${problem}`,
      );
    const clientContext = readClientContext(request.headers['x-amz-client-context']);
    if (clientContext === false)
      return fail(
        response,
        400,
        'InvalidRequestContentException',
        'X-Amz-Client-Context is not JSON in base64',
      );
    const invocation: Invocation = {
      requestId,
      payload: body.length === 0 ? Buffer.from('{}') : body,
      clientContext,
      traceId: traceId(request.headers['x-amzn-trace-id']),
    };
    switch (type) {
      case 'DryRun':
        response.writeHead(204).end();
        return;
      case 'Event':
        if (!events.accept(pool, invocation)) return throttled(response);
        response.writeHead(202, { 'content-length': 0 }).end();
        return;
      case 'RequestResponse':
        return await answer(response, {
          pool,
          invocation,
          tail: request.headers['x-amz-log-type'] === 'Tail',
        });
      default:
        return fail(
          response,
          400,
          'InvalidParameterValueException',
          `X-Amz-Invocation-Type is RequestResponse, Event or DryRun, not ${String(type)}`,
        );
    }
  }
}

async function answer(
  response: ServerResponse,
  { pool, invocation, tail }: { pool: FunctionPool; invocation: Invocation; tail: boolean },
): Promise<void> {
  const outcome = await pool.invoke(invocation);
  if (outcome.kind === 'throttled') return throttled(response);
  const headers: Record<string, string | number> = {
    'content-type': 'application/json',
    'content-length': outcome.payload.length,
    'x-amz-executed-version': '$LATEST',
  };
  if (outcome.kind === 'failed') headers['x-amz-function-error'] = 'Unhandled';
  if (tail) {
    await pause(tailWaitMs);
    headers['x-amz-log-result'] = outcome.logTail().toString('base64');
  }
  response.writeHead(200, headers);
  response.end(outcome.payload);
}

function throttled(response: ServerResponse): void {
  answerJson(
    response,
    429,
    { Type: 'User', Reason: 'ConcurrentInvocationLimitExceeded', message: 'Rate Exceeded.' },
    { 'x-amzn-errortype': 'TooManyRequestsException', 'retry-after': '1' },
  );
}

function fail(response: ServerResponse, status: number, errorType: string, message: string): void {
  answerJson(
    response,
    status,
    { Type: 'User', Message: message, message },
    { 'x-amzn-errortype': errorType },
  );
}

/** The function's name in a name, a partial or a whole ARN, whose version may be `$LATEST`; undefined for what cannot exist here. */
function functionName(encoded: string, qualifier: string | null): string | undefined {
  let text: string;
  try {
    text = decodeURIComponent(encoded);
  } catch {
    return undefined; // Malformed percent signs name nothing.
  }
  const match = /^(?:arn:[^:]+:lambda:[^:]*:\d*:function:|\d+:function:)?([A-Za-z0-9_-]+)(?::(.+))?$/.exec(
    text,
  );
  const version = match?.[2] ?? qualifier ?? '$LATEST';
  return version === '$LATEST' ? match?.[1] : undefined;
}

function jsonProblem(body: Buffer): string | undefined {
  if (body.length === 0) return undefined;
  try {
    JSON.parse(body.toString('utf8'));
    return undefined;
  } catch (error) {
    return (error as Error).message;
  }
}

/** Undefined when there is none, false when it is not what it should be. */
function readClientContext(header: string | string[] | undefined): string | undefined | false {
  if (typeof header !== 'string') return undefined;
  const bytes = Buffer.from(header, 'base64');
  if (bytes.length > clientContextBytesMax || bytes.length === 0 || jsonProblem(bytes) !== undefined)
    return false;
  // A header carries it on, so it must be in Latin letters: JSON can say everything else by escapes.
  return JSON.stringify(JSON.parse(bytes.toString('utf8'))).replace(
    /[^\u0020-\u007e]/g,
    (character) => `\\u${character.charCodeAt(0).toString(16).padStart(4, '0')}`,
  );
}

function traceId(header: string | string[] | undefined): string {
  if (typeof header === 'string' && /^[\u0020-\u007e]{1,256}$/.test(header)) return header;
  const seconds = Math.floor(Date.now() / 1000).toString(16);
  return `Root=1-${seconds}-${randomBytes(12).toString('hex')};Sampled=0`;
}

function describe({ code }: FunctionPool): object {
  return {
    FunctionName: code.name,
    FunctionArn: code.arn,
    Runtime: 'nodejs24.x',
    Handler: bundleHandler,
    Timeout: code.settings.timeoutS,
    MemorySize: code.settings.memoryMb,
    PackageType: 'Zip',
    Version: '$LATEST',
    State: 'Active',
    Environment: {
      Variables: Object.fromEntries(Object.keys(code.environment).map((key) => [key, '(not shown)'])),
    },
  };
}
