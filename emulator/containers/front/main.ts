// The fixed address of the function URL of `redirect`: LocalStack serves it on its one port by the name in the Host
// header, which no browser would send. Passes requests on as they come; decides nothing and follows no redirect.
import type { IncomingMessage, ServerResponse } from 'node:http';
import { pipeline } from 'node:stream/promises';
import { request as ask } from 'undici';
import { z } from 'zod';
import { problem, problemMediaType } from '../../../contracts/failures.ts';
import { functionNames, functions } from '../../../contracts/topology.ts';
import { describeError } from '../../../runtime/failure.ts';
import { closeServer, isLocalRequest, listenLocally } from '../../local-http.ts';
import { runService } from '../../services/service-process.ts';
import { lambdaFrontUrl, lambdaPlaces, localstackUrl } from '../addresses.ts';
import { authorizationFor } from '../service-header.ts';

const settingsSchema = z.strictObject({ lambda: z.enum(lambdaPlaces), port: z.int().min(1).max(65_535) });
const answerWithinMs = 10_000;
const headersNotPassed = new Set(['host', 'connection', 'transfer-encoding', 'keep-alive', 'expect']);
// The name is another one after each deployment, and LocalStack is deployed to again whenever it was restarted.
const knownForMs = 2_000;
let known: { readonly target: Target; readonly until: number } | undefined;
const urlSchema = z.object({ FunctionUrl: z.url() });

await runService('front', settingsSchema, async ({ lambda, port }, logger) => {
  const listener = (request: IncomingMessage, response: ServerResponse): void => {
    response.on('error', () => undefined); // The caller went away; there is nobody to tell.
    serve(request, response, lambda === 'host' ? hostTarget : localstackTarget).catch((error: unknown) => {
      logger.warn(`${request.method} ${request.url}: ${describeError(error)}`);
      if (response.headersSent) response.destroy();
      else
        response
          .writeHead(503, { 'content-type': problemMediaType, 'retry-after': '2' })
          .end(JSON.stringify(problem('NO_LEADER', { detail: 'redirect is not deployed yet' })));
    });
  };
  const address = { host: '0.0.0.0', port, containerName: 'front' };
  const { server } = await listenLocally(listener, address);
  server.maxConnections = 200;
  return { name: 'front', address: `http://0.0.0.0:${port}`, close: () => closeServer(server) };
});

interface Target {
  readonly origin: string;
  readonly host: string;
}

async function serve(
  request: IncomingMessage,
  response: ServerResponse,
  findTarget: () => Promise<Target>,
): Promise<void> {
  if (!isLocalRequest(request)) {
    response.writeHead(403, { 'content-type': 'text/plain' }).end('the Host or Origin is not this front\n');
    return;
  }
  const { origin, host } = await findTarget();
  const headers = Object.fromEntries(
    Object.entries(request.headers).filter(
      (entry): entry is [string, string | string[]] =>
        entry[1] !== undefined && !headersNotPassed.has(entry[0]),
    ),
  );
  const answer = await ask(new URL(request.url ?? '/', origin), {
    method: request.method as 'GET',
    headers: { ...headers, host },
    body: request.method === 'GET' || request.method === 'HEAD' ? null : request,
    signal: AbortSignal.timeout(answerWithinMs),
  });
  response.writeHead(
    answer.statusCode,
    Object.fromEntries(Object.entries(answer.headers).filter(([name]) => !headersNotPassed.has(name))),
  );
  await pipeline(answer.body, response);
}

async function hostTarget(): Promise<Target> {
  return { origin: lambdaFrontUrl, host: new URL(lambdaFrontUrl).host };
}

async function localstackTarget(): Promise<Target> {
  if (known && performance.now() < known.until) return known.target;
  const name = functionNames.find((candidate) => functions[candidate].answersHttp);
  const { statusCode, body } = await ask(`${localstackUrl}/2021-10-31/functions/${name}/url`, {
    headers: { authorization: authorizationFor('lambda') },
    signal: AbortSignal.timeout(answerWithinMs),
  });
  const json = await body.json();
  if (statusCode !== 200) throw new Error(`${name} has no URL: HTTP ${statusCode}`);
  const target = { origin: localstackUrl, host: new URL(urlSchema.parse(json).FunctionUrl).host };
  known = { target, until: performance.now() + knownForMs };
  return target;
}
