// Judging the requests of others: may this one campaign, does it get this node's vote. Every refusal names its rule.
import type { Draft, State } from './state.ts';
import type { BootId, Message, NodeId, Rule } from './types.ts';
import { adoptTerm } from './terms.ts';
import { becomeFollower, randomTimeout, send } from './state.ts';
import { quorumHeardAt } from './quorum.ts';
import { sections } from './rules.ts';
import { askAgainMs } from './succession.ts';

type VoteRequest = Extract<Message, { kind: 'vote-request' }>;
interface Request<K extends Message['kind']> {
  readonly from: NodeId;
  readonly fromBoot: BootId;
  readonly message: Extract<Message, { kind: K }>;
}

/** Stickiness (dissertation 4.2.3, 6.4): who hears a leader, or is one with a majority, helps nobody to replace it. */
function leaderIsAlive({ role, now, config }: State): boolean {
  if (role.kind === 'leader') return now - quorumHeardAt(config, role.peers, now) < config.electionTimeoutMs;
  return (
    role.kind === 'follower' && role.leader !== null && now - role.leader.heardAt < config.electionTimeoutMs
  );
}

/** Not one of those who elect together here (dissertation 4.1; a generation is one set of voters). */
function stranger({ config, votes }: State, from: NodeId, generation: number): Rule | null {
  if (generation !== config.generation) return 'other-generation';
  return votes && config.voters.includes(from) ? null : 'not-a-voter';
}
/** What keeps this node from voting for anybody. */
function unable(state: State): Rule | null {
  if (state.abstention) return 'abstaining';
  return state.diskFailed ? 'cannot-persist' : null;
}

export function onPreVoteRequest(
  draft: Draft,
  { from, fromBoot, message }: Request<'pre-vote-request'>,
): void {
  const { state } = draft;
  const rule =
    stranger(state, from, message.generation) ??
    unable(state) ??
    (leaderIsAlive(state) ? 'leader-is-alive' : message.term > state.term ? 'granted' : 'term-too-low');
  send(draft, from, {
    kind: 'pre-vote-answer',
    term: state.term,
    generation: state.config.generation,
    round: message.round,
    candidateBoot: fromBoot,
    granted: rule === 'granted',
    rule,
  });
  if (rule === 'leader-is-alive') state.putOff = { from, fromBoot, message, at: state.now };
  if (rule !== 'granted') noteRefusal(draft, { candidate: from, term: message.term, rule });
}

/** Called when the leader was seen dead: who saw it a moment sooner need not wait until it asks again. The yes binds nobody. */
export function answerPutOff(draft: Draft): void {
  const { state } = draft;
  const { putOff, now, config } = state;
  state.putOff = null;
  if (putOff && now - putOff.at < askAgainMs(config)) onPreVoteRequest(draft, putOff);
}

export function onVoteRequest(draft: Draft, { from, fromBoot, message }: Request<'vote-request'>): void {
  const { state } = draft;
  const rule = judgeVote(draft, from, message);
  if (rule === 'granted' && state.votedFor === null) {
    state.votedFor = from;
    // A vote given restarts the timer, so that the one voted for has time to lead (dissertation 3.4).
    const campaignAt = state.now + randomTimeout(draft);
    const order = state.role.kind === 'follower' ? state.role.order : [];
    becomeFollower(draft, { leader: null, order, campaignAt }, `votes for ${from}`);
  }
  if (rule !== 'granted') noteRefusal(draft, { candidate: from, term: message.term, rule });
  send(draft, from, {
    kind: 'vote-answer',
    term: state.term,
    generation: state.config.generation,
    candidateBoot: fromBoot,
    granted: rule === 'granted',
    rule,
  });
}

function judgeVote(draft: Draft, from: NodeId, message: VoteRequest): Rule {
  const { state } = draft;
  const foreign = stranger(state, from, message.generation);
  if (foreign) return foreign;
  if (message.term < state.term) return 'term-too-low';
  // Before the term is adopted: else one impatient candidate would depose a leader that everybody hears. The old leader's
  // word lifts that for terms after its own; a request that comes late finds a leader of its very term.
  const lifted = message.transfer && message.term > state.term;
  if (!lifted && leaderIsAlive(state)) return 'leader-is-alive';
  if (message.term > state.term) adoptTerm(draft, message.term, `${from} campaigns in term ${message.term}`);
  const barred = unable(state);
  if (barred) return barred;
  // One vote per term (dissertation 3.4). Asked again by the same candidate, the same answer.
  return state.votedFor === null || state.votedFor === from ? 'granted' : 'already-voted';
}

/** Once per candidate, term and rule: a refused pre-candidate asks every few milliseconds. */
function noteRefusal(draft: Draft, refusal: { candidate: NodeId; term: number; rule: Rule }): void {
  const { state } = draft;
  const noted = `${refusal.term}/${refusal.rule}`;
  if (state.refusals.get(refusal.candidate) === noted) return;
  state.refusals = new Map(state.refusals).set(refusal.candidate, noted);
  draft.notes.push({ kind: 'vote-refused', ...refusal, section: sections[refusal.rule] });
}
