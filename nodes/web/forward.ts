// A write that reaches a follower goes on to the leader: one hop, never two, with the role the caller has here. So a client
// need not know who leads, and a session that was opened on one node works while another one leads. It goes from one internal
// listener to the other: nodes need not reach each other's public address, which may be a load balancer's.
import type { FastifyInstance, FastifyReply, FastifyRequest } from 'fastify';
import { noLeaderRetryMs } from '../../contracts/failures.ts';
import { headers, routes } from '../../contracts/node-api.ts';
import { Failure } from '../../runtime/failure.ts';
import type { InternalClient } from '../../runtime/internal-http.ts';
import type { Leadership } from '../leadership.ts';
import type { Guard } from './guard.ts';

const answerWithinMs = 10_000;
const writes = ['POST', 'PUT', 'DELETE'] as const;
type Write = (typeof writes)[number];
const isWrite = (method: string): method is Write => (writes as readonly string[]).includes(method);

/** `isLocal`: routes of this very node, which are never forwarded. `needsNoRole`: anybody's, and forwarded as such. */
export function forwardWrites(
  app: FastifyInstance,
  {
    leadership,
    guard,
    others,
    isLocal,
    needsNoRole,
  }: {
    leadership: Leadership;
    guard: Guard;
    /** The client in use now: certificates are renewed. */
    others: () => Pick<InternalClient, 'relay'>;
    isLocal: (route: string) => boolean;
    needsNoRole: (route: string) => boolean;
  },
): void {
  app.addHook('preHandler', async (request, reply) => {
    if (!isWrite(request.method) || leadership.state.kind === 'leading') return;
    const route = request.routeOptions.url ?? '';
    if (request.headers[headers.forwarded] !== undefined || isLocal(route)) return;
    const token = await guard.tokenOf(request);
    // Without a role or a leader the route itself has the right answer.
    if (token === undefined && !needsNoRole(route)) return;
    await leadership.settled();
    const leader = leadership.leader();
    if (leadership.state.kind !== 'following' || !leader) return;
    return await forward(request, reply, {
      others: others(),
      method: request.method,
      from: leadership.nodeId,
      to: leader.internalUrl,
      token,
    });
  });
}

async function forward(
  request: FastifyRequest,
  reply: FastifyReply,
  {
    others,
    method,
    from,
    to,
    token,
  }: {
    others: Pick<InternalClient, 'relay'>;
    method: Write;
    from: string;
    to: string;
    token: string | undefined;
  },
): Promise<FastifyReply> {
  const answer = await others
    .relay(to, {
      method,
      // Path and query as they came, behind a fixed one: no request leads elsewhere.
      path: `${routes.forwarded}${request.url}`,
      headers: {
        [headers.forwarded]: from,
        ...(token === undefined ? {} : { authorization: `Bearer ${token}` }),
      },
      json: request.body ?? undefined,
      timeoutMs: answerWithinMs,
    })
    .catch((cause: unknown) => {
      // Never sent is certain; an answer that did not come is not.
      const code = cause instanceof Failure && cause.code === 'NO_LEADER' ? 'NO_LEADER' : 'INTERNAL';
      throw new Failure(code, `the leader at ${to} gave no answer`, {
        cause,
        details: { retryAfterMs: noLeaderRetryMs },
      });
    });
  return pass(reply, answer);
}

/** The other end: what came to the internal listener is answered as if it had come to the public one. */
export function takeForwarded(
  internal: FastifyInstance,
  web: FastifyInstance,
  { host }: { host: string },
): void {
  internal.route({
    method: [...writes],
    url: `${routes.forwarded}/*`,
    async handler(request, reply) {
      const { authorization, [headers.forwarded]: from } = request.headers;
      const {
        statusCode,
        rawPayload,
        headers: answered,
      } = await web.inject({
        method: request.method as Write,
        url: request.url.slice(routes.forwarded.length),
        remoteAddress: request.ip,
        headers: {
          host,
          [headers.forwarded]: from ?? 'unknown',
          ...(authorization === undefined ? {} : { authorization }),
        },
        ...(request.body === undefined || request.body === null ? {} : { payload: request.body }),
      });
      return pass(reply, { status: statusCode, headers: answered, bytes: rawPayload });
    },
  });
}

function pass(
  reply: FastifyReply,
  {
    status,
    headers: answered,
    bytes,
  }: { status: number; headers: Readonly<Record<string, unknown>>; bytes: Buffer },
): FastifyReply {
  for (const name of ['content-type', 'retry-after']) {
    const value = answered[name];
    if (typeof value === 'string') reply.header(name, value);
  }
  return reply.code(status).send(bytes.length === 0 ? undefined : bytes);
}
