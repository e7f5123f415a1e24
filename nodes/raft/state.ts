// What one node knows, as plain data that nobody outside changes, and what outsiders may see of it.
// Never decides anything: that is step.ts and the files it calls.
import type {
  BootId,
  Config,
  Effect,
  Health,
  Message,
  NodeId,
  Note,
  Persisted,
  RoleView,
  StepDownRule,
  Time,
  TransferRule,
} from './types.ts';
import { nextRandom } from './random.ts';
import { quorumHeardAt } from './quorum.ts';
import { sections } from './rules.ts';

/** The leader this node follows. */
export interface Contact {
  readonly id: NodeId;
  readonly boot: BootId;
  readonly heardAt: Time;
  /** Since when without a break. */
  readonly since: Time;
}

/** What the leader knows of another member. */
export interface PeerView {
  /** When the newest heartbeat that it acknowledged was sent; at first, when this leadership began. */
  readonly ackedAt: Time;
  /** The number of that heartbeat; 0: none yet. */
  readonly sequence: number;
  readonly health: Health | null;
  readonly priority: number;
  /** The peer's own number, sent back to it so that it can tell heartbeats from before and after a question. */
  readonly probe: number;
  /** Since when each of its answers reported a database. */
  readonly databaseSince: Time | null;
}

export interface Transfer {
  readonly target: NodeId;
  /** The operator named it. */
  readonly named: boolean;
  readonly triedAt: Time;
  readonly tried: readonly NodeId[];
  readonly againAt: Time;
  readonly until: Time;
  readonly rule: TransferRule;
  readonly reason: string;
}

export interface Follower {
  readonly kind: 'follower';
  readonly leader: Contact | null;
  readonly order: readonly NodeId[];
  /** When it asks for votes if nothing happens; a node that may not lead then waits once more. */
  readonly campaignAt: Time;
}
export interface PreCandidate {
  readonly kind: 'pre-candidate';
  readonly reason: string;
  /** Answers to earlier rounds belong to an earlier attempt. */
  readonly firstRound: number;
  readonly grants: ReadonlyMap<NodeId, { readonly round: number; readonly at: Time }>;
  readonly askAt: Time;
  /** Until then it asks often: the others' patience with the lost leader ends within one timeout. */
  readonly eagerUntil: Time;
}
export interface Candidate {
  readonly kind: 'candidate';
  readonly reason: string;
  readonly transfer: boolean;
  readonly votes: ReadonlySet<NodeId>;
  readonly askAt: Time;
  readonly giveUpAt: Time;
}
export interface Leader {
  readonly kind: 'leader';
  readonly sequence: number;
  readonly heartbeatAt: Time;
  readonly peers: ReadonlyMap<NodeId, PeerView>;
  readonly order: readonly NodeId[];
  readonly transfer: Transfer | null;
  /** Bad health starts no other transfer before this. */
  readonly handOverAt: Time;
}
export type Role = Follower | PreCandidate | Candidate | Leader;

export interface PutOff {
  readonly from: NodeId;
  readonly fromBoot: BootId;
  readonly message: Extract<Message, { kind: 'pre-vote-request' }>;
  readonly at: Time;
}

/** The vote file was lost. */
export interface Abstention {
  readonly nonce: number;
  readonly terms: ReadonlyMap<NodeId, number>;
  readonly askAt: Time;
}

export interface State {
  readonly config: Config;
  readonly others: readonly NodeId[];
  readonly otherVoters: readonly NodeId[];
  readonly votes: boolean;
  readonly now: Time;
  readonly seed: number;
  readonly term: number;
  readonly votedFor: NodeId | null;
  /** The last record handed to the disk. */
  readonly saved: Persisted;
  /** The disk refused a record: nothing that rests on term and vote is promised until it has taken one again. */
  readonly diskFailed: boolean;
  readonly role: Role;
  readonly health: Health;
  /** Since when this node has no database; says nothing while it has one. */
  readonly databaseLostAt: Time;
  readonly abstention: Abstention | null;
  /** Why this boot votes again after it abstained: said once more when the disk was too full to keep it. */
  readonly votesAgain: string | null;
  /** The last pre-vote round of this boot. */
  readonly round: number;
  readonly probe: number;
  /** The newest heartbeat taken in; an older one, or the same again, says nothing. */
  readonly heard: {
    readonly term: number;
    readonly from: NodeId;
    readonly sequence: number;
    readonly sentAt: Time;
  } | null;
  /** This leader's process was seen dead. Only its heartbeat that echoes `probe` or a later one says otherwise. */
  readonly evidence: { readonly boot: BootId; readonly term: number; readonly probe: number } | null;
  /** The last pre-vote refused only because a leader was heard: answered again should that one be seen dead right after. */
  readonly putOff: PutOff | null;
  readonly told: { readonly role: RoleView; readonly term: number } | null;
  readonly wakeAt: Time | null;
  /** The last one noted of each candidate: its term and rule. */
  readonly refusals: ReadonlyMap<NodeId, string>;
}

