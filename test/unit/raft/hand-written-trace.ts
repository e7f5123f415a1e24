// Traces written by hand, for tests of their checker: three nodes that do what they are told, right or wrong.
import type { Fact, Message, Start, TraceRecord } from '../../simulation/trace/record.ts';

type WithoutGeneration<T> = T extends unknown ? Omit<T, 'generation'> & { generation?: number } : never;

export class HandWrittenTrace {
  readonly records: TraceRecord[] = [];
  readonly #generations = new Map<string, number>();
  #now = 1_000;

  wait(ms: number): this {
    this.#now += ms;
    return this;
  }
  add(node: string, ...facts: readonly Fact[]): this {
    for (const fact of facts) this.records.push({ ...fact, at: this.#now, node, clock: this.#now });
    return this;
  }
  start(node: string, over: Partial<Start> = {}): this {
    const start: Start = {
      kind: 'start',
      boot: `${node}-1`,
      generation: 1,
      voters: ['n1', 'n2', 'n3'],
      learners: ['n4'],
      priority: 50,
      electionTimeoutMs: 100,
      disk: null,
      lost: false,
      unknowable: false,
      termAtLeast: 0,
      ...over,
    };
    this.#generations.set(node, start.generation);
    return this.add(node, start);
  }
  startFive(): this {
    const voters = ['n1', 'n2', 'n3', 'n4', 'n5'];
    for (const node of voters) this.start(node, { voters, learners: [] });
    return this;
  }
  end(node: string): this {
    return this.add(node, { kind: 'end' });
  }
  write(node: string, term: number, votedFor: string | null = null): this {
    return this.add(node, { kind: 'write', term, votedFor });
  }
  state(node: string, term: number, leading = false): this {
    return this.add(node, { kind: 'state', term, leading, lateMs: 0 });
  }
  send(from: string, to: string, message: WithoutGeneration<Message>): this {
    return this.add(from, { kind: 'send', to, message: this.#of(from, message) });
  }
  receive(from: string, to: string, message: WithoutGeneration<Message>): this {
    return this.add(to, { kind: 'receive', from, fromBoot: `${from}-1`, message: this.#of(from, message) });
  }
  /** Sent and received. */
  tell(from: string, to: string, message: WithoutGeneration<Message>): this {
    return this.send(from, to, message).receive(from, to, message);
  }
  #of(from: string, message: WithoutGeneration<Message>): Message {
    return { generation: this.#generations.get(from) ?? 1, ...message };
  }

  /** The voter agrees that the candidate may campaign. */
  agree(candidate: string, voter: string, term: number): this {
    const answer = {
      kind: 'pre-vote-answer',
      round: term,
      candidateBoot: `${candidate}-1`,
      granted: true,
    } as const;
    return this.tell(candidate, voter, { kind: 'pre-vote-request', term, round: term }) //
      .tell(voter, candidate, { ...answer, term: term - 1 });
  }
  campaign(candidate: string, voter: string, term: number): this {
    return this.write(candidate, term, candidate) //
      .tell(candidate, voter, { kind: 'vote-request', term, transfer: false });
  }
  vote(voter: string, candidate: string, term: number): this {
    return this.write(voter, term, candidate) //
      .tell(voter, candidate, voteFor(candidate, term));
  }
  elect(candidate: string, voter: string, term: number): this {
    return this.agree(candidate, voter, term)
      .campaign(candidate, voter, term)
      .vote(voter, candidate, term)
      .add(candidate, { kind: 'leads', term })
      .state(candidate, term, true);
  }
}

export const voteFor = (candidate: string, term: number) =>
  ({ kind: 'vote-answer', term, candidateBoot: `${candidate}-1`, granted: true }) as const;
