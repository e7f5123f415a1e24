// The cluster as this node sees it, and the wish that another one leads.
import type { FastifyInstance } from 'fastify';
import type { Member } from '../../contracts/environment.ts';
import {
  clusterViewSchema,
  transferAnswerSchema,
  transferRequestSchema,
  type ClusterView,
  type TransferAnswer,
} from '../../contracts/public-api.ts';
import { publicRoutes } from '../../contracts/public-routes.ts';
import { Failure } from '../../runtime/failure.ts';
import { within } from '../../runtime/waiting.ts';
import type { Leadership } from '../leadership.ts';
import type { RaftThread } from '../raft-thread/thread.ts';
import type { Store } from '../store.ts';
import type { Guard } from './guard.ts';
import type { Operation } from './openapi.ts';
import { parse } from './parse-request.ts';

export const clusterOperations: readonly Operation[] = [
  {
    method: 'get',
    path: publicRoutes.cluster,
    summary: 'The cluster as this node sees it',
    answer: clusterViewSchema,
  },
  {
    method: 'post',
    path: publicRoutes.transfer,
    summary: 'Hand leadership over',
    role: 'operator',
    body: transferRequestSchema,
    answer: transferAnswerSchema,
  },
];

/** Whoever asks what a node knows by itself waits no longer for a database that hangs. */
const fenceWithinMs = 250;

export function addCluster(
  app: FastifyInstance,
  {
    leadership,
    raft,
    store,
    guard,
    members,
    generation,
  }: {
    leadership: Leadership;
    raft: Pick<RaftThread, 'status'>;
    store: Pick<Store, 'fence'>;
    guard: Guard;
    members: readonly Member[];
    generation: number;
  },
): void {
  app.get(publicRoutes.cluster, async (): Promise<ClusterView> => {
    const { role, term, peers, abstaining } = raft.status();
    const fence = await within(fenceWithinMs, 'the fence', () => store.fence()).catch(() => null); // Shown as unknown: this page is read most when things are down.
    return {
      nodeId: leadership.nodeId,
      role,
      term,
      state: leadership.state,
      abstaining,
      leader: leadership.leader() ?? null,
      generation,
      fence,
      members: members.map((member) => ({
        ...member,
        lastContactMs: peers[member.id]?.lastContactMs ?? null,
      })),
    };
  });
  app.post(publicRoutes.transfer, async (request): Promise<TransferAnswer> => {
    await guard.require(request, 'operator');
    const { target } = parse(transferRequestSchema, request.body);
    const voters = members.filter(({ voter }) => voter).map(({ id }) => id);
    if (target !== null && !voters.includes(target))
      throw new Failure('REQUEST_MALFORMED', `there is no voter ${target}; there are ${voters.join(', ')}`);
    return leadership.transfer(target, 'asked for by an operator');
  });
}
