// Leading: heartbeats, the count of who still hears them, and handing leadership over when asked or when unwell.
// Never believes in its own leadership longer than a majority vouches for it.
import type { Draft, Leader, PeerView, Transfer } from './state.ts';
import type { Config, Input, Message, NodeId, StepDownRule, TransferRule } from './types.ts';
import { leaveLeadership, noteTransfer, send } from './state.ts';
import { quorumHeardAt } from './quorum.ts';
import { askAgainMs, successionOf } from './succession.ts';

/**
 * How long a follower must have reported a database, while this leader has none, before leadership is handed over: an outage
 * of the database itself is not seen by all at once.
 */
const databaseSteadyMs = 1_000;
/**
 * A leader that no majority answers asks so many times as often for what is left of its timeout: on a network that loses
 * and delays, few heartbeats are sent early enough to be answered within it, and each is a chance to stay.
 */
const urgency = 3;

export function onHeartbeatAnswer(
  draft: Draft,
  from: NodeId,
  message: Extract<Message, { kind: 'heartbeat-answer' }>,
): void {
  const { state } = draft;
  const { role, now } = state;
  if (role.kind !== 'leader' || message.term !== state.term) return;
  const peer = role.peers.get(from);
  if (!peer || message.sequence > role.sequence || message.sentAt > now) return;
  const newest = message.sequence >= peer.sequence;
  const next: PeerView = {
    ackedAt: Math.max(peer.ackedAt, message.sentAt),
    sequence: Math.max(peer.sequence, message.sequence),
    health: newest ? message.health : peer.health,
    priority: newest ? message.priority : peer.priority,
    probe: Math.max(peer.probe, message.probe),
    databaseSince: !newest
      ? peer.databaseSince
      : message.health.databaseReachable
        ? (peer.databaseSince ?? now)
        : null,
  };
  state.role = { ...role, peers: new Map(role.peers).set(from, next) };
}

export function stepDown(draft: Draft, { rule, reason }: { rule: StepDownRule; reason: string }): void {
  const { role, term } = draft.state;
  if (role.kind === 'leader' && role.transfer)
    noteTransfer(draft, { target: role.transfer.target, outcome: 'failed', rule, reason });
  leaveLeadership(draft, { term, rule, reason });
}

/**
 * Everything that is due for a leader. Called by its timer alone, which comes after what waited in the socket: each answer
 * in there may keep this leader. The count comes first: a leader that woke late sends nothing before it.
 */
export function leaderTick(draft: Draft): void {
  const { state } = draft;
  const { config, now } = state;
  if (state.role.kind !== 'leader') return;
  if (now >= quorumHeardAt(config, state.role.peers, now) + config.electionTimeoutMs) {
    stepDown(draft, { rule: 'quorum-lost', reason: 'no majority answered for a timeout' });
    return;
  }
  if (now >= state.role.heartbeatAt) sendHeartbeats(draft);
  continueTransfer(draft);
  mindHealth(draft);
}

export function sendHeartbeats(draft: Draft): void {
  const { state } = draft;
  const { config, now, term, role } = state;
  if (role.kind !== 'leader') return;
  const sequence = role.sequence + 1;
  const order = successionOf(config, role.peers, now);
  const quorumIsSilent = now - quorumHeardAt(config, role.peers, now) > quietMs(config);
  const pauseMs = quorumIsSilent ? config.heartbeatMs / urgency : config.heartbeatMs;
  state.role = { ...role, sequence, order, heartbeatAt: now + pauseMs };
  const beat = {
    kind: 'heartbeat',
    term,
    generation: config.generation,
    sequence,
    sentAt: now,
    order,
  } as const;
  for (const [to, { probe }] of role.peers) send(draft, to, { ...beat, probe });
}

/** No answer is overdue within this time: two heartbeats and a margin. */
const quietMs = ({ heartbeatMs, electionTimeoutMs }: Config): number =>
  Math.max(2 * heartbeatMs, electionTimeoutMs / 3);

/** Nothing that was sent of late has been answered. */
function isSilent({ state }: Draft, peer: PeerView): boolean {
  return peer.sequence === 0 || state.now - peer.ackedAt > quietMs(state.config);
}

/** Who could take over now, best first. Not one that could only wait, from a leader that writes. */
function heirsOf(draft: Draft, role: Leader, tried: readonly NodeId[]): NodeId[] {
  return successionOf(draft.state.config, role.peers, draft.state.now).filter((id) => {
    const peer = role.peers.get(id);
    if (!peer?.health?.fit || isSilent(draft, peer) || tried.includes(id)) return false;
    return peer.health.databaseReachable || !mayWrite(draft);
  });
}
const mayWrite = ({ state }: Draft): boolean => state.health.fit && state.health.databaseReachable;

