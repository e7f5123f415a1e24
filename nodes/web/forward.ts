// A write that reaches a follower goes on to the leader: one hop, never two, with the role the caller has here. So a client
// need not know who leads, and a session that was opened on one node works while another one leads.
import type { FastifyInstance, FastifyReply, FastifyRequest } from 'fastify';
import { request as send } from 'undici';
import { headers } from '../../contracts/node-api.ts';
import { Failure } from '../../runtime/failure.ts';
import type { Leadership } from '../leadership.ts';
import type { Guard } from './guard.ts';

const answerWithinMs = 10_000;
const answerBytesMax = 1024 * 1024;
const writes = new Set(['POST', 'PUT', 'DELETE']);

/** `isLocal`: routes of this very node, which are never forwarded. `needsNoRole`: anybody's, and forwarded as such. */
export function forwardWrites(
  app: FastifyInstance,
  {
    leadership,
    guard,
    isLocal,
    needsNoRole,
  }: {
    leadership: Leadership;
    guard: Guard;
    isLocal: (route: string) => boolean;
    needsNoRole: (route: string) => boolean;
  },
): void {
  app.addHook('preHandler', async (request, reply) => {
    if (!writes.has(request.method) || leadership.state.kind === 'leading') return;
    const route = request.routeOptions.url ?? '';
    if (request.headers[headers.forwarded] !== undefined || isLocal(route)) return;
    const token = await guard.tokenOf(request);
    // Without a role or a leader the route itself has the right answer.
    if (token === undefined && !needsNoRole(route)) return;
    await leadership.settled();
    const leader = leadership.leader();
    if (leadership.state.kind !== 'following' || !leader) return;
    return await forward(request, reply, { from: leadership.nodeId, to: leader.publicUrl, token });
  });
}

async function forward(
  request: FastifyRequest,
  reply: FastifyReply,
  { from, to, token }: { from: string; to: string; token: string | undefined },
): Promise<FastifyReply> {
  try {
    // Path and query as they came; the leader's own address is the base, so no request leads elsewhere.
    const {
      statusCode,
      headers: answered,
      body,
    } = await send(new URL(request.url, to), {
      method: request.method as 'POST' | 'PUT' | 'DELETE',
      headers: {
        ...(token === undefined ? {} : { authorization: `Bearer ${token}` }),
        [headers.forwarded]: from,
        ...(request.body === undefined || request.body === null
          ? {}
          : { 'content-type': 'application/json' }),
      },
      body: request.body === undefined || request.body === null ? null : JSON.stringify(request.body),
      signal: AbortSignal.timeout(answerWithinMs),
    });
    const bytes = Buffer.from(await body.arrayBuffer());
    if (bytes.length > answerBytesMax) throw new Error(`the leader's answer has ${bytes.length} bytes`);
    const type = answered['content-type'];
    if (typeof type === 'string') reply.type(type);
    return reply.code(statusCode).send(bytes.length === 0 ? undefined : bytes);
  } catch (cause) {
    throw new Failure('NO_LEADER', `the leader at ${to} gave no answer`, {
      cause,
      details: { retryAfterMs: 500 },
    });
  }
}
