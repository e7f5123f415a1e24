// What must hold at every moment of a run, judged from what the nodes send, write and say, never from how they decide.
// Keeps its own account of votes and acknowledgements, so that it cannot share a mistake with the core.
import type { Config, Message, NodeId, Persisted } from '../../nodes/raft/types.ts';
import type { View } from '../../nodes/raft/state.ts';

/** A claim that did not hold. */
export class Violation extends Error {
  readonly claim: string;
  constructor(claim: string, detail: string) {
    super(`${claim}: ${detail}`);
    this.claim = claim;
  }
}

export interface Disk {
  readonly persisted: Persisted | null;
  readonly failing: boolean;
}

interface Reign {
  readonly leader: NodeId;
  readonly since: number;
  readonly ackedAt: Map<NodeId, number>;
}

export class Checker {
  readonly #timeoutMs: number;
  /** What each node was last recorded to run in. */
  readonly #generations = new Map<NodeId, number>();
  /** When each generation had all its voters; the nodes that it left behind are out from then on. */
  readonly #completeAt = new Map<number, number>();
  /** By term: who voted for whom. */
  readonly #votes = new Map<number, Map<NodeId, NodeId>>();
  readonly #reigns = new Map<number, Reign>();
  /** When each heartbeat left: by leader and term, then by sequence. */
  readonly #heartbeats = new Map<string, Map<number, number>>();
  readonly #abstaining = new Set<NodeId>();
  readonly #unknowable = new Set<NodeId>();
  readonly #forgotten = new Map<NodeId, number>();
  /** Voted again only because they followed long enough: what they forgot up to this term is the database's matter. */
  readonly #excusedUpTo = new Map<NodeId, number>();
  readonly #fence = new Map<number, NodeId>();
  checks = 0;
  /** Terms in which forgotten votes let two nodes lead; the fence let one of them write. */
  excused = 0;

  constructor(electionTimeoutMs: number) {
    this.#timeoutMs = electionTimeoutMs;
  }

  get elections(): number {
    return this.#reigns.size;
  }

