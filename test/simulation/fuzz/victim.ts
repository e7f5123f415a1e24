// The node that all datagrams are aimed at: the production sessions and the production core behind them. It holds the core
// to what has to be true whatever its peers send: they may lie about themselves, never about this node's own word.
import type { Effect, Input, Persisted } from '../../../nodes/raft/types.ts';
import type { Received, Sessions } from '../../../nodes/transport/sessions.ts';
import { initialState, type State } from '../../../nodes/raft/state.ts';
import { step, view } from '../../../nodes/raft/step.ts';

const effectsMax = 40;

export class Victim {
  readonly id = 'node-2';
  readonly boot: string;
  readonly sessions: Sessions;
  #state: State;
  #disk: Persisted;
  #wakeAt = Infinity;

  constructor({
    boot,
    sessions,
    members,
    disk,
    now,
    seed,
  }: {
    boot: string;
    sessions: Sessions;
    members: readonly string[];
    disk: Persisted;
    now: number;
    seed: number;
  }) {
    this.boot = boot;
    this.sessions = sessions;
    this.#disk = disk;
    this.#state = initialState({
      id: this.id,
      boot,
      voters: members,
      learners: [],
      generation: 1,
      heartbeatMs: 20,
      electionTimeoutMs: 100,
      priority: 50,
    });
    const recovered = { kind: 'found', persisted: disk } as const;
    this.#feed({ kind: 'start', now, recovered, seed });
    const health = { fit: true, reason: null, databaseReachable: true, lagMs: 0 };
    this.#feed({ kind: 'health', now, health });
  }

  get term(): number {
    return view(this.#state).term;
  }
  get disk(): Persisted {
    return this.#disk;
  }

  receive(packet: Buffer, { source, now }: { source: string; now: number }): Received {
    this.#timer(now);
    const received = this.sessions.receive(packet, { source, now });
    if (received.kind === 'message') {
      const { from, fromBoot, message } = received;
      this.#feed({ kind: 'message', now, from, fromBoot, message });
    }
    return received;
  }

  #timer(now: number): void {
    if (now >= this.#wakeAt) this.#feed({ kind: 'timer', now });
  }

  #feed(input: Input): void {
    const before = view(this.#state);
    const { state, effects } = step(this.#state, input);
    this.#state = state;
    for (const effect of effects) this.#check(effect);
    const after = view(state);
    demand(after.term >= before.term, `the term fell from ${before.term} to ${after.term}`);
    demand(Number.isSafeInteger(after.term), `term ${after.term} is no whole number`);
    demand(effects.length <= effectsMax, `${effects.length} effects of one input`);
    demand(after.order.length <= 16, `${after.order.length} in the order of succession`);
  }

  #check(effect: Effect): void {
    if (effect.kind === 'persist') {
      const { term, votedFor } = effect.persisted;
      const was = this.#disk;
      demand(term >= was.term, `the term on disk fell from ${was.term} to ${term}`);
      const kept = term > was.term || was.votedFor === null || was.votedFor === votedFor;
      demand(kept, `the vote of term ${term} went from ${was.votedFor} to ${votedFor}`);
      this.#disk = effect.persisted;
    } else if (effect.kind === 'wake') {
      demand(!Number.isNaN(effect.at), 'the next wake-up is at NaN');
      this.#wakeAt = effect.at;
    } else if (effect.kind === 'send') {
      const { to, message } = effect;
      const { term, votedFor } = this.#disk;
      const vote =
        message.kind === 'vote-request'
          ? this.id
          : message.kind === 'vote-answer' && message.granted
            ? to
            : null;
      demand(
        vote === null || (term === message.term && votedFor === vote),
        `a vote for ${vote} in term ${message.term} left with ${votedFor} in term ${term} on disk`,
      );
    }
  }
}

function demand(holds: boolean, otherwise: string): void {
  if (!holds) throw new Error(otherwise);
}