export function onTransfer(draft: Draft, { target, reason }: Extract<Input, { kind: 'transfer' }>): void {
  const { role, now } = draft.state;
  const fail = (why: string, rule: TransferRule = 'unsuitable-target'): void =>
    noteTransfer(draft, { target, outcome: 'failed', rule, reason: why });
  if (role.kind !== 'leader') return fail('this node does not lead', 'not-the-leader');
  if (role.transfer)
    return fail(`leadership is already being handed to ${role.transfer.target}`, 'one-at-a-time');
  if (target === null) {
    const heir = heirsOf(draft, role, [])[0];
    if (heir === undefined)
      return fail(mayWrite(draft) ? 'no fit voter with a database answers' : 'no fit voter answers');
    return beginTransfer(draft, role, { target: heir, named: false, rule: 'asked', reason });
  }
  const peer = role.peers.get(target);
  if (target === draft.state.config.id) return fail('this node leads already');
  if (!peer) return fail(`${target} is not a member`);
  if (!draft.state.otherVoters.includes(target)) return fail(`${target} is a learner and never leads`);
  if (isSilent(draft, peer)) {
    const age = peer.sequence === 0 ? 'never' : `not for ${Math.round(now - peer.ackedAt)} ms`;
    const silence = `${target} has answered ${age}`;
    const heir = heirsOf(draft, role, [target])[0];
    if (heir === undefined) return fail(silence);
    const instead = `${reason} (${silence}, so another one is asked)`;
    return beginTransfer(draft, role, { target: heir, named: false, rule: 'asked', reason: instead });
  }
  if (peer.priority === 0) return fail(`${target} has priority 0 and never leads`);
  if (peer.health && !peer.health.fit)
    return fail(`${target} is not fit: ${peer.health.reason ?? 'no reason given'}`);
  if (mayWrite(draft) && !peer.health?.databaseReachable)
    return fail(`${target} has no database, and this node has one`);
  return beginTransfer(draft, role, { target, named: true, rule: 'asked', reason });
}

function beginTransfer(
  draft: Draft,
  role: Leader,
  { target, named, rule, reason }: Pick<Transfer, 'target' | 'named' | 'rule' | 'reason'>,
): void {
  const { state } = draft;
  const { now, config } = state;
  const until = now + config.electionTimeoutMs;
  const transfer: Transfer = {
    target,
    named,
    rule,
    reason,
    until,
    triedAt: now,
    tried: [target],
    againAt: now,
  };
  state.role = { ...role, transfer };
  noteTransfer(draft, { target, outcome: 'started', rule, reason });
  continueTransfer(draft);
}

/** Dissertation 3.10: if nobody has taken over after one election timeout, the leader goes on leading. */
function continueTransfer(draft: Draft): void {
  const { state } = draft;
  const { role, now, config, term } = state;
  if (role.kind !== 'leader' || !role.transfer) return;
  let { transfer } = role;
  if (now >= transfer.until) {
    const reason = `${transfer.tried.join(', ')} did not take over within one election timeout`;
    noteTransfer(draft, { target: transfer.target, outcome: 'failed', rule: 'one-timeout', reason });
    state.role = { ...role, transfer: null, handOverAt: now + databaseSteadyMs };
    return;
  }
  const peer = role.peers.get(transfer.target);
  const tooLong = !transfer.named && now - transfer.triedAt >= config.electionTimeoutMs / 3;
  if (tooLong || !peer || isSilent(draft, peer)) {
    const next = heirsOf(draft, role, transfer.tried)[0];
    if (next !== undefined) {
      const tried = [...transfer.tried, next];
      transfer = { ...transfer, target: next, named: false, tried, triedAt: now, againAt: now };
      noteTransfer(draft, { ...transfer, outcome: 'started' });
    }
  }
  if (now >= transfer.againAt) {
    send(draft, transfer.target, { kind: 'transfer-now', term, generation: config.generation });
    transfer = { ...transfer, againAt: now + askAgainMs(config) };
  }
  state.role = { ...role, transfer };
}

export function mindHealth(draft: Draft): void {
  const { state } = draft;
  const { role, now, health } = state;
  if (role.kind !== 'leader' || role.transfer) return;
  if (!health.fit) {
    const reason = `not fit to lead: ${health.reason ?? 'no reason given'}`;
    const heir = heirsOf(draft, role, [])[0];
    // One attempt, then it stops: a node that must not lead does not wait for a better moment.
    if (heir === undefined || now < role.handOverAt) stepDown(draft, { rule: 'unfit', reason });
    else beginTransfer(draft, role, { target: heir, named: false, rule: 'unfit', reason });
    return;
  }
  if (health.databaseReachable || now < role.handOverAt) return;
  // With no database anywhere another leader could do no more than this one (and terms would rise for nothing).
  const heir = heirsOf(draft, role, []).find((id) => {
    const since = role.peers.get(id)?.databaseSince;
    return (
      since !== undefined && since !== null && now - Math.max(since, state.databaseLostAt) >= databaseSteadyMs
    );
  });
  if (heir !== undefined)
    beginTransfer(draft, role, {
      target: heir,
      named: false,
      rule: 'no-database',
      reason: 'no database here',
    });
}

/** When this leader has something to do next. */
export function leaderWakeAt({ state }: Draft, role: Leader): number {
  const { config, now } = state;
  const quorumEnds = quorumHeardAt(config, role.peers, now) + config.electionTimeoutMs;
  const transferDue = role.transfer ? Math.min(role.transfer.againAt, role.transfer.until) : Infinity;
  return Math.min(role.heartbeatAt, quorumEnds, transferDue);
}
