// Runs inside a function's own process: imports the handler and serves invocations from the Lambda Runtime API
// (https://docs.aws.amazon.com/lambda/latest/dg/runtimes-api.html), as AWS's runtime nodejs24.x does. It knows
// nothing of Baton and imports only Node's own modules, so that a handler finds here what it finds on AWS.
import { Agent, request, type IncomingHttpHeaders } from 'node:http';
import { join } from 'node:path';
import { pathToFileURL } from 'node:url';
import { format } from 'node:util';

interface ErrorPayload {
  readonly errorType: string;
  readonly errorMessage: string;
  readonly trace: readonly string[];
}
type Handler = (event: unknown, context: object) => unknown;

const variable = (name: string): string => process.env[name] ?? '';
const runtimeApi = `http://${variable('AWS_LAMBDA_RUNTIME_API')}/2018-06-01/runtime`;
const agent = new Agent({ keepAlive: true, maxSockets: 4 });
let currentRequestId: string | undefined;

// The host holds the other end: when it is gone, nobody will ever ask again.
process.stdin.on('end', () => process.exit(1)).resume();
process.stdin.on('error', () => process.exit(1));

printConsoleAsJson();
process.on('uncaughtException', (error) => void reportAndExit(errorPayload(error), 129));
process.on(
  'unhandledRejection',
  (reason) =>
    void reportAndExit({ ...errorPayload(reason), errorType: 'Runtime.UnhandledPromiseRejection' }, 128),
);

const handler = await loadHandler();
for (;;) await serveOne(handler);

async function serveOne(run: Handler): Promise<void> {
  const next = await call('GET', '/invocation/next');
  const requestId = String(next.headers['lambda-runtime-aws-request-id']);
  currentRequestId = requestId;
  const traceId = next.headers['lambda-runtime-trace-id'];
  if (typeof traceId === 'string') process.env['_X_AMZN_TRACE_ID'] = traceId;
  let body: string;
  try {
    const result: unknown = await run(JSON.parse(next.body.toString('utf8')), context(next.headers));
    // A handler that returns nothing answers null.
    body = JSON.stringify(result) ?? 'null';
  } catch (error) {
    console.error('the handler threw:', error);
    await postError(`/invocation/${requestId}/error`, errorPayload(error));
    currentRequestId = undefined;
    return;
  }
  await call('POST', `/invocation/${requestId}/response`, { body });
  currentRequestId = undefined;
}

async function loadHandler(): Promise<Handler> {
  const [file = '', exported = ''] = variable('_HANDLER').split('.');
  const path = join(variable('LAMBDA_TASK_ROOT'), `${file}.mjs`);
  try {
    const loaded = (await import(pathToFileURL(path).href)) as Record<string, unknown>;
    const found = loaded[exported];
    if (typeof found !== 'function')
      return await initFailed({
        errorType: 'Runtime.HandlerNotFound',
        errorMessage: `${variable('_HANDLER')} is undefined or not exported`,
        trace: [],
      });
    // As nodejs24.x: a handler that wants a callback is refused, not waited for.
    if (found.length >= 3)
      return await initFailed({
        errorType: 'Runtime.CallbackHandlerDeprecated',
        errorMessage: 'the handler takes a callback, which nodejs24.x no longer calls: make it async',
        trace: [],
      });
    return found as Handler;
  } catch (error) {
    console.error('the function could not be loaded:', error);
    const payload = errorPayload(error);
    const code = error instanceof Error && 'code' in error ? error.code : undefined;
    if (error instanceof SyntaxError)
      return await initFailed({ ...payload, errorType: 'Runtime.UserCodeSyntaxError' });
    if (code === 'ERR_MODULE_NOT_FOUND' || code === 'MODULE_NOT_FOUND')
      return await initFailed({ ...payload, errorType: 'Runtime.ImportModuleError' });
    return await initFailed(payload);
  }
}

async function initFailed(payload: ErrorPayload): Promise<never> {
  await postError('/init/error', payload);
  process.exit(1);
}

