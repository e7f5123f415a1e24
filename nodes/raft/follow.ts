// Following a leader: hearing it, answering it, losing it by silence or by evidence. Learners do only this.
import type { Draft } from './state.ts';
import type { BootId, Input, Message, NodeId } from './types.ts';
import { adoptTerm } from './terms.ts';
import { askForPreVotes, campaign, waitForAnother } from './campaign.ts';
import { becomeFollower, mayLead, randomTimeout, send } from './state.ts';
import { stepDown } from './lead.ts';
import { rankSpacingMs } from './succession.ts';
import { answerPutOff } from './votes.ts';

interface Heartbeat {
  readonly from: NodeId;
  readonly fromBoot: BootId;
  readonly message: Extract<Message, { kind: 'heartbeat' }>;
}

export function onHeartbeat(draft: Draft, { from, fromBoot, message }: Heartbeat): void {
  const { state } = draft;
  if (!state.config.voters.includes(from)) return;
  if (message.term < state.term) {
    // It learns of the higher term from this answer and stops leading the old one.
    acknowledge(draft, from, message);
    return;
  }
  if (message.term > state.term) adoptTerm(draft, message.term, `${from} leads term ${message.term}`);
  const { role, heard, evidence, now } = state;
  const known = heard?.term === message.term ? heard : null;
  // Two leaders of one term happen only after lost vote files, and the database lets one of them write.
  // This node stays with the first it heard; a leader gives way, since it cannot tell which one that is.
  if (known && known.from !== from) return;
  if (role.kind === 'leader') {
    stepDown(draft, { rule: 'second-leader', reason: `${from} leads term ${message.term} too` });
    return;
  }
  if (known && message.sequence <= known.sequence) return;
  state.heard = { term: message.term, from, sequence: message.sequence, sentAt: message.sentAt };
  acknowledge(draft, from, message);
  // Sent before the evidence of death was doubted by this leader itself: it proves nothing.
  const suspected = evidence !== null && evidence.boot === fromBoot && evidence.term === message.term;
  if (suspected && message.probe < evidence.probe) return;
  const before = role.kind === 'follower' ? role.leader : null;
  const since = before && before.id === from && before.boot === fromBoot ? before.since : now;
  const campaignAt = now + state.config.electionTimeoutMs + waitOfRank(draft, message.order);
  becomeFollower(
    draft,
    { leader: { id: from, boot: fromBoot, heardAt: now, since }, order: message.order, campaignAt },
    `hears ${from}`,
  );
}

/** What this node waits beyond the timeout: by rank where it has one, else by chance. */
function waitOfRank(draft: Draft, order: readonly NodeId[]): number {
  const { config } = draft.state;
  const rank = order.indexOf(config.id);
  return rank < 0 ? randomTimeout(draft) - config.electionTimeoutMs : rank * rankSpacingMs(config);
}

function acknowledge(draft: Draft, to: NodeId, heartbeat: { sequence: number; sentAt: number }): void {
  const { term, config, health, diskFailed, probe } = draft.state;
  const own = diskFailed ? { ...health, fit: false, reason: 'the vote file cannot be written' } : health;
  send(draft, to, {
    kind: 'heartbeat-answer',
    term,
    generation: config.generation,
    sequence: heartbeat.sequence,
    sentAt: heartbeat.sentAt,
    health: own,
    priority: config.priority,
    probe,
  });
}

/** The leader's process is seen dead: forgotten at once, which shortens the wait and grants nothing. */
export function onEvidence(
  draft: Draft,
  { leader, leaderBoot, term }: Extract<Input, { kind: 'evidence' }>,
): void {
  const { state } = draft;
  const { role, evidence, now, config } = state;
  if (term !== state.term || role.kind !== 'follower' || role.leader === null) return;
  if (role.leader.id !== leader || role.leader.boot !== leaderBoot) return;
  // Taken back once by a living leader, this kind of evidence is not believed again: the timeout decides.
  if (evidence !== null && evidence.boot === leaderBoot && evidence.term === term) return;
  state.probe += 1;
  state.evidence = { boot: leaderBoot, term, probe: state.probe };
  // Carries the new probe. Should the leader live, its next heartbeat echoes it and is believed.
  if (state.heard) acknowledge(draft, leader, state.heard);
  const rank = role.order.indexOf(config.id);
  const wait = rank < 0 ? randomTimeout(draft) : rank * rankSpacingMs(config);
  becomeFollower(
    draft,
    { leader: null, order: role.order, campaignAt: now + wait },
    `the process of ${leader} died`,
  );
  answerPutOff(draft);
}

/** TimeoutNow (dissertation 3.10): campaigns at once, with the old leader's word that stickiness does not apply. */
export function onTransferNow(draft: Draft, from: NodeId, term: number): void {
  const { state } = draft;
  const { role } = state;
  if (term !== state.term || role.kind !== 'follower' || !mayLead(state)) return;
  if (role.leader?.id !== from) return;
  campaign(draft, { transfer: true, reason: `${from} hands leadership over` });
}

/** Silence: the leader is forgotten after one timeout, and by rank or chance this node asks to replace it. */
export function followerTimer(draft: Draft): void {
  const { role, now, config, term, evidence } = draft.state;
  if (role.kind !== 'follower') return;
  // As a sum, which is what the wake-up was asked for: a difference may fall short of it by a rounding.
  const silent = role.leader !== null && now >= role.leader.heardAt + config.electionTimeoutMs;
  const missing = evidence?.term === term ? 'the process of the leader died' : 'no leader was heard';
  const reason = silent ? `${role.leader?.id ?? ''} was silent for a timeout` : missing;
  if (silent) becomeFollower(draft, { ...role, leader: null }, reason);
  if (now < role.campaignAt) return;
  if (mayLead(draft.state)) askForPreVotes(draft, reason);
  else waitForAnother(draft, reason);
}
