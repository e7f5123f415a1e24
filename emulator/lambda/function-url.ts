// Function URLs: an HTTP request as the event of payload format 2.0, and the handler's answer as HTTP again.
// Source: https://docs.aws.amazon.com/lambda/latest/dg/urls-invocation.html
import { randomBytes, randomUUID } from 'node:crypto';
import type { IncomingMessage, OutgoingHttpHeaders, ServerResponse } from 'node:http';
import { z } from 'zod';
import { answerJson, isLocalRequest, readBody } from '../local-http.ts';
import type { FunctionPool } from './function-pool.ts';
import { requestBytesMax } from './limits.ts';

/** Lambda takes any scalar for a header. */
const answerSchema = z.object({
  statusCode: z.int().min(100).max(599),
  headers: z.record(z.string(), z.union([z.string(), z.number(), z.boolean()])).nullish(),
  cookies: z.array(z.string()).nullish(),
  body: z.string().nullish(),
  isBase64Encoded: z.boolean().nullish(),
});

export interface HttpAnswer {
  readonly status: number;
  readonly headers: OutgoingHttpHeaders;
  readonly body: Buffer;
}

export function createFunctionUrl(pool: FunctionPool, containerName?: string) {
  return async function serve(request: IncomingMessage, response: ServerResponse): Promise<void> {
    if (!isLocalRequest(request, containerName)) return answerJson(response, 403, { Message: 'Forbidden' });
    const body = await readBody(request, requestBytesMax);
    if (!Buffer.isBuffer(body)) return answerJson(response, 413, { Message: 'Request Too Long' });
    const requestId = randomUUID();
    const event = functionUrlEvent({
      method: request.method ?? 'GET',
      url: request.url ?? '/',
      headers: request.headers,
      body,
      sourceIp: request.socket.remoteAddress ?? '127.0.0.1',
      at: new Date(),
      requestId,
    });
    const outcome = await pool.invoke({
      requestId,
      payload: Buffer.from(JSON.stringify(event)),
      traceId: `Root=1-${Math.floor(Date.now() / 1000).toString(16)}-${randomBytes(12).toString('hex')};Sampled=0`,
    });
    if (outcome.kind === 'throttled')
      return answerJson(response, 429, { Message: 'Too Many Requests' }, { 'retry-after': '1' });
    const answer = outcome.kind === 'failed' ? undefined : httpAnswer(outcome.payload);
    if (!answer) return answerJson(response, 502, { Message: 'Internal Server Error' });
    response.writeHead(answer.status, {
      ...answer.headers,
      'content-length': answer.body.length,
      'x-amzn-requestid': requestId,
    });
    response.end(request.method === 'HEAD' ? undefined : answer.body);
  };
}

export function functionUrlEvent(request: {
  method: string;
  /** Path and query as they stand in the request line. */
  url: string;
  headers: Readonly<Record<string, string | string[] | undefined>>;
  body: Buffer;
  sourceIp: string;
  at: Date;
  requestId: string;
}): object {
  const [path = '/', ...queries] = request.url.split('?');
  const query = queries.join('?');
  const { cookie, ...others } = request.headers;
  const headers = Object.fromEntries(
    Object.entries(others).flatMap(([name, value]) =>
      value === undefined ? [] : [[name, Array.isArray(value) ? value.join(',') : value]],
    ),
  );
  const host = headers['host'] ?? 'localhost';
  const parameters: Record<string, string> = {};
  for (const [name, value] of new URLSearchParams(query))
    parameters[name] = parameters[name] === undefined ? value : `${parameters[name]},${value}`;
  const text = isText(request.body);
  return {
    version: '2.0',
    routeKey: '$default',
    rawPath: path,
    rawQueryString: query,
    ...(typeof cookie === 'string' ? { cookies: cookie.split('; ') } : {}),
    headers,
    ...(query === '' ? {} : { queryStringParameters: parameters }),
    requestContext: {
      accountId: 'anonymous',
      apiId: 'local',
      domainName: host,
      domainPrefix: host.split('.')[0],
      http: {
        method: request.method,
        path,
        protocol: 'HTTP/1.1',
        sourceIp: request.sourceIp,
        userAgent: headers['user-agent'] ?? '',
      },
      requestId: request.requestId,
      routeKey: '$default',
      stage: '$default',
      time: commonLogTime(request.at),
      timeEpoch: request.at.getTime(),
    },
    ...(request.body.length === 0 ? {} : { body: request.body.toString(text ? 'utf8' : 'base64') }),
    isBase64Encoded: request.body.length > 0 && !text,
  };
}

/** Without a statusCode the whole answer is the body, as JSON; undefined for one that no HTTP answer can be made of. */
function httpAnswer(payload: Buffer): HttpAnswer | undefined {
  const json: unknown = JSON.parse(payload.toString('utf8'));
  if (typeof json !== 'object' || json === null || !('statusCode' in json))
    return { status: 200, headers: { 'content-type': 'application/json' }, body: payload };
  const parsed = answerSchema.safeParse(json);
  if (!parsed.success) return undefined;
  const { statusCode, headers, cookies, body, isBase64Encoded } = parsed.data;
  const answerHeaders: OutgoingHttpHeaders = { 'content-type': 'application/json' };
  for (const [name, value] of Object.entries(headers ?? {})) {
    // A name or value that HTTP cannot carry would throw while the answer is being written.
    if (
      !/^[!#$%&'*+.^_`|~0-9A-Za-z-]+$/.test(name) ||
      !/^[\t\u0020-\u007e\u0080-\u00ff]*$/.test(String(value))
    )
      return undefined;
    if (!['content-length', 'transfer-encoding', 'connection'].includes(name.toLowerCase()))
      answerHeaders[name.toLowerCase()] = String(value);
  }
  if (cookies && cookies.length > 0) answerHeaders['set-cookie'] = cookies;
  return {
    status: statusCode,
    headers: answerHeaders,
    body: Buffer.from(body ?? '', isBase64Encoded === true ? 'base64' : 'utf8'),
  };
}

function isText(body: Buffer): boolean {
  return Buffer.from(body.toString('utf8')).equals(body);
}

/** 12/Mar/2020:19:03:58 +0000 */
function commonLogTime(at: Date): string {
  const month = at.toLocaleString('en-US', { month: 'short', timeZone: 'UTC' });
  const day = String(at.getUTCDate()).padStart(2, '0');
  return `${day}/${month}/${at.getUTCFullYear()}:${at.toISOString().slice(11, 19)} +0000`;
}
