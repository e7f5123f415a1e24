// Asking for leadership: pre-votes first, then votes, each counted once per voter and only when it answers this boot.
// Never judges the requests of others (votes.ts).
import type { Draft, Leader, PeerView } from './state.ts';
import type { BootId, Message, NodeId } from './types.ts';
import { becomeFollower, mayLead, randomTimeout, send } from './state.ts';
import { sendHeartbeats } from './lead.ts';
import { majorityOf } from './quorum.ts';
import { askAgainMs } from './succession.ts';

type Answer<K extends Message['kind']> = Extract<Message, { kind: K }>;

/** Dissertation 9.6: asks first whether it could win, so that a node that was cut off disturbs nobody on return. */
export function askForPreVotes(draft: Draft, reason: string): void {
  const { state } = draft;
  if (!mayLead(state)) {
    waitForAnother(draft, reason);
    return;
  }
  if (state.otherVoters.length === 0) {
    campaign(draft, { transfer: false, reason });
    return;
  }
  state.role = {
    kind: 'pre-candidate',
    reason,
    firstRound: state.round + 1,
    grants: new Map(),
    askAt: state.now,
    eagerUntil: state.now + 2 * state.config.electionTimeoutMs,
  };
  draft.reason = reason;
  askAgain(draft);
}

export function waitForAnother(draft: Draft, reason: string): void {
  const { role, now } = draft.state;
  const order = role.kind === 'follower' ? role.order : [];
  becomeFollower(draft, { leader: null, order, campaignAt: now + randomTimeout(draft) }, reason);
}

/** Repeats the question to those who have not said yes. A lost datagram must not cost a whole timeout. */
export function askAgain(draft: Draft): void {
  const { state } = draft;
  const { role, config, now } = state;
  if (role.kind === 'candidate') {
    state.role = { ...role, askAt: now + config.heartbeatMs };
    for (const to of state.otherVoters)
      if (!role.votes.has(to))
        send(draft, to, { kind: 'vote-request', ...header(draft), transfer: role.transfer });
  } else if (role.kind === 'pre-candidate') {
    const pauseMs = now < role.eagerUntil ? askAgainMs(config) : config.heartbeatMs;
    state.role = { ...role, askAt: now + pauseMs };
    state.round += 1;
    const request = { generation: config.generation, term: state.term + 1, round: state.round };
    for (const to of state.otherVoters)
      if (!isFresh(draft, role.grants.get(to))) send(draft, to, { kind: 'pre-vote-request', ...request });
  }
}

/** Yes means for one timeout; a voter that hears a leader since then would say something else. */
function isFresh({ state }: Draft, grant: { readonly at: number } | undefined): boolean {
  return grant !== undefined && state.now - grant.at < state.config.electionTimeoutMs;
}

const header = ({ state }: Draft) => ({ term: state.term, generation: state.config.generation });

export function campaign(draft: Draft, { transfer, reason }: { transfer: boolean; reason: string }): void {
  const { state } = draft;
  state.term += 1;
  state.votedFor = state.config.id;
  const giveUpAt = state.now + randomTimeout(draft);
  const votes = new Set([state.config.id]);
  state.role = { kind: 'candidate', reason, transfer, votes, askAt: state.now, giveUpAt };
  draft.reason = reason;
  draft.notes.push({ kind: 'election-started', term: state.term, reason });
  askAgain(draft);
  leadIfElected(draft);
}

export function onPreVoteAnswer(draft: Draft, from: NodeId, message: Answer<'pre-vote-answer'>): void {
  const { state } = draft;
  const { role, now } = state;
  if (role.kind !== 'pre-candidate') return;
  if (!answersThisBoot(draft, from, message.candidateBoot) || message.round < role.firstRound) return;
  if (message.round > state.round) return;
  const earlier = role.grants.get(from);
  if (earlier && earlier.round > message.round) return;
  const grants = new Map(role.grants);
  if (message.granted) grants.set(from, { round: message.round, at: now });
  else grants.delete(from);
  state.role = { ...role, grants };
  const granted = state.otherVoters.filter((id) => isFresh(draft, grants.get(id))).length;
  if (granted + 1 < majorityOf(state.config.voters.length)) return;
  if (mayLead(state)) campaign(draft, { transfer: false, reason: role.reason });
  else waitForAnother(draft, 'may not lead any more');
}

export function onVoteAnswer(draft: Draft, from: NodeId, message: Answer<'vote-answer'>): void {
  const { state } = draft;
  const { role } = state;
  if (role.kind !== 'candidate' || message.term !== state.term || !message.granted) return;
  // A vote for an earlier boot of this node may answer a request this boot knows nothing of.
  if (!answersThisBoot(draft, from, message.candidateBoot)) return;
  state.role = { ...role, votes: new Set(role.votes).add(from) };
  leadIfElected(draft);
}

const answersThisBoot = ({ state }: Draft, from: NodeId, boot: BootId): boolean =>
  boot === state.config.boot && state.otherVoters.includes(from);

function leadIfElected(draft: Draft): void {
  const { state } = draft;
  const { role, now, config } = state;
  if (role.kind !== 'candidate' || role.votes.size < majorityOf(config.voters.length)) return;
  const unheard: PeerView = {
    ackedAt: now,
    sequence: 0,
    health: null,
    priority: 0,
    probe: 0,
    databaseSince: null,
  };
  const leader: Leader = {
    kind: 'leader',
    sequence: 0,
    heartbeatAt: now,
    peers: new Map(state.others.map((id) => [id, unheard])),
    order: [],
    transfer: null,
    handOverAt: now,
  };
  state.role = leader;
  draft.reason = `${role.votes.size} of ${config.voters.length} votes: ${role.reason}`;
  sendHeartbeats(draft);
}