  #demand(holds: boolean, claim: string, detail: () => string): void {
    this.checks += 1;
    if (!holds) throw new Violation(claim, detail());
  }

  onPersist(node: NodeId, before: Persisted | null, after: Persisted): void {
    const was = before ?? { term: 0, votedFor: null };
    const detail = () => `${node} wrote ${JSON.stringify(after)} over ${JSON.stringify(was)}`;
    this.#demand(after.term >= was.term, 'the persisted term never goes back', detail);
    const kept = after.term > was.term || was.votedFor === null || was.votedFor === after.votedFor;
    this.#demand(kept, 'a persisted vote is never changed', detail);
  }

  onSend(
    config: Config,
    { disk, to, message, now }: { disk: Disk; to: NodeId; message: Message; now: number },
  ): void {
    const { id } = config;
    const record = disk.persisted ?? { term: 0, votedFor: null };
    const detail = () =>
      `${id} sent ${JSON.stringify(message)} to ${to} with ${JSON.stringify(record)} on disk`;
    const votes = message.kind === 'vote-answer' && message.granted;
    const campaigns = message.kind === 'vote-request';
    if (votes || campaigns) {
      const candidate = campaigns ? id : to;
      const onDisk = record.term === message.term && record.votedFor === candidate;
      this.#demand(onDisk, 'a vote is on disk before it is sent', detail);
      this.#demand(config.voters.includes(id), 'only voters vote', detail);
      this.#demand(!this.#abstaining.has(id), 'a node that lost its vote file does not vote', detail);
      if (campaigns) this.#demand(config.priority > 0, 'priority 0 never campaigns', detail);
      this.#vote(id, message.term, candidate);
    } else if (message.kind === 'heartbeat') {
      const onDisk = record.term === message.term && record.votedFor === id;
      this.#demand(onDisk, 'a leader leads the term on its disk', detail);
      const key = `${id}/${message.term}`;
      const sent = this.#heartbeats.get(key) ?? new Map<number, number>();
      this.#heartbeats.set(key, sent.set(message.sequence, now));
    } else if (message.kind !== 'pre-vote-request' && !disk.failing) {
      this.#demand(record.term >= message.term, 'a term is on disk before it is told', detail);
    }
  }

  #vote(voter: NodeId, term: number, candidate: NodeId): void {
    const votes = this.#votes.get(term) ?? new Map<NodeId, NodeId>();
    this.#votes.set(term, votes);
    const earlier = votes.get(voter);
    const excused = term <= (this.#excusedUpTo.get(voter) ?? -1);
    this.#demand(
      earlier === undefined || earlier === candidate || excused,
      'one vote per node and term',
      () => `${voter} voted for ${candidate} in term ${term} after ${earlier ?? ''}`,
    );
    votes.set(voter, candidate);
  }

  onLeader(config: Config, term: number, now: number): void {
    const { id } = config;
    this.#demand(config.voters.includes(id), 'a learner never leads', () => `${id} leads term ${term}`);
    this.#demand(config.priority > 0, 'priority 0 never leads', () => `${id} leads term ${term}`);
    this.#demand(
      now <= this.#outAt(config.generation),
      'a removed node never leads',
      () => `${id} leads term ${term} in generation ${config.generation}`,
    );
    if (config.voters.length === 1) this.#vote(id, term, id);
    const votes = this.#votes.get(term) ?? new Map<NodeId, NodeId>();
    const count = config.voters.filter((voter) => votes.get(voter) === id).length;
    const tally = () => `${id} leads term ${term} with ${count} votes: ${JSON.stringify([...votes])}`;
    this.#demand(2 * count > config.voters.length, 'a leader has the votes of a majority', tally);
    const reign = this.#reigns.get(term);
    if (reign && reign.leader !== id) {
      const forgotten = [...this.#excusedUpTo.values()].some((upTo) => term <= upTo);
      this.#demand(forgotten, 'one leader per term', () => `${reign.leader} and ${id} lead term ${term}`);
      this.excused += 1;
    }
    this.#reigns.set(term, { leader: id, since: now, ackedAt: new Map() });
  }

  /** An answer to a heartbeat reached the node that sent the heartbeat. */
  onAnswerArrived(
    leader: NodeId,
    from: NodeId,
    message: Extract<Message, { kind: 'heartbeat-answer' }>,
  ): void {
    const reign = this.#reigns.get(message.term);
    const sentAt = this.#heartbeats.get(`${leader}/${message.term}`)?.get(message.sequence);
    if (reign?.leader !== leader || sentAt === undefined) return;
    reign.ackedAt.set(from, Math.max(sentAt, reign.ackedAt.get(from) ?? 0));
  }

  /** `slackMs`: how late this node's timers may come. */
  onLeading(config: Config, { term, now, slackMs }: { term: number; now: number; slackMs: number }): void {
    const reign = this.#reigns.get(term);
    if (reign?.leader !== config.id) return;
    const heard = config.voters.map((id) =>
      id === config.id ? now : (reign.ackedAt.get(id) ?? reign.since),
    );
    const quorumAt = heard.sort((a, b) => b - a)[Math.floor(heard.length / 2)] ?? 0;
    this.#demand(
      now - quorumAt <= this.#timeoutMs + slackMs,
      'a leader without a majority steps down in time',
      () => `${config.id} leads term ${term} although its majority is ${Math.round(now - quorumAt)} ms old`,
    );
  }

  /** A node is recorded to start in this generation. */
  onGeneration(
    { id, generation, voters }: { id: NodeId; generation: number; voters: readonly NodeId[] },
    now: number,
  ): void {
    this.#generations.set(id, generation);
    const all = [...this.#generations.values()];
    const complete = voters.every((voter) => (this.#generations.get(voter) ?? 0) >= generation);
    if (complete && Math.max(...all) === generation) this.#completeAt.set(generation, now);
  }
  /** What was asked for before still arrives for a while: votes count for as long as a candidate waits for them. */
  #outAt(generation: number): number {
    const later = [...this.#completeAt].filter(([other]) => other > generation).map(([, at]) => at);
    return Math.min(...later) + 4 * this.#timeoutMs;
  }

  onView(node: NodeId, before: View, after: View): void {
    this.#demand(
      after.term >= before.term,
      'a term never goes back',
      () => `${node} went from ${before.term} to ${after.term}`,
    );
  }

  onRestart(node: NodeId, persisted: Persisted | null, view: View): void {
    this.#demand(
      view.term >= (persisted?.term ?? 0),
      'a term survives a restart',
      () => `${node} came back in term ${view.term} with ${JSON.stringify(persisted)} on disk`,
    );
  }

  /** `unknowable`: those who vote with it now cannot know all candidates that had its vote. */
  onVoteFileLost(node: NodeId, lost: Persisted | null, { unknowable }: { unknowable: boolean }): void {
    this.#abstaining.add(node);
    if (unknowable) this.#unknowable.add(node);
    this.#forgotten.set(node, Math.max(lost?.term ?? 0, this.#forgotten.get(node) ?? 0));
  }

  onVotingAgain(node: NodeId, reason: string): void {
    this.#abstaining.delete(node);
    const excused = reason.startsWith('followed') || this.#unknowable.delete(node);
    if (excused) this.#excusedUpTo.set(node, this.#forgotten.get(node) ?? 0);
  }

  onFenceClaimed(node: NodeId, term: number): void {
    const holder = this.#fence.get(term) ?? node;
    this.#demand(
      holder === node,
      'one node holds the fence of a term',
      () => `${holder} and ${node}: ${term}`,
    );
    this.#fence.set(term, node);
  }
}
