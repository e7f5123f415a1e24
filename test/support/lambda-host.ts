// A Lambda host with handlers of a test, and the caller's side of its Invoke API.
import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { request } from 'undici';
import type { FunctionSettings } from '../../contracts/topology.ts';
import { startLambdaHost, type LambdaHost, type LambdaHostOptions } from '../../emulator/lambda/host.ts';
import { bundleEntry } from '../../functions/bundle.ts';
import { createLogger } from '../../runtime/logger.ts';

export interface TestFunction {
  /** A module that exports `handler`. */
  readonly handler: URL;
  readonly settings?: Partial<FunctionSettings>;
  readonly environment?: Readonly<Record<string, string>>;
}

export interface TestHost extends LambdaHost {
  readonly folder: string;
}

export async function startTestHost(
  functions: Readonly<Record<string, TestFunction>>,
  options: Partial<Pick<LambdaHostOptions, 'bounds' | 'eventRetryDelaysMs'>> = {},
): Promise<TestHost> {
  const folder = await mkdtemp(join(tmpdir(), 'baton-test-lambda-'));
  const hosted = await Promise.all(
    Object.entries(functions).map(async ([name, { handler, settings, environment = {} }]) => {
      const { zipFile } = await bundleEntry({
        name,
        entryFile: fileURLToPath(handler),
        zipFolder: folder,
      });
      return [
        name,
        {
          zipFile,
          settings: { memoryMb: 256, timeoutS: 20, entry: handler.pathname, answersHttp: false, ...settings },
          environment,
        },
      ] as const;
    }),
  );
  const host = await startLambdaHost({
    host: '127.0.0.1',
    port: 0,
    frontPort: 0,
    functions: Object.fromEntries(hosted),
    logDir: join(folder, 'logs'),
    logger: createLogger({ process: 'lambda', write: () => undefined }),
    ...options,
  });
  return {
    ...host,
    folder,
    async close() {
      await host.close();
      await rm(folder, { recursive: true, force: true });
    },
  };
}

export async function invoke(
  host: LambdaHost,
  name: string,
  payload: unknown,
  headers: Readonly<Record<string, string>> = {},
): Promise<{ status: number; headers: Record<string, string | string[] | undefined>; json: unknown }> {
  const answer = await request(`${host.invokeUrl}/2015-03-31/functions/${name}/invocations`, {
    method: 'POST',
    headers: { ...headers },
    body: typeof payload === 'string' ? payload : JSON.stringify(payload),
    headersTimeout: 25_000,
  });
  const text = await answer.body.text();
  return {
    status: answer.statusCode,
    headers: answer.headers,
    json: text === '' ? undefined : JSON.parse(text),
  };
}

export function isAlive(pid: number): boolean {
  try {
    process.kill(pid, 0);
    return true;
  } catch {
    return false; // ESRCH: it is gone.
  }
}
