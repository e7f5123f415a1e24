// Judges a trace record by record. Written from the dissertation and from nothing of ours but the words of a record: it
// counts votes, pre-votes and acknowledgements for itself from what reached whom, so that it cannot share a mistake with
// the core. What stands in a record is believed; what follows from it is not.
import type { Ballot, Message, Start, TraceRecord } from './record.ts';
import { NodeAccount } from './node-account.ts';
import { Violation, type Rule } from './rules.ts';

type Of<K extends TraceRecord['kind']> = Extract<TraceRecord, { kind: K }>;
type Sent = Of<'send'>;
type MessageOf<K extends Message['kind']> = Extract<Message, { kind: K }>;

interface Vote {
  readonly candidate: string;
  readonly at: number;
}

/** Of differences between times. */
const roundingMs = 1e-6;

const noBallot: Ballot = { term: 0, votedFor: null };

export class TraceChecker {
  readonly #nodes = new Map<string, NodeAccount>();
  /** By term and voter. */
  readonly #votes = new Map<number, Map<string, Vote>>();
  readonly #leaders = new Map<number, string>();
  /** When each generation had all its voters; the nodes that it left behind are out from then on. */
  readonly #completeAt = new Map<number, number>();
  readonly #fenceHolders = new Map<number, string>();
  #fenceTerm = 0;
  checks = 0;
  /** Terms that two nodes led because a vote was forgotten with its file; the fence let one of them write. */
  excused = 0;

  /** Terms that had a leader. */
  get elections(): number {
    return this.#leaders.size;
  }

  /** @throws Violation */
  take(record: TraceRecord): void {
    if (record.kind === 'remark') return;
    if (record.kind === 'fence-moved') return this.#moveFence(record);
    const node = this.#nodes.get(record.node) ?? new NodeAccount(record.node);
    this.#nodes.set(record.node, node);
    if (record.kind === 'start') return this.#onStart(node, record);
    // A statement may be under way when the process that sent it ends.
    if (record.kind === 'claim') return this.#onClaim(node, record);
    if (record.kind === 'store') return this.#onStore(node, record);
    this.#demand(node.start !== null, 'a trace makes sense', () => `${node.id} does not run: ${record.kind}`);
    // Looked at from outside, a node has not looked at its clock.
    const outside = record.kind === 'state' && record.lateMs > 0;
    if (!outside) node.clock = Math.max(node.clock, record.clock);
    switch (record.kind) {
      case 'end':
        node.start = null;
        return undefined;
      case 'write':
        return this.#onWrite(node, record);
      case 'write-failed':
        this.#demandNewTerm(node, record);
        node.owed = { term: record.term, votedFor: record.votedFor };
        return undefined;
      case 'send':
        return this.#onSend(node, record);
      case 'receive':
        return this.#onReceive(node, record);
      case 'evidence':
        return node.doubts(record);
      case 'leads':
        return this.#onLeads(node, record);
      case 'state':
        return this.#onState(node, record);
      case 'votes-again':
        return onVotesAgain(node, record.reason);
      case 'fence-refused':
        node.toldTerm = Math.max(node.toldTerm, record.term);
        return undefined;
    }
  }

