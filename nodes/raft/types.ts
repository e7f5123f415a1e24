// The vocabulary of the election core: what goes into step() and what comes out. Data only.
// Election-only Raft (Ongaro's dissertation, https://github.com/ongardie/dissertation): no replicated log,
// so a vote is decided by term, membership and freshness of the leader alone.

export type NodeId = string;
/** 128 random bits as 32 hex digits, new at each start of a node. */
export type BootId = string;
/** Milliseconds of a monotonic clock; only differences mean anything. */
export type Time = number;

export interface Config {
  readonly id: NodeId;
  readonly boot: BootId;
  /** Members that vote, this node included when it does. All nodes of a generation have the same list. */
  readonly voters: readonly NodeId[];
  /** Members that follow and never campaign. */
  readonly learners: readonly NodeId[];
  /** Rises by one for each change of membership. */
  readonly generation: number;
  readonly heartbeatMs: number;
  readonly electionTimeoutMs: number;
  /** 0 never leads; higher is preferred in the order of succession. */
  readonly priority: number;
}

/** What survives a crash. Written by a `persist` effect before anything that depends on it is sent. */
export interface Persisted {
  readonly term: number;
  readonly votedFor: NodeId | null;
}

/**
 * How the vote file was found at start. `lost`: it should be there and is not, or is damaged beyond repair; the term is
 * the highest one that others have recorded, see membership.ts.
 */
export type Recovered =
  | { readonly kind: 'first' }
  | { readonly kind: 'found'; readonly persisted: Persisted }
  | { readonly kind: 'lost'; readonly term: number };

/** Reported by the main thread about itself, and carried in heartbeat acknowledgements for the order of succession. */
export interface Health {
  /** False: this node must not lead (main thread hung, vote file not writable ...). */
  readonly fit: boolean;
  readonly reason: string | null;
  readonly databaseReachable: boolean;
  /** Lag of the main thread, ms. */
  readonly lagMs: number;
}

// Every message carries its sender's term; generation and member set are checked by the transport's header
// AND here (`generation` below), because the simulator has no transport.
interface Base {
  readonly term: number;
  readonly generation: number;
}
export type Message =
  /** Asks whether `term` (the sender's term + 1, not yet adopted by it) could be won (dissertation 9.6). */
  | (Base & { readonly kind: 'pre-vote-request'; readonly round: number })
  | (Base & {
      readonly kind: 'pre-vote-answer';
      readonly round: number;
      readonly candidateBoot: BootId;
      readonly granted: boolean;
      readonly rule: Rule;
    })
  /** `transfer`: the old leader asked for this election, so stickiness does not apply (dissertation 3.10). */
  | (Base & { readonly kind: 'vote-request'; readonly transfer: boolean })
  | (Base & {
      readonly kind: 'vote-answer';
      readonly candidateBoot: BootId;
      readonly granted: boolean;
      readonly rule: Rule;
    })
  /** `order`: succession, first campaigns first. `sequence` numbers heartbeats of this leader boot; `probe` is echoed. */
  | (Base & {
      readonly kind: 'heartbeat';
      readonly sequence: number;
      readonly sentAt: Time;
      readonly order: readonly NodeId[];
      readonly probe: number;
    })
  /** Echoes `sequence` and `sentAt`, so that CheckQuorum counts from the time of sending. */
  | (Base & {
      readonly kind: 'heartbeat-answer';
      readonly sequence: number;
      readonly sentAt: Time;
      readonly health: Health;
      readonly priority: number;
      readonly probe: number;
    })
  /** "Campaign now" (TimeoutNow, dissertation 3.10). */
  | (Base & { readonly kind: 'transfer-now' })
  /** A node that lost its vote file asks every other voter for its term; `nonce` belongs to this boot. */
  | (Base & { readonly kind: 'term-request'; readonly nonce: number })
  | (Base & { readonly kind: 'term-answer'; readonly nonce: number; readonly askerBoot: BootId });