async function reportAndExit(payload: ErrorPayload, exitCode: number): Promise<void> {
  const path = currentRequestId === undefined ? '/init/error' : `/invocation/${currentRequestId}/error`;
  try {
    console.error('uncaught:', payload.errorMessage, payload.trace.join('\n'));
    await postError(path, payload);
  } finally {
    process.exit(exitCode);
  }
}

/** https://docs.aws.amazon.com/lambda/latest/dg/nodejs-context.html */
function context(headers: IncomingHttpHeaders): object {
  const deadlineMs = Number(headers['lambda-runtime-deadline-ms']);
  return {
    callbackWaitsForEmptyEventLoop: true,
    functionVersion: variable('AWS_LAMBDA_FUNCTION_VERSION'),
    functionName: variable('AWS_LAMBDA_FUNCTION_NAME'),
    memoryLimitInMB: variable('AWS_LAMBDA_FUNCTION_MEMORY_SIZE'),
    logGroupName: variable('AWS_LAMBDA_LOG_GROUP_NAME'),
    logStreamName: variable('AWS_LAMBDA_LOG_STREAM_NAME'),
    clientContext: parsedHeader(headers['lambda-runtime-client-context']),
    identity: parsedHeader(headers['lambda-runtime-cognito-identity']),
    invokedFunctionArn: headers['lambda-runtime-invoked-function-arn'],
    awsRequestId: headers['lambda-runtime-aws-request-id'],
    getRemainingTimeInMillis: () => deadlineMs - Date.now(),
  };
}

function parsedHeader(value: string | string[] | undefined): unknown {
  return typeof value === 'string' ? (JSON.parse(value) as unknown) : undefined;
}

function errorPayload(error: unknown): ErrorPayload {
  if (error instanceof Error)
    return {
      errorType: error.name,
      errorMessage: error.message,
      trace: (error.stack ?? '').split('\n'),
    };
  return { errorType: typeof error, errorMessage: String(error), trace: [] };
}

async function postError(path: string, payload: ErrorPayload): Promise<void> {
  await call('POST', path, {
    body: JSON.stringify(payload),
    headers: { 'lambda-runtime-function-error-type': payload.errorType },
  });
}

/** The wait for an invocation has no bound of its own: the host ends an idle process. */
function call(
  method: 'GET' | 'POST',
  path: string,
  { body, headers = {} }: { body?: string; headers?: Record<string, string> } = {},
): Promise<{ headers: IncomingHttpHeaders; body: Buffer }> {
  return new Promise((resolve, reject) => {
    const bytes = body === undefined ? undefined : Buffer.from(body);
    const sent = request(
      `${runtimeApi}${path}`,
      {
        method,
        agent,
        headers: bytes
          ? { ...headers, 'content-type': 'application/json', 'content-length': bytes.length }
          : headers,
      },
      (answer) => {
        const chunks: Buffer[] = [];
        answer.on('data', (chunk: Buffer) => chunks.push(chunk));
        answer.on('error', reject);
        answer.on('end', () => {
          const status = answer.statusCode ?? 0;
          // 413: the host has already told the caller that the answer was too large.
          if (status < 300 || status === 413)
            resolve({ headers: answer.headers, body: Buffer.concat(chunks) });
          else reject(new Error(`the Runtime API answered ${status} to ${method} ${path}`));
        });
      },
    );
    sent.on('error', reject);
    sent.end(bytes);
  });
}

/** Lambda's JSON log format; https://docs.aws.amazon.com/lambda/latest/dg/nodejs-logging.html */
function printConsoleAsJson(): void {
  const levels = { debug: 'DEBUG', log: 'INFO', info: 'INFO', warn: 'WARN', error: 'ERROR' } as const;
  for (const [method, level] of Object.entries(levels))
    console[method as keyof typeof levels] = (...values: unknown[]) => {
      process.stdout.write(
        `${JSON.stringify({ timestamp: new Date().toISOString(), level, requestId: currentRequestId, message: format(...values) })}\n`,
      );
    };
}
