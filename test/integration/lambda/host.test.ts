// The Lambda host with real processes: what a caller of the Invoke API sees when functions do well and badly.
// Expected values are those of AWS's documentation of the runtime nodejs24.x and of the Invoke API.
import { existsSync } from 'node:fs';
import { readFile } from 'node:fs/promises';
import { join } from 'node:path';
import { request } from 'undici';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { startLambdaHost } from '../../../emulator/lambda/host.ts';
import { createLogger } from '../../../runtime/logger.ts';
import { invoke, isAlive, startTestHost, type TestHost } from '../../support/lambda-host.ts';

interface Described {
  readonly served: number;
  readonly pid: number;
  readonly context: Record<string, unknown>;
  readonly remainingMs: number;
  readonly variables: Record<string, string>;
  readonly folder: string;
}

const handlerFile = (name: string): URL => new URL(`handlers/${name}.ts`, import.meta.url);

let host: TestHost;
beforeAll(async () => {
  process.env['CANARY_OF_THE_HOST'] = 'must not reach a function';
  host = await startTestHost(
    {
      obedient: {
        handler: handlerFile('obedient'),
        environment: {
          AWS_REGION: 'eu-central-1',
          BATON_CLUSTER: 'test',
          AWS_LAMBDA_FUNCTION_NAME: 'forged',
        },
      },
      brief: { handler: handlerFile('obedient'), settings: { timeoutS: 1 } },
      small: { handler: handlerFile('obedient'), settings: { memoryMb: 128 } },
      callback: { handler: handlerFile('callback') },
      broken: { handler: handlerFile('broken') },
      web: { handler: handlerFile('web'), settings: { answersHttp: true } },
    },
    { bounds: { environmentsMax: 2, waitingMax: 1 }, eventRetryDelaysMs: [20, 20] },
  );
});
afterAll(async () => {
  delete process.env['CANARY_OF_THE_HOST'];
  await host.close();
});

const describeIn = async (name: string) => (await invoke(host, name, { do: 'describe' })).json as Described;
const errorOf = async (name: string, order: string) => {
  const answer = await invoke(host, name, { do: order });
  expect(answer.status).toBe(200);
  expect(answer.headers['x-amz-function-error']).toBe('Unhandled');
  return answer.json as { errorType: string; errorMessage: string; trace?: string[] };
};

