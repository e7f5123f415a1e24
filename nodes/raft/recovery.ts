// After a lost vote file. This node cannot know whom it voted for, and a majority cannot tell it: a candidate's request
// may have reached it alone. So it stays out of votes until every other voter has told its term (each candidate
// persists its term before it asks, so all of them together know the highest one this node can have voted in), or
// until it has followed one leader for so long that no old request can still be under way.
import type { Draft } from './state.ts';
import type { Message, NodeId } from './types.ts';
import { adoptTerm } from './terms.ts';
import { send } from './state.ts';

const followedTimeouts = 10;

export function beginAbstaining(draft: Draft): void {
  const { state } = draft;
  state.abstention = { nonce: state.seed >>> 0, terms: new Map(), askAt: state.now };
  draft.notes.push({ kind: 'abstaining', reason: 'the vote file was lost' });
}

export function onTermAnswer(
  draft: Draft,
  from: NodeId,
  message: Extract<Message, { kind: 'term-answer' }>,
): void {
  const { state } = draft;
  const { abstention, config } = state;
  if (!abstention || message.askerBoot !== config.boot || message.nonce !== abstention.nonce) return;
  if (!state.otherVoters.includes(from)) return;
  state.abstention = { ...abstention, terms: new Map(abstention.terms).set(from, message.term) };
}

/** Ends the abstention when it may end; asks again for the terms that are still missing. */
export function continueAbstaining(draft: Draft): void {
  const { state } = draft;
  const { abstention, role, now, config, otherVoters, votes } = state;
  if (!abstention) return;
  if (votes && otherVoters.every((id) => abstention.terms.has(id))) {
    const highest = Math.max(0, ...abstention.terms.values());
    if (highest > state.term) adoptTerm(draft, highest, `the other voters are in terms up to ${highest}`);
    voteAgain(draft, 'every other voter has told its term');
    return;
  }
  if (role.kind === 'follower' && role.leader && now >= role.leader.since + followMs(draft)) {
    voteAgain(draft, `followed ${role.leader.id} for ${followedTimeouts} timeouts`);
    return;
  }
  if (!votes || now < abstention.askAt) return;
  state.abstention = { ...abstention, askAt: now + config.heartbeatMs };
  for (const to of otherVoters) {
    if (abstention.terms.has(to)) continue;
    send(draft, to, {
      kind: 'term-request',
      term: state.term,
      generation: config.generation,
      nonce: abstention.nonce,
    });
  }
}

const followMs = ({ state }: Pick<Draft, 'state'>): number =>
  followedTimeouts * state.config.electionTimeoutMs;

function voteAgain(draft: Draft, reason: string): void {
  const { state } = draft;
  state.abstention = null;
  state.votesAgain = reason;
  // The vote of this term may have been given before the loss: it counts as spent, on itself, and was never asked for.
  state.votedFor ??= state.config.id;
  draft.notes.push({ kind: 'voting-again', reason });
}

export function abstainingWakeAt({ state }: Pick<Draft, 'state'>): number {
  const { abstention, role, votes } = state;
  if (!abstention) return Infinity;
  const since = role.kind === 'follower' && role.leader ? role.leader.since : Infinity;
  return Math.min(since + followMs({ state }), votes ? abstention.askAt : Infinity);
}

/** An abstaining node does not answer: what it forgot is just what the asker needs to know. */
export function onTermRequest(
  draft: Draft,
  { from, fromBoot, nonce }: { from: NodeId; fromBoot: string; nonce: number },
): void {
  const { term, config, abstention, votes, diskFailed } = draft.state;
  if (!votes || abstention || diskFailed) return;
  send(draft, from, { kind: 'term-answer', term, generation: config.generation, nonce, askerBoot: fromBoot });
}
