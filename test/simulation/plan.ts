// A run as data: the cluster, and which faults begin when. Drawn from a seed, or written by hand for one case.
// Faults can be left out of a failing plan one by one, to see which of them it takes.
import type { NodeId } from '../../nodes/raft/types.ts';
import { Chance } from './chance.ts';

/** A node's id, or `leader`: whoever leads when the fault begins. */
export type Who = NodeId;

export type Fault =
  | { readonly kind: 'crash'; readonly who: Who; readonly forMs: number; readonly loseVoteFile: boolean }
  /** Dies between two effects of one step, right after its next write to disk. */
  | { readonly kind: 'crash-after-write'; readonly who: Who; readonly forMs: number }
  | { readonly kind: 'pause'; readonly who: Who; readonly forMs: number }
  /** Nothing gets from `from` to `to`. */
  | {
      readonly kind: 'cut';
      readonly from: readonly Who[];
      readonly to: readonly Who[];
      readonly forMs: number;
    }
  | {
      readonly kind: 'noise';
      readonly forMs: number;
      readonly loss: number;
      readonly duplicate: number;
      /** Each datagram takes up to this long, so that later ones overtake it. */
      readonly delayMs: number;
    }
  | { readonly kind: 'disk-full'; readonly who: Who; readonly forMs: number }
  | { readonly kind: 'unfit'; readonly who: Who; readonly forMs: number }
  | { readonly kind: 'no-database'; readonly who: readonly Who[]; readonly forMs: number }
  | { readonly kind: 'transfer'; readonly target: NodeId | null }
  /** A connection to a living leader breaks. */
  | { readonly kind: 'false-evidence'; readonly who: NodeId }
  /** Somebody else claimed this many terms further. */
  | { readonly kind: 'fence-ahead'; readonly terms: number };

export interface PlannedFault {
  readonly at: number;
  readonly fault: Fault;
}

export interface Member {
  readonly id: NodeId;
  readonly voter: boolean;
  readonly priority: number;
}

export interface Plan {
  readonly seed: number;
  readonly members: readonly Member[];
  readonly electionTimeoutMs: number;
  readonly heartbeatMs: number;
  /** One way, at its quickest. */
  readonly latencyMs: number;
  /** How often the others see the death of a process. */
  readonly evidence: number;
  readonly faults: readonly PlannedFault[];
  /** All faults end here. */
  readonly calmAt: number;
}

const faultsPerStorm = 24;

/** The storm of this seed. */
export function planStorm(seed: number): Plan {
  const chance = new Chance(seed);
  const voters = chance.pick([1, 3, 3, 3, 3, 5, 5, 7]);
  const learners = chance.pick([0, 0, 0, 1, 2]);
  const members: Member[] = Array.from({ length: voters + learners }, (_, index) => ({
    id: `n${index + 1}`,
    voter: index < voters,
    priority: index > 1 && chance.happens(0.1) ? 0 : chance.pick([50, 50, 50, 100]),
  }));
  const electionTimeoutMs = chance.pick([60, 100, 100, 250, 1_000]);
  const faults: PlannedFault[] = [];
  let at = 3 * electionTimeoutMs;
  for (let count = 0; count < faultsPerStorm; count++) {
    faults.push({ at, fault: drawFault(chance, members, electionTimeoutMs) });
    at += electionTimeoutMs * chance.between(0.2, 5);
  }
  return {
    seed,
    members,
    electionTimeoutMs,
    heartbeatMs: electionTimeoutMs / chance.pick([3, 5, 5, 8]),
    latencyMs: electionTimeoutMs * chance.pick([0.002, 0.005, 0.02]),
    evidence: chance.pick([0, 0.5, 1]),
    faults,
    calmAt: at + electionTimeoutMs,
  };
}

function drawFault(chance: Chance, members: readonly Member[], timeoutMs: number): Fault {
  const ids = members.map(({ id }) => id);
  const who = (): Who => (chance.happens(0.6) ? 'leader' : chance.pick(ids));
  const forMs = timeoutMs * chance.between(0.3, 5);
  const dice = chance.next();
  if (dice < 0.3) return { kind: 'crash', who: who(), forMs, loseVoteFile: chance.happens(0.1) };
  if (dice < 0.38) return { kind: 'crash-after-write', who: chance.pick(ids), forMs };
  if (dice < 0.48) return { kind: 'pause', who: who(), forMs };
  if (dice < 0.6) {
    const some = ids.filter(() => chance.happens(0.4));
    const from = chance.happens(0.5) ? [who()] : some;
    return { kind: 'cut', from, to: chance.happens(0.5) ? ids : [chance.pick(ids)], forMs };
  }
  if (dice < 0.7)
    return {
      kind: 'noise',
      forMs,
      loss: chance.between(0, 0.4),
      duplicate: chance.between(0, 0.5),
      delayMs: timeoutMs * chance.pick([0.02, 0.2, 1, 3]),
    };
  if (dice < 0.75) return { kind: 'disk-full', who: chance.pick(ids), forMs };
  if (dice < 0.8) return { kind: 'unfit', who: who(), forMs };
  if (dice < 0.84) return { kind: 'no-database', who: chance.happens(0.5) ? ids : [who()], forMs: 4 * forMs };
  if (dice < 0.94) return { kind: 'transfer', target: chance.happens(0.5) ? null : chance.pick(ids) };
  if (dice < 0.98) return { kind: 'false-evidence', who: chance.pick(ids) };
  return { kind: 'fence-ahead', terms: 1 + chance.below(3) };
}