  #demand(holds: boolean, rule: Rule, detail: () => string): void {
    this.checks += 1;
    if (!holds) throw new Violation(rule, detail());
  }

  // Processes and their disks

  #onStart(node: NodeAccount, start: Of<'start'>): void {
    this.#demand(node.start === null, 'a trace makes sense', () => `${node.id} starts twice`);
    const { disk, lost, termAtLeast } = start;
    if (lost) node.forget(start);
    const [found, left] = [disk ?? noBallot, node.disk ?? noBallot];
    const detail = () => `${node.id} starts with ${text(found)}, and had ${text(left)} on disk`;
    this.#demand(sameBallot(found, left), 'what is on disk survives a restart', detail);
    node.begin(start);
    node.toldTerm = Math.max(node.toldTerm, termAtLeast);
    this.#recordGeneration(start, start.at);
  }

  #recordGeneration({ generation, voters }: Start, now: number): void {
    const generationOf = (id: string): number => this.#nodes.get(id)?.generation ?? 0;
    const newest = Math.max(...[...this.#nodes.values()].map((node) => node.generation));
    if (newest !== generation || !voters.every((voter) => generationOf(voter) >= generation)) return;
    if (!this.#completeAt.has(generation)) this.#completeAt.set(generation, now);
  }

  #onWrite(node: NodeAccount, { term, votedFor }: Of<'write'>): void {
    const was = node.disk ?? noBallot;
    const detail = () => `${node.id} wrote ${text({ term, votedFor })} over ${text(was)}`;
    this.#demand(term >= was.term, 'the term on disk never goes back', detail);
    const kept = term > was.term || was.votedFor === null || was.votedFor === votedFor;
    this.#demand(kept, 'a vote on disk is never changed', detail);
    this.#demandNewTerm(node, { term, votedFor });
    node.disk = { term, votedFor };
    node.owed = null;
  }

  #demandNewTerm(node: NodeAccount, ballot: Ballot): void {
    const known = Math.max(node.term, node.toldTerm);
    const campaigns = ballot.votedFor === node.id && ballot.term === known + 1;
    this.#demand(
      campaigns || ballot.term <= known,
      'a new term was heard of or campaigned for',
      () => `${node.id} writes ${text(ballot)} in term ${node.term}, and was told of ${node.toldTerm}`,
    );
  }

  #onState(node: NodeAccount, { term, leading, lateMs, clock }: Of<'state'>): void {
    const { id, start, dueTerm } = node;
    const since = node.disk ?? noBallot;
    this.#demand(
      term >= node.term,
      'a term never goes back',
      () => `${id} went from term ${node.term} to ${term}`,
    );
    this.#demand(
      term >= since.term,
      'what is on disk survives a restart',
      () => `${id} is in term ${term} with ${text(since)} on disk`,
    );
    const behind = () => `${id} stays in term ${term} although it was told of ${dueTerm}`;
    this.#demand(term >= dueTerm, 'a higher term is taken over', behind);
    node.term = term;
    if (!leading && node.reign) node.leave(node.reign);
    if (!node.reign || !start || node.reign.term !== term) return;
    const now = Math.max(node.clock, clock);
    const silentMs = now - node.majorityHeardAt(start, now);
    this.#demand(
      silentMs <= start.electionTimeoutMs + lateMs + roundingMs,
      'a leader without a majority steps down in time',
      () => `${id} leads term ${term} although its majority is ${Math.round(silentMs)} ms old`,
    );
  }

  // Messages

  #onSend(node: NodeAccount, sent: Sent): void {
    const { message } = sent;
    const written = node.disk ?? noBallot;
    const detail = () => `${node.id} sent ${text(message)} to ${sent.to} with ${text(written)} on disk`;
    switch (message.kind) {
      case 'pre-vote-request':
        node.rounds.set(message.round, message.term);
        return undefined;
      case 'pre-vote-answer':
        if (message.granted) this.#demandNoLeader(node, detail);
        break;
      case 'vote-request':
        this.#onCampaign(node, message, detail);
        return this.#onVote(node, { term: message.term, candidate: node.id, at: sent.at }, detail);
      case 'vote-answer':
        if (!message.granted) break;
        this.#onGrant(node, sent, detail);
        return this.#onVote(node, { term: message.term, candidate: sent.to, at: sent.at }, detail);
      case 'heartbeat':
        this.#demand(message.term > node.leftTerm, 'only who leads sends heartbeats', detail);
        this.#demand(written.term === message.term, 'a term is on disk before it is told', detail);
        if (node.reign?.term !== message.term) this.#onLeads(node, { term: message.term, at: sent.at });
        node.reign?.sentAt.set(message.sequence, node.clock);
        return undefined;
      case 'heartbeat-answer':
      case 'transfer-now':
      case 'term-request':
      case 'term-answer':
        break;
    }
    // A disk that fails keeps a node from voting, not from following.
    if (node.owed === null)
      this.#demand(written.term >= message.term, 'a term is on disk before it is told', detail);
  }

  #onCampaign(node: NodeAccount, { term, transfer }: MessageOf<'vote-request'>, detail: () => string): void {
    const { start } = node;
    if (!start || node.campaignedFor === term) return;
    node.campaignedFor = term;
    this.#demand(start.priority > 0, 'priority 0 never campaigns', detail);
    if (transfer) {
      const asked = node.askedToLead === term - 1;
      return this.#demand(asked, 'only the leader that is left lifts stickiness', detail);
    }
    const agreed = [...(node.preVotes.get(term) ?? [])]
      .filter(([, at]) => node.clock - at < start.electionTimeoutMs)
      .map(([id]) => id);
    const enough = isMajority(start.voters, [...agreed, node.id]);
    this.#demand(enough, 'a candidate campaigns only after a majority agreed', detail);
  }

  #onGrant(node: NodeAccount, { to, message }: Sent, detail: () => string): void {
    const request = node.requests.get(`${to} ${message.term}`);
    const same = request?.generation === node.start?.generation;
    this.#demand(same, 'votes stay within a generation', detail);
    if (request?.transfer !== true) this.#demandNoLeader(node, detail);
  }

  #onVote(node: NodeAccount, vote: Vote & { readonly term: number }, detail: () => string): void {
    const onDisk = node.disk?.term === vote.term && node.disk.votedFor === vote.candidate;
    this.#demand(onDisk, 'a vote is on disk before it is sent', detail);
    this.#demand(node.start?.voters.includes(node.id) === true, 'only voters vote', detail);
    this.#demand(!node.abstaining, 'a node that lost its vote file does not vote', detail);
    this.#giveVote(node, vote);
  }

  #giveVote(node: NodeAccount, vote: Vote & { readonly term: number }): void {
    const { term, candidate } = vote;
    const votes = this.#votes.get(term) ?? new Map<string, Vote>();
    this.#votes.set(term, votes);
    const earlier = votes.get(node.id);
    // Its own, lost with the file, when all that it asked crashed before they wrote the term: no answer to that boot counts now.
    const wasAlone =
      earlier?.candidate === node.id &&
      term <= node.forgottenUpTo &&
      ![...votes].some(([voter, given]) => voter !== node.id && given.candidate === node.id);
    this.#demand(
      earlier === undefined || earlier.candidate === candidate || term <= node.excusedUpTo || wasAlone,
      'one vote per node and term',
      () => `${node.id} votes for ${candidate} in term ${term} after ${earlier?.candidate ?? ''}`,
    );
    if (earlier?.candidate !== candidate) votes.set(node.id, vote);
  }

  /** Within one timeout, by its own clock, after it heard the leader of the term it is in, or was heard as one. */
  #demandNoLeader(node: NodeAccount, detail: () => string): void {
    const { id, heard, clock, term, start, reign } = node;
    if (!start) return;
    const leads = reign !== null && clock - node.majorityHeardAt(start, clock) < start.electionTimeoutMs;
    const hears = heard !== null && heard.term >= term && clock - heard.at < start.electionTimeoutMs;
    const why = (): string => (leads ? 'leads' : `heard ${heard?.from ?? ''}`);
    this.#demand(
      !hears && !leads,
      'who hears a leader helps nobody to replace it',
      () => `${detail()}; ${id} ${why()}`,
    );
  }

  #onReceive(node: NodeAccount, { from, fromBoot, message }: Of<'receive'>): void {
    const { start } = node;
    if (!start) return;
    if (message.kind === 'vote-request') {
      node.toldTerm = Math.max(node.toldTerm, message.term);
      node.requests.set(`${from} ${message.term}`, message);
    }
    const isMember = start.voters.includes(from) || start.learners.includes(from);
    if (!isMember || message.generation !== start.generation) return;
    switch (message.kind) {
      // Asking about a term does not yet make it one.
      case 'pre-vote-request':
      case 'vote-request':
        return undefined;
      case 'heartbeat':
        if (!start.voters.includes(from)) return undefined;
        // Two of one term have forgotten votes behind them; neither hears the other.
        if (node.reign?.term !== message.term) node.hears({ from, boot: fromBoot, ...message });
        break;
      case 'heartbeat-answer':
        node.acknowledged(from, message);
        break;
      case 'pre-vote-answer':
        node.countPreVote(from, message);
        break;
      case 'vote-answer':
        if (message.granted && message.candidateBoot === start.boot) node.countVote(from, message.term);
        break;
      case 'transfer-now':
        if (message.term === node.term) node.askedToLead = message.term;
        break;
      case 'term-request':
      case 'term-answer':
        break;
    }
    node.toldTerm = Math.max(node.toldTerm, message.term);
    node.dueTerm = Math.max(node.dueTerm, message.term);
  }

  // Leadership

  #onLeads(node: NodeAccount, { term, at }: { term: number; at: number }): void {
    const { id, start } = node;
    if (!start || node.reign?.term === term) return;
    const votes = [...(node.votes.get(term) ?? []), id];
    const tally = () =>
      `${id} leads term ${term} with the votes of ${votes.join(', ')} of ${text(start.voters)}`;
    // It has nobody to ask, not even after a loss.
    if (start.voters.length === 1) this.#giveVote(node, { term, candidate: id, at });
    this.#demand(isMajority(start.voters, votes), 'a leader has the votes of a majority', tally);
    this.#demand(start.priority > 0, 'priority 0 never campaigns', tally);
    const removedAt = this.#removedAt(start);
    const inTime = votes.filter((voter) => (this.#votes.get(term)?.get(voter)?.at ?? Infinity) <= removedAt);
    this.#demand(isMajority(start.voters, inTime), 'a removed node never leads', tally);
    const other = this.#leaders.get(term) ?? id;
    if (other !== id) {
      const forgotten = [...this.#nodes.values()].some(({ excusedUpTo }) => term <= excusedUpTo);
      this.#demand(forgotten, 'one leader per term', () => `${other} and ${id} lead term ${term}`);
      this.excused += 1;
    }
    this.#leaders.set(term, id);
    node.reign = { term, since: node.clock, sentAt: new Map(), heardAt: new Map() };
  }

  /** When a later generation had all its voters; what was voted before may still arrive. */
  #removedAt({ generation }: Start): number {
    return Math.min(...[...this.#completeAt].filter(([other]) => other > generation).map(([, at]) => at));
  }

  // The database

  /** What was lost counts as never claimed: any check of it would judge the database that lost it. */
  #moveFence({ term, holder }: Of<'fence-moved'>): void {
    for (const claimed of this.#fenceHolders.keys()) if (claimed > term) this.#fenceHolders.delete(claimed);
    if (holder !== null) this.#fenceHolders.set(term, holder);
    this.#fenceTerm = term;
  }

  #onClaim({ id }: NodeAccount, { term, taken }: Of<'claim' | 'store'>): void {
    if (!taken) return;
    const holder = this.#fenceHolders.get(term) ?? id;
    const detail = () => `${id} claims term ${term} after term ${this.#fenceTerm} was claimed`;
    this.#demand(holder === id, 'one node holds the fence of a term', () => `${holder} and ${id}: ${term}`);
    // An answer may get lost, and then its holder asks again.
    this.#demand(term >= this.#fenceTerm, 'the fence only rises', detail);
    this.#fenceHolders.set(term, id);
    this.#fenceTerm = term;
  }

  #onStore({ id }: NodeAccount, { term, taken }: Of<'claim' | 'store'>): void {
    this.#demand(
      !taken || term >= this.#fenceTerm,
      'no write of an older term lands after a newer claim',
      () => `${id} writes in term ${term} after term ${this.#fenceTerm} was claimed`,
    );
  }
}

/** What it may have forgotten is excused where nobody could tell it. */
function onVotesAgain(node: NodeAccount, reason: string): void {
  node.abstaining = false;
  if (reason.startsWith('followed') || node.unknowable) node.excusedUpTo = node.forgottenUpTo;
  node.unknowable = false;
}

function isMajority(voters: readonly string[], those: readonly string[]): boolean {
  return 2 * voters.filter((voter) => those.includes(voter)).length > voters.length;
}
const sameBallot = (one: Ballot, other: Ballot): boolean =>
  one.term === other.term && one.votedFor === other.votedFor;
const text = (value: object): string => JSON.stringify(value);
