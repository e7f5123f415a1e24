// The Lambda host: runs the zips that `cdk deploy` uploads in processes of their own behind the Lambda Runtime API,
// and answers the Invoke API and one function URL. Wiring only. It holds no queue, no schedule and no mapping:
// emulator/event-sources call it from outside, as they would call AWS.
import { mkdir, mkdtemp, rm } from 'node:fs/promises';
import type { IncomingMessage, ServerResponse } from 'node:http';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import type { FunctionSettings } from '../../contracts/topology.ts';
import { describeError } from '../../runtime/failure.ts';
import type { Logger } from '../../runtime/logger.ts';
import { accountId, region as regionDefault } from '../local-aws.ts';
import { answerJson, closeServer, listenLocally } from '../local-http.ts';
import { createEventInvocations } from './event-invocations.ts';
import { FunctionLog } from './function-log.ts';
import { FunctionPool, poolBoundsDefault, type PoolBounds } from './function-pool.ts';
import { createFunctionUrl } from './function-url.ts';
import { createInvokeApi } from './invoke-api.ts';
import { createRuntimeApi } from './runtime-api.ts';
import { unpackFunction } from './unpack.ts';

export interface HostedFunction {
  readonly zipFile: string;
  readonly settings: FunctionSettings;
  /** Variables of the function. AWS_REGION is the region of all that Lambda itself says. */
  readonly environment: Readonly<Record<string, string>>;
}
export interface LambdaHostOptions {
  /** A loopback address, unless it has a containerName. */
  readonly host: string;
  /** Set where the host is a container: see LocalAddress. */
  readonly containerName?: string | undefined;
  /** The port of the Invoke API; 0 takes a free one. */
  readonly port: number;
  /** The port of the function URL; 0 takes a free one. */
  readonly frontPort: number;
  readonly functions: Readonly<Record<string, HostedFunction>>;
  /** One file per function is written there. */
  readonly logDir: string;
  /** Where functions are unpacked; emptied first, so that what an earlier host left there does not stay. Else of its own. */
  readonly workFolder?: string | undefined;
  readonly logger: Logger;
  readonly bounds?: Partial<PoolBounds> | undefined;
  readonly eventRetryDelaysMs?: readonly number[] | undefined;
}
export interface LambdaHost {
  readonly name: 'lambda';
  /** http://host:port */
  readonly address: string;
  /** The same: what AWS_ENDPOINT_URL_LAMBDA names. */
  readonly invokeUrl: string;
  /** http://host:port of the one function with a URL; undefined when none has. */
  readonly frontUrl: string | undefined;
  processes(): { function: string; pid: number }[];
  close(): Promise<void>;
}

/** The functions are child processes, so theirs is never more than that. */
const runtimeHost = '127.0.0.1';

/** @throws Error for a host that is not loopback, a zip that cannot be unpacked, a taken port, two function URLs. */
export async function startLambdaHost(options: LambdaHostOptions): Promise<LambdaHost> {
  const withUrl = Object.entries(options.functions).filter(([, { settings }]) => settings.answersHttp);
  if (withUrl.length > 1)
    throw new Error(
      `one function may have the URL of this host, not ${withUrl.map(([name]) => name).join(' and ')}`,
    );
  const folder = await openWorkFolder(options.workFolder);
  const closers: (() => Promise<void> | void)[] = [() => rm(folder, { recursive: true, force: true })];
  const close = async (): Promise<void> => {
    for (let last = closers.pop(); last; last = closers.pop()) await last();
  };
  try {
    let runtimeApi = '';
    const pools = new Map<string, FunctionPool>();
    for (const [name, { zipFile, settings, environment }] of Object.entries(options.functions)) {
      const region = environment['AWS_REGION'] ?? regionDefault;
      pools.set(
        name,
        new FunctionPool({
          code: {
            name,
            arn: `arn:aws:lambda:${region}:${accountId}:function:${name}`,
            settings,
            taskRoot: await unpackFunction({ name, zipFile, parent: folder }),
            region,
            environment,
          },
          log: new FunctionLog({ name, folder: options.logDir, logger: options.logger }),
          runtimeApi: () => runtimeApi,
          bounds: { ...poolBoundsDefault, ...options.bounds },
        }),
      );
    }
    const findEnvironment = (token: string) => {
      for (const pool of pools.values()) {
        const environment = pool.environment(token);
        if (environment) return environment;
      }
      return undefined;
    };
    const serve = (handle: (request: IncomingMessage, response: ServerResponse) => Promise<void>) =>
      listener(handle, options.logger);

    const runtime = await listenLocally(serve(createRuntimeApi(findEnvironment)), {
      host: runtimeHost,
      port: 0,
    });
    runtimeApi = `${runtimeHost}:${runtime.port}`;
    closers.push(() => closeServer(runtime.server));

    const events = createEventInvocations({
      logger: options.logger,
      ...(options.eventRetryDelaysMs ? { retryDelaysMs: options.eventRetryDelaysMs } : {}),
    });
    const invoke = await listenLocally(
      serve(createInvokeApi({ pools, events, containerName: options.containerName })),
      options,
    );
    closers.push(() => closeServer(invoke.server));

    let frontUrl: string | undefined;
    const front = pools.get(withUrl[0]?.[0] ?? '');
    if (front) {
      const { server, port } = await listenLocally(serve(createFunctionUrl(front, options.containerName)), {
        ...options,
        port: options.frontPort,
      });
      closers.push(() => closeServer(server));
      frontUrl = `http://${options.host}:${port}`;
    }
    // Closed first, while the servers still answer: what runs may end.
    closers.push(async () => {
      events.close();
      await Promise.all([...pools.values()].map((pool) => pool.close()));
    });
    const address = `http://${options.host}:${invoke.port}`;
    return {
      name: 'lambda',
      address,
      invokeUrl: address,
      frontUrl,
      processes: () =>
        [...pools].flatMap(([name, pool]) => pool.pids().map((pid) => ({ function: name, pid }))),
      close,
    };
  } catch (error) {
    await close();
    throw error;
  }
}

async function openWorkFolder(named: string | undefined): Promise<string> {
  if (named === undefined) return await mkdtemp(join(tmpdir(), 'baton-lambda-'));
  await rm(named, { recursive: true, force: true });
  await mkdir(named, { recursive: true, mode: 0o700 });
  return named;
}

function listener(
  handle: (request: IncomingMessage, response: ServerResponse) => Promise<void>,
  logger: Logger,
): (request: IncomingMessage, response: ServerResponse) => void {
  return (request, response) => {
    handle(request, response).catch((error: unknown) => {
      // A caller that hung up in the middle of its body is no fault of ours.
      if (!request.destroyed)
        logger.error(`${request.method} ${request.url} failed: ${describeError(error)}`);
      if (!response.headersSent) answerJson(response, 500, { Type: 'Service', Message: 'ServiceException' });
      else response.destroy();
    });
  };
}
