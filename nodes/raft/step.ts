// The election core: one input in, the next state and the effects to carry out in their order. No clock, no chance and
// no I/O of its own: the same state and input give the same answer for ever. Decides who leads and nothing else.
import type { Draft, State } from './state.ts';
import type { Effect, Input, RoleView } from './types.ts';
import { adoptTerm } from './terms.ts';
import { askAgain, askForPreVotes, onPreVoteAnswer, onVoteAnswer } from './campaign.ts';
import { becomeFollower, mayLead, randomTimeout, roleView } from './state.ts';
import { followerTimer, onEvidence, onHeartbeat, onTransferNow } from './follow.ts';
import { leaderTick, leaderWakeAt, mindHealth, onHeartbeatAnswer, onTransfer, stepDown } from './lead.ts';
import {
  abstainingWakeAt,
  beginAbstaining,
  continueAbstaining,
  onTermAnswer,
  onTermRequest,
} from './recovery.ts';
import { onPreVoteRequest, onVoteRequest } from './votes.ts';

export { view } from './state.ts';

export interface Step {
  readonly state: State;
  /** To be carried out in this order: persist, sends, role, notes, wake. If persist fails, none of the others. */
  readonly effects: readonly Effect[];
}

export function step(state: State, input: Input): Step {
  const draft: Draft = {
    state: { ...state, now: Math.max(state.now, input.now) },
    sends: [],
    notes: [],
    reason: '',
  };
  take(draft, input);
  if (draft.state.abstention) continueAbstaining(draft);
  return { state: draft.state, effects: effectsOf(draft, input) };
}

function take(draft: Draft, input: Input): void {
  const { state } = draft;
  switch (input.kind) {
    case 'start':
      return start(draft, input);
    case 'timer':
      return onTimer(draft);
    case 'message':
      return onMessage(draft, input);
    case 'evidence':
      return onEvidence(draft, input);
    case 'health':
      if (state.health.databaseReachable) state.databaseLostAt = state.now;
      state.health = input.health;
      mindHealth(draft);
      return campaignIfAlone(draft);
    case 'transfer':
      return onTransfer(draft, input);
    case 'fence-refused':
      return onFenceRefused(draft, input.databaseTerm);
    case 'persist-failed':
      return onPersistFailed(draft, input.reason);
    case 'persist-recovered':
      state.diskFailed = false;
      // The failed write may have taken this note with it, and a restart would abstain once more.
      if (state.votesAgain !== null) draft.notes.push({ kind: 'voting-again', reason: state.votesAgain });
      return campaignIfAlone(draft);
  }
}

function start(draft: Draft, { recovered, seed, now }: Extract<Input, { kind: 'start' }>): void {
  const { state } = draft;
  state.seed = seed | 0;
  state.databaseLostAt = now;
  if (recovered.kind === 'found') {
    state.saved = recovered.persisted;
    state.term = recovered.persisted.term;
    state.votedFor = recovered.persisted.votedFor;
  }
  becomeFollower(draft, { leader: null, order: [], campaignAt: now + randomTimeout(draft) }, 'started');
  if (recovered.kind === 'lost') {
    state.term = recovered.term;
    beginAbstaining(draft);
    continueAbstaining(draft);
  }
  campaignIfAlone(draft);
}

/** A single voter has nobody to wait for. */
function campaignIfAlone(draft: Draft): void {
  const { state } = draft;
  if (state.otherVoters.length === 0 && state.role.kind === 'follower' && mayLead(state))
    askForPreVotes(draft, 'the only voter');
}

function onTimer(draft: Draft): void {
  const { role, now } = draft.state;
  switch (role.kind) {
    case 'follower':
      return followerTimer(draft);
    case 'pre-candidate':
      if (!mayLead(draft.state)) return askForPreVotes(draft, 'may not lead any more');
      return now >= role.askAt ? askAgain(draft) : undefined;
    case 'candidate':
      if (now >= role.giveUpAt) return askForPreVotes(draft, 'not elected in time');
      return now >= role.askAt ? askAgain(draft) : undefined;
    case 'leader':
      return leaderTick(draft);
  }
}

