// The Lambda Runtime API, which the processes of functions call for their next invocation and with their answers.
// Each process has a path of its own behind a secret, since all share one port.
// Source: https://docs.aws.amazon.com/lambda/latest/dg/runtimes-api.html
import type { IncomingMessage, ServerResponse } from 'node:http';
import type { ExecutionEnvironment } from './execution-environment.ts';
import { responseBytesMax } from './limits.ts';
import { answerJson, isLocalRequest, readBody } from '../local-http.ts';

const path =
  /^\/([0-9a-f]{32})\/2018-06-01\/runtime\/(?:(init)\/(error)|(invocation)\/(?:(next)|([^/]+)\/(response|error)))$/;

export function createRuntimeApi(find: (token: string) => ExecutionEnvironment | undefined) {
  return async function serve(request: IncomingMessage, response: ServerResponse): Promise<void> {
    const match = path.exec(request.url ?? '');
    const environment = match?.[1] === undefined ? undefined : find(match[1]);
    if (!match || !environment || !isLocalRequest(request))
      return answerJson(response, 403, {
        errorType: 'Forbidden',
        errorMessage: 'no environment of this host has this address',
      });
    if (match[5] === 'next') return serveNext(environment, response);
    const body = await readBody(request, responseBytesMax);
    if (match[2] === 'init') {
      environment.initFailed(Buffer.isBuffer(body) ? body : Buffer.from('{}'));
      return answerJson(response, 202, { status: 'OK' });
    }
    const requestId = match[6] ?? '';
    if (!Buffer.isBuffer(body)) {
      environment.answerTooLarge(requestId, body);
      return answerJson(response, 413, {
        errorType: 'RequestEntityTooLarge',
        errorMessage: `an answer may have ${responseBytesMax} bytes`,
      });
    }
    const known = environment.answer(requestId, match[7] === 'response' ? 'answered' : 'failed', body);
    if (known) answerJson(response, 202, { status: 'OK' });
    else
      answerJson(response, 400, {
        errorType: 'InvalidRequestID',
        errorMessage: `this environment runs no invocation ${requestId}`,
      });
  };
}

function serveNext(environment: ExecutionEnvironment, response: ServerResponse): void {
  environment.next((invocation, { deadlineMs, arn }) => {
    const headers: Record<string, string | number> = {
      'content-type': 'application/json',
      'content-length': invocation.payload.length,
      'lambda-runtime-aws-request-id': invocation.requestId,
      'lambda-runtime-deadline-ms': deadlineMs,
      'lambda-runtime-invoked-function-arn': arn,
      'lambda-runtime-trace-id': invocation.traceId,
    };
    if (invocation.clientContext !== undefined)
      headers['lambda-runtime-client-context'] = invocation.clientContext;
    response.writeHead(200, headers);
    response.end(invocation.payload);
  });
}