describe('invoke', () => {
  it('a handler finds the context and the variables that AWS documents, and none of the host', async () => {
    const answer = await invoke(host, 'obedient', { do: 'describe' });
    const { context, variables, remainingMs, folder } = answer.json as Described;
    expect(answer.headers['x-amz-executed-version']).toBe('$LATEST');
    expect(context).toMatchObject({
      functionName: 'obedient',
      functionVersion: '$LATEST',
      memoryLimitInMB: '256',
      logGroupName: '/aws/lambda/obedient',
      invokedFunctionArn: 'arn:aws:lambda:eu-central-1:000000000000:function:obedient',
      awsRequestId: answer.headers['x-amzn-requestid'],
      callbackWaitsForEmptyEventLoop: true,
    });
    expect(context['logStreamName']).toMatch(/^\d{4}\/\d\d\/\d\d\/\[\$LATEST\][0-9a-f]{16}$/);
    expect(remainingMs).toBeGreaterThan(15_000);
    expect(remainingMs).toBeLessThanOrEqual(20_000);
    expect(variables).toMatchObject({
      _HANDLER: 'index.handler',
      AWS_EXECUTION_ENV: 'AWS_Lambda_nodejs24.x',
      AWS_LAMBDA_FUNCTION_NAME: 'obedient',
      AWS_LAMBDA_FUNCTION_MEMORY_SIZE: '256',
      AWS_LAMBDA_LOG_GROUP_NAME: '/aws/lambda/obedient',
      AWS_REGION: 'eu-central-1',
      AWS_ACCESS_KEY_ID: 'local',
      TZ: ':UTC',
      BATON_CLUSTER: 'test',
    });
    expect(variables['LAMBDA_TASK_ROOT']).toBe(folder);
    expect(variables).not.toHaveProperty('CANARY_OF_THE_HOST');
  });

  it('a warm process is used again, and a thrown error leaves it warm', async () => {
    const first = await describeIn('obedient');
    const error = await errorOf('obedient', 'throw');
    expect(error).toMatchObject({ errorType: 'RangeError', errorMessage: 'out of range' });
    expect(error.trace?.[0]).toBe('RangeError: out of range');
    expect(await errorOf('obedient', 'throw-text')).toEqual({
      errorType: 'string',
      errorMessage: 'only a text',
      trace: [],
    });
    const second = await describeIn('obedient');
    expect(second.pid).toBe(first.pid);
    expect(second.served).toBe(first.served + 3);
  });

  it('a handler that returns nothing answers null', async () => {
    const answer = await invoke(host, 'obedient', { do: 'nothing' });
    expect(answer.json).toBeNull();
    expect(answer.headers).not.toHaveProperty('x-amz-function-error');
  });

  it('X-Amz-Log-Type: Tail brings what this invocation printed, which its log file keeps', async () => {
    const answer = await invoke(host, 'obedient', { do: 'print' }, { 'x-amz-log-type': 'Tail' });
    const tail = Buffer.from(String(answer.headers['x-amz-log-result']), 'base64').toString('utf8');
    const lines = tail
      .trimEnd()
      .split('\n')
      .map((line) => JSON.parse(line) as Record<string, unknown>);
    expect(lines[0]).toMatchObject({
      level: 'INFO',
      message: 'first 1',
      requestId: answer.headers['x-amzn-requestid'],
    });
    expect(lines[1]).toEqual({ own: 'line' });
    expect(await readFile(join(host.folder, 'logs', 'obedient.log'), 'utf8')).toContain('{"own":"line"}\n');
  });

  it('bad requests are told what is wrong: unknown function, not JSON, unknown type, foreign Host and Origin', async () => {
    const unknown = await invoke(host, 'absent', {});
    expect([unknown.status, unknown.headers['x-amzn-errortype']]).toEqual([404, 'ResourceNotFoundException']);
    const version = await invoke(host, 'obedient:7', {});
    expect(version.status).toBe(404);
    const broken = await invoke(host, 'obedient', '{"do":');
    expect([broken.status, broken.headers['x-amzn-errortype']]).toEqual([
      400,
      'InvalidRequestContentException',
    ]);
    const type = await invoke(host, 'obedient', {}, { 'x-amz-invocation-type': 'Sometimes' });
    expect([type.status, type.headers['x-amzn-errortype']]).toEqual([400, 'InvalidParameterValueException']);
    for (const headers of [{ host: 'evil.example' }, { origin: 'http://evil.example' }] as Record<
      string,
      string
    >[])
      expect((await invoke(host, 'obedient', {}, headers)).status).toBe(403);
  });

  it('a whole ARN names a function, DryRun runs nothing, and the functions are listed', async () => {
    const arn = encodeURIComponent('arn:aws:lambda:eu-central-1:000000000000:function:obedient:$LATEST');
    const before = await describeIn(arn);
    expect((await invoke(host, 'obedient', {}, { 'x-amz-invocation-type': 'DryRun' })).status).toBe(204);
    expect((await describeIn('obedient')).served).toBe(before.served + 1);
    const list = await request(`${host.invokeUrl}/2015-03-31/functions`);
    const { Functions } = (await list.body.json()) as { Functions: { FunctionName: string }[] };
    expect(Functions.map(({ FunctionName }) => FunctionName)).toContain('brief');
  });

  it('6 MB go in and no more, 6 MB come out and no more', async () => {
    const cap = 6 * 1024 * 1024;
    const around = JSON.stringify({ do: 'length', fill: '' }).length;
    const most = await invoke(host, 'obedient', { do: 'length', fill: 'x'.repeat(cap - around) });
    expect(most.json).toBe(cap);
    const over = await invoke(host, 'obedient', { do: 'length', fill: 'x'.repeat(cap - around + 1) });
    expect([over.status, over.headers['x-amzn-errortype']]).toEqual([413, 'RequestTooLargeException']);
    const out = await invoke(host, 'obedient', { do: 'answer-bytes', bytes: cap });
    expect(out.json).toHaveLength(cap);
    const tooMuch = await invoke(host, 'obedient', { do: 'answer-bytes', bytes: cap + 200 });
    expect(tooMuch.json).toMatchObject({ errorType: 'Function.ResponseSizeTooLarge' });
  });
});

describe('functions that break', () => {
  it('a timeout ends even a process that spins, and the next invocation starts a new one', async () => {
    const { pid } = await describeIn('brief');
    const began = performance.now();
    const error = await errorOf('brief', 'spin');
    expect(performance.now() - began).toBeLessThan(10_000); // The machine has two cores, and one of them spins.
    expect(error.errorType).toBe('Sandbox.Timedout');
    expect(error.errorMessage).toMatch(
      /^RequestId: [0-9a-f-]{36} Error: Task timed out after 1\.00 seconds$/,
    );
    expect(await describeIn('brief')).toMatchObject({ served: 1 });
    expect(isAlive(pid)).toBe(false);
  });

  it('a process that exits fails its invocation as Runtime.ExitError, and the next one runs', async () => {
    expect(await errorOf('obedient', 'exit')).toMatchObject({
      errorType: 'Runtime.ExitError',
      errorMessage: expect.stringMatching(/ Error: Runtime exited with error: exit status 7$/) as string,
    });
    expect((await describeIn('obedient')).served).toBe(1);
  });

  it('a promise that nobody handles fails the invocation with its reason', async () => {
    expect(await errorOf('obedient', 'reject-later')).toMatchObject({
      errorType: 'Runtime.UnhandledPromiseRejection',
      errorMessage: 'nobody waits for me',
    });
    expect((await describeIn('obedient')).served).toBe(1);
  });

  it.each(['fill-buffers', 'fill-heap'])('memory over the limit ends the process: %s', async (order) => {
    expect((await errorOf('small', order)).errorType).toBe('Runtime.ExitError');
  });

  it('a function that cannot be loaded, or takes a callback, says so to its caller', async () => {
    expect(await errorOf('broken', 'nothing')).toMatchObject({
      errorType: 'TypeError',
      errorMessage: 'BATON_CLUSTER is missing',
    });
    expect((await errorOf('callback', 'nothing')).errorType).toBe('Runtime.CallbackHandlerDeprecated');
  });
});

