// A node's internal listener for tests of functions: HTTPS with mutual TLS that answers what the test says, and keeps
// what it was asked.
import fastify from 'fastify';
import { problem, problemMediaType } from '../../contracts/failures.ts';
import type { LeaderHint } from '../../contracts/node-api.ts';
import type { TestCertificates } from './certificates.ts';
import { freePort } from './ports.ts';

export interface NodeRequest {
  readonly method: string;
  readonly path: string;
  readonly json: unknown;
  readonly headers: Readonly<Record<string, unknown>>;
}
export interface NodeAnswer {
  readonly status: number;
  readonly json?: unknown;
  /** Instead of JSON. */
  readonly text?: string;
  /** The connection is cut in the middle of the answer. */
  readonly cut?: boolean;
}
export interface LeaderNode {
  readonly url: string;
  readonly requests: NodeRequest[];
  /** Asked for each request; replaced by the test as it goes on. */
  answer: (request: NodeRequest) => NodeAnswer | Promise<NodeAnswer>;
  close(): Promise<void>;
}

export async function startLeaderNode(
  certificates: TestCertificates,
  options: { port?: number } = {},
): Promise<LeaderNode> {
  const app = fastify({
    https: {
      ca: certificates.ca,
      cert: certificates.cert,
      key: certificates.key,
      requestCert: true,
      rejectUnauthorized: true,
      minVersion: 'TLSv1.3',
    },
    bodyLimit: 8 * 1024 * 1024,
    forceCloseConnections: true,
  });
  app.addContentTypeParser('application/octet-stream', { parseAs: 'buffer' }, (_request, body, done) =>
    done(null, body),
  );
  const requests: NodeRequest[] = [];
  const node: LeaderNode = {
    url: '',
    requests,
    answer: ({ method, path }) => {
      throw new Error(`the test said nothing about ${method} ${path}`);
    },
    close: () => app.close(),
  };
  app.all('/*', async (request, reply) => {
    const asked = { method: request.method, path: request.url, json: request.body, headers: request.headers };
    requests.push(asked);
    const { status, json, text, cut } = await node.answer(asked);
    if (cut === true) {
      reply.hijack();
      reply.raw.writeHead(status, { 'content-type': 'application/json', 'content-length': '100' });
      reply.raw.write('{"half":', () => reply.raw.destroy());
      return reply;
    }
    if (text !== undefined) return await reply.code(status).type('text/html').send(text);
    if (json === undefined) return await reply.code(status).send();
    return await reply
      .code(status)
      .type(status >= 400 ? problemMediaType : 'application/json')
      .send(JSON.stringify(json));
  });
  // A test may close it and start another one at its port.
  const port = options.port ?? (await freePort());
  return Object.assign(node, { url: await app.listen({ host: '127.0.0.1', port }) });
}

export function problemAnswer(...given: Parameters<typeof problem>): NodeAnswer {
  const json = problem(...given);
  return { status: json.status, json };
}

export function hintTo(url: string, term = 2): LeaderHint {
  return { nodeId: 'node-2', term, internalUrl: url, publicUrl: 'http://127.0.0.1:1' };
}