/** Why a vote was given or refused. rules.ts says where each rule is argued. */
export const rules = [
  'granted',
  'term-too-low',
  'leader-is-alive', // stickiness, dissertation 4.2.3
  'already-voted', // dissertation 3.4
  'not-a-voter',
  'other-generation',
  'abstaining', // the vote file was lost
  'cannot-persist',
] as const;
export type Rule = (typeof rules)[number];

/** Why a leader stopped leading. */
export type StepDownRule =
  | 'higher-term'
  | 'quorum-lost'
  | 'transferred'
  | 'second-leader'
  | 'fence-refused'
  | 'unfit'
  | 'cannot-persist';
/** Why a hand-over began, or came to nothing. */
export type TransferRule =
  | 'asked'
  | 'unfit'
  | 'no-database'
  | 'not-the-leader'
  | 'one-at-a-time'
  | 'unsuitable-target'
  | 'one-timeout'
  | StepDownRule;

export type Input =
  | { readonly kind: 'start'; readonly now: Time; readonly recovered: Recovered; readonly seed: number }
  /** The wake-up asked for by the last `wake` effect, or any later moment: harmless when early or late. */
  | { readonly kind: 'timer'; readonly now: Time }
  | {
      readonly kind: 'message';
      readonly now: Time;
      readonly from: NodeId;
      readonly fromBoot: BootId;
      readonly message: Message;
    }
  /** This node saw the leader's process die: its connection closed, or a datagram was refused. */
  | {
      readonly kind: 'evidence';
      readonly now: Time;
      readonly leader: NodeId;
      readonly leaderBoot: BootId;
      readonly term: number;
    }
  | { readonly kind: 'health'; readonly now: Time; readonly health: Health }
  /** An operator or SIGTERM: hand leadership to `target`, or to the first in rank. */
  | { readonly kind: 'transfer'; readonly now: Time; readonly target: NodeId | null; readonly reason: string }
  /** The database refused our claim: it has seen this term (ours is older, or somebody else holds it). */
  | { readonly kind: 'fence-refused'; readonly now: Time; readonly databaseTerm: number }
  /** The last `persist` effect failed; every effect after it in its list was not carried out. */
  | { readonly kind: 'persist-failed'; readonly now: Time; readonly reason: string }
  | { readonly kind: 'persist-recovered'; readonly now: Time };

/** As contracts/public-api.ts tells it; said again, since the core imports nothing. nodes/web/cluster.ts fails to compile when they differ. */
export type RoleView =
  | { readonly kind: 'leader' }
  | { readonly kind: 'candidate' }
  | { readonly kind: 'follower'; readonly leader: NodeId | null }
  | { readonly kind: 'learner'; readonly leader: NodeId | null };

export type Effect =
  /** Must be durable before any later effect of the list is carried out. */
  | { readonly kind: 'persist'; readonly persisted: Persisted }
  | { readonly kind: 'send'; readonly to: NodeId; readonly message: Message }
  /** Call step with a `timer` input at or soon after `at`. Replaces the previous one. */
  | { readonly kind: 'wake'; readonly at: Time }
  | { readonly kind: 'role'; readonly role: RoleView; readonly term: number; readonly reason: string }
  /** For people: elections begun, votes refused, leaderships left and handed over, each with its rule. */
  | { readonly kind: 'note'; readonly note: Note };

export type Note =
  | { readonly kind: 'election-started'; readonly term: number; readonly reason: string }
  | {
      readonly kind: 'vote-refused';
      readonly candidate: NodeId;
      readonly term: number;
      readonly rule: Rule;
      readonly section: string;
    }
  | {
      readonly kind: 'stepped-down';
      /** The term it led. */
      readonly term: number;
      readonly rule: StepDownRule;
      readonly section: string;
      readonly reason: string;
    }
  | {
      readonly kind: 'transfer';
      readonly target: NodeId | null;
      readonly outcome: 'started' | 'failed' | 'done';
      readonly rule: TransferRule;
      readonly section: string;
      readonly reason: string;
    }
  | { readonly kind: 'abstaining'; readonly reason: string }
  | { readonly kind: 'voting-again'; readonly reason: string };
