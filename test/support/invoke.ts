// Calls a Lambda handler as Lambda would: the event and the answer pass through JSON, the context is the one of the
// Node.js runtime, and a handler that takes too long is given up. Never starts a process: emulator/lambda does that.
import { randomBytes, randomUUID } from 'node:crypto';
import { setTimeout as sleep } from 'node:timers/promises';
import { functions, type FunctionName } from '../../contracts/topology.ts';

/** https://docs.aws.amazon.com/lambda/latest/dg/nodejs-context.html */
export interface LambdaContext {
  readonly callbackWaitsForEmptyEventLoop: boolean;
  readonly functionName: string;
  readonly functionVersion: string;
  readonly invokedFunctionArn: string;
  /** Text, as AWS hands it over. */
  readonly memoryLimitInMB: string;
  readonly awsRequestId: string;
  readonly logGroupName: string;
  readonly logStreamName: string;
  getRemainingTimeInMillis(): number;
}
export type LambdaHandler = (event: unknown, context: LambdaContext) => unknown;

export interface InvokeOptions {
  /** Gives name, memory and timeout. */
  readonly function?: FunctionName;
  /** Instead of the function's own. */
  readonly timeoutMs?: number;
  readonly requestId?: string;
}

/** @throws what the handler throws, and Error `Task timed out after ... seconds` for one that does not answer. */
export async function invoke(
  handler: LambdaHandler,
  event: unknown,
  { function: name = 'deliver', timeoutMs, requestId = randomUUID() }: InvokeOptions = {},
): Promise<unknown> {
  const { memoryMb, timeoutS } = functions[name];
  const budgetMs = timeoutMs ?? timeoutS * 1_000;
  const endsAt = Date.now() + budgetMs;
  const context: LambdaContext = {
    callbackWaitsForEmptyEventLoop: true,
    functionName: name,
    functionVersion: '$LATEST',
    invokedFunctionArn: `arn:aws:lambda:eu-central-1:000000000000:function:${name}`,
    memoryLimitInMB: String(memoryMb),
    awsRequestId: requestId,
    logGroupName: `/aws/lambda/${name}`,
    logStreamName: `${new Date().toISOString().slice(0, 10).replaceAll('-', '/')}/[$LATEST]${randomBytes(16).toString('hex')}`,
    getRemainingTimeInMillis: () => endsAt - Date.now(),
  };
  const ended = new AbortController();
  try {
    const answer = await Promise.race([
      handler(throughJson(event), context),
      sleep(budgetMs, undefined, { signal: ended.signal }).then(() => {
        throw new Error(`${requestId} Task timed out after ${(budgetMs / 1_000).toFixed(2)} seconds`);
      }),
    ]);
    return throughJson(answer);
  } finally {
    ended.abort();
  }
}

/** The handler of a function with the variables it reads when it is loaded; loaded once in a test file, like a warm start. */
export async function loadHandler(
  name: FunctionName,
  variables: Readonly<Record<string, string>>,
): Promise<LambdaHandler> {
  Object.assign(process.env, variables);
  const entry = new URL(`../../functions/${functions[name].entry}`, import.meta.url);
  const { handler } = (await import(entry.href)) as { handler: LambdaHandler };
  return handler;
}

function throughJson(value: unknown): unknown {
  // A handler that returns nothing answers null.
  return JSON.parse(JSON.stringify(value) ?? 'null') as unknown;
}