describe('concurrency', () => {
  it('two run at once in two processes, one waits, and a fourth is throttled', async () => {
    const answers = await Promise.all(
      [300, 300, 0, 0].map((ms) => invoke(host, 'brief', { do: 'wait', ms })),
    );
    expect(answers.map(({ status }) => status)).toEqual([200, 200, 200, 429]);
    expect(answers[3]?.headers['x-amzn-errortype']).toBe('TooManyRequestsException');
    expect(new Set(answers.slice(0, 2).map(({ json }) => json)).size).toBe(2);
  });

  it('an Event is accepted at once and tried again twice when it fails', async () => {
    const answer = await invoke(host, 'obedient', { do: 'throw' }, { 'x-amz-invocation-type': 'Event' });
    expect(answer.status).toBe(202);
    const id = String(answer.headers['x-amzn-requestid']);
    const file = join(host.folder, 'logs', 'obedient.log');
    await expect
      .poll(async () => {
        const lines = (await readFile(file, 'utf8')).split('\n');
        return lines.filter((line) => line.includes('platform.report') && line.includes(id)).length;
      })
      .toBe(3);
  });
});

describe('function URL', () => {
  it('a request arrives as an event of format 2.0', async () => {
    const answer = await request(`${host.frontUrl}/a%20b/c?x=1&x=2&y=%C3%BC`, {
      method: 'POST',
      headers: { cookie: 'a=1; b=2', 'content-type': 'text/plain', 'x-own': 'yes' },
      body: 'grün',
    });
    expect(answer.statusCode).toBe(200);
    expect(await answer.body.json()).toMatchObject({
      version: '2.0',
      routeKey: '$default',
      rawPath: '/a%20b/c',
      rawQueryString: 'x=1&x=2&y=%C3%BC',
      cookies: ['a=1', 'b=2'],
      headers: { 'content-type': 'text/plain', 'x-own': 'yes' },
      queryStringParameters: { x: '1,2', y: 'ü' },
      requestContext: { http: { method: 'POST', path: '/a%20b/c' }, stage: '$default' },
      body: 'grün',
      isBase64Encoded: false,
    });
  });

  it('status, headers, cookies and bytes of the answer arrive; a redirect keeps its query', async () => {
    const redirect = await request(`${host.frontUrl}/redirect?page=2`);
    expect([redirect.statusCode, redirect.headers['location']]).toEqual([
      307,
      'http://127.0.0.1:9/items?page=2',
    ]);
    await redirect.body.dump();
    const cookies = await request(`${host.frontUrl}/cookies`);
    expect(cookies.headers['set-cookie']).toEqual(['a=1; Secure', 'b=2']);
    expect(await cookies.body.text()).toBe('hi');
  });

  it.each(['/bad-status', '/bad-header', '/throw'])(
    '%s is a 502 that tells a stranger nothing',
    async (path) => {
      const answer = await request(`${host.frontUrl}${path}`);
      expect(answer.statusCode).toBe(502);
      expect(await answer.body.json()).toEqual({ Message: 'Internal Server Error' });
    },
  );

  it('a foreign Host is refused', async () => {
    const answer = await request(`${host.frontUrl}/`, { headers: { host: 'evil.example' } });
    expect(answer.statusCode).toBe(403);
    await answer.body.dump();
  });
});

describe('life and death', () => {
  it('idle processes are ended, and closing leaves none', async () => {
    const idle = await startTestHost(
      { obedient: { handler: handlerFile('obedient') } },
      { bounds: { idleMs: 1_500 } },
    );
    const first = (await invoke(idle, 'obedient', { do: 'wait', ms: 0 })).json as number;
    await expect.poll(() => isAlive(first)).toBe(false);
    const second = (await invoke(idle, 'obedient', { do: 'wait', ms: 0 })).json as number;
    expect(second).not.toBe(first);
    expect(idle.processes()).toEqual([{ function: 'obedient', pid: second }]);
    const begun = join(idle.folder, 'begun');
    const running = invoke(idle, 'obedient', { do: 'wait', ms: 300, touch: begun });
    await expect.poll(() => existsSync(begun), { interval: 5 }).toBe(true);
    await idle.close();
    expect(isAlive(second)).toBe(false);
    expect((await running).json).toBe(second); // It had time to end.
  });

  it('another address than loopback is refused', async () => {
    await expect(
      startLambdaHost({
        host: '0.0.0.0',
        port: 0,
        frontPort: 0,
        functions: {},
        logDir: host.folder,
        logger: createLogger({ process: 'lambda', write: () => undefined }),
      }),
    ).rejects.toThrow(/loopback only, 0\.0\.0\.0 is not/);
  });
});
