// What the checker of traces has seen of one node: kept from its records alone.
import type { Ballot, Message, Start } from './record.ts';

interface Reign {
  readonly term: number;
  readonly since: number;
  /** When each heartbeat left, by sequence, and when the newest one left that each voter answered: by its own clock. */
  readonly sentAt: Map<number, number>;
  readonly heardAt: Map<string, number>;
}
interface Heard {
  readonly from: string;
  readonly boot: string;
  readonly term: number;
  readonly sequence: number;
  readonly at: number;
}
type MessageOf<K extends Message['kind']> = Extract<Message, { kind: K }>;

export class NodeAccount {
  readonly id: string;
  /** Null while it is down. */
  start: Start | null = null;
  /** Where it ran last. */
  generation = 0;
  /** What the clock showed last; one that steps back has stood still for whoever lives by it. */
  clock = -Infinity;
  term = 0;
  /** The highest term it was told of, and the highest of these that it has to be in by now. */
  toldTerm = 0;
  dueTerm = 0;
  disk: Ballot | null = null;
  owed: Ballot | null = null;
  heard: Heard | null = null;
  reign: Reign | null = null;
  /** Its pre-vote rounds: which term each asked about. */
  readonly rounds = new Map<number, number>();
  /** By term: who agreed, and when that was heard. */
  readonly preVotes = new Map<number, Map<string, number>>();
  readonly votes = new Map<number, Set<string>>();
  campaignedFor = 0;
  /** The term whose leader told it to campaign. */
  askedToLead: number | null = null;
  /** What candidates asked of it, by candidate and term. */
  readonly requests = new Map<string, MessageOf<'vote-request'>>();
  /** The newest term that it has led and left. */
  leftTerm = 0;
  /** Boots, with their term, that it has seen die, or thought so: a heartbeat of theirs need not convince it. */
  readonly #doubted = new Set<string>();
  abstaining = false;
  forgottenUpTo = 0;
  excusedUpTo = -1;
  unknowable = false;

  constructor(id: string) {
    this.id = id;
  }

  /** A new process, which knows what is on its disk and nothing else. */
  begin(start: Start): void {
    this.start = start;
    this.generation = start.generation;
    this.clock = -Infinity;
    this.term = start.disk?.term ?? 0;
    this.toldTerm = this.term;
    this.dueTerm = 0;
    this.owed = null;
    this.heard = null;
    this.reign = null;
    this.leftTerm = 0;
    this.campaignedFor = 0;
    this.askedToLead = null;
    for (const memory of [this.rounds, this.preVotes, this.votes, this.requests, this.#doubted])
      memory.clear();
  }

  forget({ unknowable }: Start): void {
    this.abstaining = true;
    this.unknowable ||= unknowable;
    this.forgottenUpTo = Math.max(this.disk?.term ?? 0, this.forgottenUpTo);
    // At once: its vote may have been a whole majority, and the voters that came since elect without it.
    if (unknowable) this.excusedUpTo = this.forgottenUpTo;
    this.disk = null;
  }

  /** A leader: since when, by its own clock, a majority is known to have heard it (6.2). */
  majorityHeardAt({ voters }: Start, now: number): number {
    const { reign, id } = this;
    const heard = voters.map((voter) =>
      voter === id ? now : (reign?.heardAt.get(voter) ?? reign?.since ?? -Infinity),
    );
    return heard.sort((a, b) => b - a)[Math.floor(heard.length / 2)] ?? -Infinity;
  }

  acknowledged(from: string, { term, sequence }: MessageOf<'heartbeat' | 'heartbeat-answer'>): void {
    const { reign } = this;
    const sentAt = reign?.term === term ? reign.sentAt.get(sequence) : undefined;
    if (!reign || sentAt === undefined) return;
    reign.heardAt.set(from, Math.max(sentAt, reign.heardAt.get(from) ?? reign.since));
  }

  /** An old one, or one again, is no sign of life. */
  hears({ from, boot, term, sequence }: Omit<Heard, 'at'>): void {
    const { heard } = this;
    if (term < this.term) return;
    if (heard && heard.term === term && (heard.from !== from || sequence <= heard.sequence)) return;
    if (!this.#doubted.has(`${boot} ${term}`)) this.heard = { from, boot, term, sequence, at: this.clock };
  }

  doubts({ leader, leaderBoot }: { leader: string; leaderBoot: string }): void {
    const { heard } = this;
    if (heard?.from !== leader || heard.boot !== leaderBoot) return;
    this.#doubted.add(`${heard.boot} ${heard.term}`);
    this.heard = null;
  }

  leave(reign: Reign): void {
    this.leftTerm = reign.term;
    this.reign = null;
  }

  countPreVote(from: string, { round, candidateBoot, granted }: MessageOf<'pre-vote-answer'>): void {
    const term = this.rounds.get(round);
    if (!granted || candidateBoot !== this.start?.boot || term === undefined) return;
    const agreed = this.preVotes.get(term) ?? new Map<string, number>();
    this.preVotes.set(term, agreed.set(from, this.clock));
  }

  countVote(from: string, term: number): void {
    const votes = this.votes.get(term) ?? new Set<string>();
    this.votes.set(term, votes.add(from));
  }
}