function onMessage(draft: Draft, input: Extract<Input, { kind: 'message' }>): void {
  const { state } = draft;
  const { from, fromBoot, message } = input;
  if (!state.others.includes(from) || !Number.isSafeInteger(message.term + 1) || message.term < 0)
    return undefined;
  // The two requests judge term and generation themselves, since a refusal must say which it was.
  if (message.kind === 'pre-vote-request') return onPreVoteRequest(draft, { from, fromBoot, message });
  if (message.kind === 'vote-request') return onVoteRequest(draft, { from, fromBoot, message });
  if (message.generation !== state.config.generation) return undefined;
  if (message.kind === 'heartbeat') return onHeartbeat(draft, { from, fromBoot, message });
  if (message.term > state.term) adoptTerm(draft, message.term, `${from} is in term ${message.term}`);
  switch (message.kind) {
    case 'pre-vote-answer':
      return onPreVoteAnswer(draft, from, message);
    case 'vote-answer':
      return onVoteAnswer(draft, from, message);
    case 'heartbeat-answer':
      return onHeartbeatAnswer(draft, from, message);
    case 'transfer-now':
      return onTransferNow(draft, from, message.term);
    case 'term-request':
      return onTermRequest(draft, { from, fromBoot, nonce: message.nonce });
    case 'term-answer':
      return onTermAnswer(draft, from, message);
  }
}

/** The database is the last word on terms: it has seen this one, held by somebody else. */
function onFenceRefused(draft: Draft, databaseTerm: number): void {
  const { state } = draft;
  if (!Number.isSafeInteger(databaseTerm + 1) || databaseTerm < state.term) return;
  const reason = `the database is in term ${databaseTerm}`;
  if (state.role.kind === 'leader') stepDown(draft, { rule: 'fence-refused', reason });
  if (databaseTerm > state.term) adoptTerm(draft, databaseTerm, reason);
  campaignIfAlone(draft);
}

/**
 * Term and vote stay as they are in memory: what was decided is never decided again otherwise. A leader does not write
 * while it leads, so a failure that reaches one concerns the very vote that made it leader.
 */
function onPersistFailed(draft: Draft, cause: string): void {
  const { state } = draft;
  state.diskFailed = true;
  const reason = `the vote file cannot be written: ${cause}`;
  if (state.role.kind === 'leader') stepDown(draft, { rule: 'cannot-persist', reason });
  else if (state.role.kind !== 'follower')
    becomeFollower(draft, { leader: null, order: [], campaignAt: state.now + randomTimeout(draft) }, reason);
}

function effectsOf(draft: Draft, input: Input): Effect[] {
  const { state } = draft;
  const effects: Effect[] = [];
  // Persist before send (dissertation 3.8): a vote sent and then forgotten in a crash could be cast twice.
  const { term, votedFor } = state;
  if (!state.diskFailed && (term !== state.saved.term || votedFor !== state.saved.votedFor)) {
    state.saved = { term, votedFor };
    effects.push({ kind: 'persist', persisted: state.saved });
  }
  effects.push(...draft.sends);
  const role = roleView(state);
  if (state.told === null || state.told.term !== term || !sameRole(state.told.role, role)) {
    state.told = { role, term };
    effects.push({ kind: 'role', role, term, reason: draft.reason });
  }
  for (const note of draft.notes) effects.push({ kind: 'note', note });
  const wakeAt = wakeAtOf(draft);
  if (wakeAt !== state.wakeAt || input.kind !== 'message') {
    state.wakeAt = wakeAt;
    effects.push({ kind: 'wake', at: wakeAt });
  }
  return effects;
}

const sameRole = (a: RoleView, b: RoleView): boolean =>
  a.kind === b.kind && ('leader' in a ? a.leader : null) === ('leader' in b ? b.leader : null);

function wakeAtOf(draft: Draft): number {
  const { role, config } = draft.state;
  const abstaining = abstainingWakeAt(draft);
  if (role.kind === 'leader') return Math.min(abstaining, leaderWakeAt(draft, role));
  if (role.kind === 'candidate') return Math.min(abstaining, role.askAt, role.giveUpAt);
  if (role.kind === 'pre-candidate') return Math.min(abstaining, role.askAt);
  const silentAt = role.leader ? role.leader.heardAt + config.electionTimeoutMs : Infinity;
  return Math.min(abstaining, role.campaignAt, silentAt);
}
