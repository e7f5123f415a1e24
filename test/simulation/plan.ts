// A run as data: the cluster, and which faults begin when. Drawn from a seed (draw-plan.ts), or written by hand for one case.
// Faults can be left out of a failing plan one by one, to see which of them it takes.
import type { NodeId } from '../../nodes/raft/types.ts';

/** A node's id, or `leader`: whoever leads when the fault begins. */
export type Who = NodeId;

export type Fault =
  | { readonly kind: 'crash'; readonly who: Who; readonly forMs: number; readonly loseVoteFile: boolean }
  /** Dies in the middle of a step, its next one or the next that writes: after so many of its effects, 0 is before the write. */
  | {
      readonly kind: 'crash-midway';
      readonly who: Who;
      readonly inWrite: boolean;
      readonly effects: number;
      readonly forMs: number;
    }
  /** Dies and comes back with other settings; its vote file stays. */
  | {
      readonly kind: 'reconfigure';
      readonly who: Who;
      readonly settings: Settings;
      readonly forMs: number;
    }
  /** A collection, SIGSTOP, or a machine that is suspended, clock and all. */
  | { readonly kind: 'pause'; readonly who: Who; readonly clockToo: boolean; readonly forMs: number }
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
      /** What each datagram takes on average beyond the usual, exponentially: later ones overtake it. */
      readonly delayMs: number;
      /** On these links, in their direction; null: on all. */
      readonly links: readonly (readonly [NodeId, NodeId])[] | null;
    }
  | { readonly kind: 'disk-full'; readonly who: Who; readonly forMs: number }
  | { readonly kind: 'unfit'; readonly who: Who; readonly forMs: number }
  | { readonly kind: 'no-database'; readonly who: readonly Who[]; readonly forMs: number }
  | { readonly kind: 'transfer'; readonly target: NodeId | null }
  /** A connection to a living leader breaks. */
  | { readonly kind: 'false-evidence'; readonly who: NodeId }
  /** Somebody else claimed this many terms further. */
  | { readonly kind: 'fence-ahead'; readonly terms: number }
  /** The database fails over to a standby that had not seen the last claims. */
  | { readonly kind: 'claims-lost'; readonly claims: number }
  /** Only these pairs reach each other: a chain, a ring, a hub, groups. */
  | { readonly kind: 'mesh'; readonly pairs: readonly (readonly [NodeId, NodeId])[]; readonly forMs: number }
  /** Each write holds the whole thread of that node up. */
  | { readonly kind: 'slow-disk'; readonly who: Who; readonly writeMs: number; readonly forMs: number }
  /** Its clock leaps, and stays this much further on; or back, which for a node is a clock that stands still. */
  | { readonly kind: 'clock-leap'; readonly who: Who; readonly byMs: number };

/** Of one node, unlike those of the others. */
export interface Settings {
  readonly timeoutFactor: number;
  readonly priority: number;
}

/** Voters that stay away when the storm ends, and how: down, or cut off, or only hearing, or only heard. */
export interface LeftOut {
  readonly ids: readonly NodeId[];
  readonly how: 'down' | 'cut' | 'mute' | 'deaf';
}

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
  /** The members of generation 1, 2 and so on. An operator moves the nodes from one to the next while the storm goes on. */
  readonly generations: readonly (readonly Member[])[];
  /** From one restart by the operator to the next, in election timeouts. */
  readonly operatorPaceTimeouts: number;
  /** How far a node's clock may run fast or slow. */
  readonly clockDrift: number;
  readonly electionTimeoutMs: number;
  readonly heartbeatMs: number;
  /** One way, at its quickest. */
  readonly latencyMs: number;
  /** How often the others see the death of a process. */
  readonly evidence: number;
  readonly faults: readonly PlannedFault[];
  /** All faults end here, for all but these. */
  readonly calmAt: number;
  readonly leftOut: LeftOut | null;
}

/** Everybody who is a member in any generation, once. */
export function membersOf(generations: Plan['generations']): Member[] {
  const byId = new Map(generations.flat().map((member) => [member.id, member]));
  return [...byId.values()];
}