/** One step's work in progress: the new state, written to freely, and the effects gathered so far. */
export interface Draft {
  state: { -readonly [K in keyof State]: State[K] };
  readonly sends: Effect[];
  readonly notes: Note[];
  /** Why the role changed. */
  reason: string;
}

export function initialState(config: Config): State {
  const others = [...new Set([...config.voters, ...config.learners])].filter((id) => id !== config.id);
  return {
    config,
    others,
    otherVoters: config.voters.filter((id) => id !== config.id),
    votes: config.voters.includes(config.id),
    now: 0,
    seed: 0,
    term: 0,
    votedFor: null,
    saved: { term: 0, votedFor: null },
    diskFailed: false,
    role: { kind: 'follower', leader: null, order: [], campaignAt: Infinity },
    health: { fit: true, reason: null, databaseReachable: false, lagMs: 0 },
    databaseLostAt: 0,
    abstention: null,
    votesAgain: null,
    round: 0,
    probe: 0,
    heard: null,
    evidence: null,
    putOff: null,
    told: null,
    wakeAt: null,
    refusals: new Map(),
  };
}

export interface View {
  readonly role: RoleView;
  readonly term: number;
  /** Itself when it leads. */
  readonly leader: NodeId | null;
  readonly order: readonly NodeId[];
  readonly abstaining: boolean;
  /** A leader: when the newest heartbeat known to have reached a majority was sent. Others: when their leader was heard. */
  readonly quorumLastHeard: Time | null;
}

export function roleView(state: State): RoleView {
  const { role } = state;
  if (role.kind === 'leader' || role.kind === 'candidate') return { kind: role.kind };
  // Asking for pre-votes changes nothing yet: seen from outside, that node follows nobody.
  const leader = role.kind === 'follower' ? (role.leader?.id ?? null) : null;
  return { kind: state.votes ? 'follower' : 'learner', leader };
}

export function view(state: State): View {
  const { role, config } = state;
  const heardAt = role.kind === 'follower' ? (role.leader?.heardAt ?? null) : null;
  const shown = roleView(state);
  return {
    role: shown,
    term: state.term,
    leader: role.kind === 'leader' ? config.id : 'leader' in shown ? shown.leader : null,
    order: role.kind === 'leader' || role.kind === 'follower' ? role.order : [],
    abstaining: state.abstention !== null,
    quorumLastHeard: role.kind === 'leader' ? quorumHeardAt(config, role.peers, state.now) : heardAt,
  };
}

/** Whether this node may lead at all, now. */
export function mayLead({ votes, config, health, diskFailed, abstention }: State): boolean {
  return votes && config.priority > 0 && health.fit && !diskFailed && abstention === null;
}

/** In [timeout, 2 * timeout): apart from each other, yet never before the patience of the others ends. */
export function randomTimeout(draft: Draft): number {
  const { value, seed } = nextRandom(draft.state.seed);
  draft.state.seed = seed;
  return draft.state.config.electionTimeoutMs * (1 + value);
}

export function send(draft: Draft, to: NodeId, message: Message): void {
  draft.sends.push({ kind: 'send', to, message });
}
export function becomeFollower(draft: Draft, follower: Omit<Follower, 'kind'>, reason: string): void {
  draft.state.role = { kind: 'follower', ...follower };
  draft.reason = reason;
}

export function leaveLeadership(
  draft: Draft,
  { term, rule, reason }: { term: number; rule: StepDownRule; reason: string },
): void {
  draft.notes.push({ kind: 'stepped-down', term, rule, section: sections[rule], reason });
  const campaignAt = draft.state.now + randomTimeout(draft);
  becomeFollower(draft, { leader: null, order: [], campaignAt }, reason);
}
export function noteTransfer(
  draft: Draft,
  { target, outcome, rule, reason }: Omit<Extract<Note, { kind: 'transfer' }>, 'kind' | 'section'>,
): void {
  draft.notes.push({ kind: 'transfer', target, outcome, rule, section: sections[rule], reason });
}
