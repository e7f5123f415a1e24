// How a member stands, as far as the node that serves this page can know. Pure.
// Followers hear the leader alone, so on a follower's page the other followers are said to be unheard, not down.
import type { ClusterView } from '../../contracts/public-api.ts';

export type Standing =
  'leader' | 'waiting' | 'resigned' | 'candidate' | 'follower' | 'learner' | 'unheard' | 'silent' | 'down';

const silentAfterMs = 2_000; // Forty heartbeats.

export const standingTexts: Readonly<Record<Standing, string>> = {
  leader: 'Leader',
  waiting: 'Leader, waiting for the database',
  resigned: 'Resigned',
  candidate: 'Candidate',
  follower: 'Follower',
  learner: 'Learner',
  unheard: 'Not leading',
  silent: 'Silent',
  down: 'Down',
};

/** `serviceState`: of the member's process, as its supervisor sees it now, where there is a supervisor. */
export function standingOf(
  member: ClusterView['members'][number],
  cluster: ClusterView,
  serviceState: string | undefined,
): Standing {
  if (member.id === cluster.nodeId) return ownStanding(cluster);
  if (serviceState !== undefined && serviceState !== 'up') return 'down';
  const { lastContactMs } = member;
  if (cluster.leader?.nodeId === member.id)
    return lastContactMs === null || lastContactMs > silentAfterMs ? 'silent' : 'leader';
  if (cluster.role.kind !== 'leader') return member.voter ? 'unheard' : 'learner';
  if (lastContactMs === null || lastContactMs > silentAfterMs) return 'silent';
  return member.voter ? 'follower' : 'learner';
}

function ownStanding({ role, state, fence }: ClusterView): Standing {
  switch (state.kind) {
    case 'leading':
      return fence ? 'leader' : 'waiting';
    case 'waiting':
      return 'waiting';
    case 'resigned':
      return 'resigned';
    case 'following':
      return role.kind === 'leader' ? 'waiting' : role.kind;
  }
}

/** One sentence on who leads. */
export function leadershipText({ leader, term, state }: ClusterView): string {
  if (!leader) return `Nobody leads. The last term seen is ${term}.`;
  if (state.kind === 'waiting')
    return `${leader.nodeId} was elected in term ${term} and waits for the database.`;
  return `${leader.nodeId} leads in term ${term}.`;
}
