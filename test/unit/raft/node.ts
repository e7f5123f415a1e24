// One node of the election core, driven input by input, for tests of single rules.
import { productionCore, type Core } from '../../simulation/core.ts';
import type { Config, Effect, Input, Message, NodeId, Recovered } from '../../../nodes/raft/types.ts';

export const config: Config = {
  id: 'a',
  boot: 'boot-a',
  voters: ['a', 'b', 'c'],
  learners: ['l'],
  generation: 1,
  heartbeatMs: 20,
  electionTimeoutMs: 100,
  priority: 50,
};

type WithoutNow<T> = T extends unknown ? Omit<T, 'now'> : never;
type Body<T> = T extends unknown ? Omit<T, 'generation'> & { generation?: number } : never;

/** Keeps the state, the clock and the effects of the last input. */
export class Node {
  readonly #core: Core;
  #state;
  now = 0;
  effects: readonly Effect[] = [];

  constructor({
    recovered = { kind: 'first' },
    core = productionCore,
    ...over
  }: Partial<Config> & { recovered?: Recovered; core?: Core } = {}) {
    this.#core = core;
    this.#state = core.initialState({ ...config, ...over });
    this.feed({ kind: 'start', recovered, seed: 7 });
  }
  get view() {
    return this.#core.view(this.#state);
  }
  feed(input: WithoutNow<Input>): readonly Effect[] {
    const { state, effects } = this.#core.step(this.#state, { ...input, now: this.now });
    this.#state = state;
    this.effects = effects;
    return effects;
  }
  receive(from: NodeId, body: Body<Message>, fromBoot = `boot-${from}`): readonly Effect[] {
    const message = { generation: 1, ...body } as Message;
    return this.feed({ kind: 'message', from, fromBoot, message });
  }
  /** Lets time pass, with timers exactly when they were asked for. */
  wait(ms: number): readonly Effect[] {
    this.now += ms;
    return this.feed({ kind: 'timer' });
  }
  heartbeat(from: NodeId, term: number, sequence: number, over: { order?: NodeId[]; probe?: number } = {}) {
    return this.receive(from, { kind: 'heartbeat', term, sequence, sentAt: 0, order: [], probe: 0, ...over });
  }
  /** Waits until it asks, gets a pre-vote and a vote, and leads. */
  lead(): this {
    this.wait(200);
    const { round } = this.sent('pre-vote-request')[0] ?? { round: 0 };
    const term = this.view.term;
    const rule = { granted: true, rule: 'granted', candidateBoot: 'boot-a' } as const;
    this.receive('b', { kind: 'pre-vote-answer', term, round, ...rule });
    this.receive('b', { kind: 'vote-answer', term: term + 1, ...rule });
    return this;
  }
  sent<K extends Message['kind']>(kind: K): Extract<Message, { kind: K }>[] {
    return this.effects.flatMap((effect) =>
      effect.kind === 'send' && effect.message.kind === kind
        ? [effect.message as Extract<Message, { kind: K }>]
        : [],
    );
  }
  kinds(): string[] {
    return this.effects.map((effect) => (effect.kind === 'send' ? effect.message.kind : effect.kind));
  }
  notes() {
    return this.effects.flatMap((effect) => (effect.kind === 'note' ? [effect.note] : []));
  }
  /** An answer to the leader's latest heartbeat. */
  acknowledge(from: NodeId, over: { sequence: number; sentAt: number; health?: object; priority?: number }) {
    const health = { fit: true, reason: null, databaseReachable: true, lagMs: 0, ...over.health };
    const { sequence, sentAt, priority = 50 } = over;
    const term = this.view.term;
    return this.receive(from, {
      kind: 'heartbeat-answer',
      term,
      sequence,
      sentAt,
      health,
      priority,
      probe: 0,
    });
  }
}
