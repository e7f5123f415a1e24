// Taking over a higher term. Apart from votes.ts and campaign.ts, the only place where the term changes.
import type { Draft } from './state.ts';
import { becomeFollower, leaveLeadership, noteTransfer, randomTimeout } from './state.ts';

/** Dissertation 3.3: whoever sees a higher term leaves its own. */
export function adoptTerm(draft: Draft, term: number, reason: string): void {
  const { state } = draft;
  const { role, now, term: left } = state;
  state.term = term;
  state.votedFor = null;
  switch (role.kind) {
    case 'follower':
      // The timer goes on: only a leader heard or a vote given is a reason to wait longer.
      if (role.leader) becomeFollower(draft, { ...role, leader: null }, reason);
      else draft.reason = reason;
      return;
    case 'pre-candidate':
      // Still nobody leads as far as it knows. It asks again, for the term after the new one.
      state.role = { ...role, firstRound: state.round + 1, grants: new Map() };
      draft.reason = reason;
      return;
    case 'leader':
      if (role.transfer) noteTransfer(draft, { ...role.transfer, outcome: 'done', rule: 'transferred' });
      leaveLeadership(draft, { term: left, rule: role.transfer ? 'transferred' : 'higher-term', reason });
      return;
    case 'candidate':
      becomeFollower(draft, { leader: null, order: [], campaignAt: now + randomTimeout(draft) }, reason);
  }
}
