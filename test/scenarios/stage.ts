// A cluster on a stage: nodes of the production core in simulated time, one millisecond from each to each, moved by the
// commands of a story and telling what happens, line by line. Heartbeats go unmentioned, and so does what was told before
// under the same command, since whoever is refused asks again every few milliseconds. Judges nothing.
import type { Config, Effect, Input, Message, NodeId, Persisted, Recovered } from '../../nodes/raft/types.ts';
import { initialState, type State } from '../../nodes/raft/state.ts';
import { step, view } from '../../nodes/raft/step.ts';
import { nextRandom } from '../../nodes/raft/random.ts';
import { Timeline } from '../simulation/timeline.ts';

const latencyMs = 1;
const writeAgainMs = 50;
const settleMs = 250;

interface Actor {
  config: Config;
  /** Of its chance at each start. */
  seed: number;
  boots: number;
  state: State | null;
  disk: Persisted | null;
  diskFull: boolean;
  owed: boolean;
  paused: boolean;
  waiting: Input[];
  wake: number;
}
export interface Said {
  readonly kind: 'vote-request' | 'vote-answer' | 'heartbeat' | 'transfer-now';
  readonly term: number;
}
type Happening =
  | { readonly kind: 'input'; readonly to: NodeId; readonly input: (now: number) => Input }
  | { readonly kind: 'wake'; readonly to: NodeId; readonly ticket: number }
  | { readonly kind: 'write-again'; readonly to: NodeId };

export class Stage {
  readonly #timeline = new Timeline<Happening>();
  readonly #actors = new Map<NodeId, Actor>();
  readonly #cuts = new Set<string>();
  #lines: string[] = [];
  readonly #told = new Set<string>();
  #now = 0;

  /** What was told since the last time. */
  takeLines(): string[] {
    const lines = this.#lines;
    this.#lines = [];
    this.#told.clear();
    return lines;
  }

  enter(
    voters: readonly NodeId[],
    {
      learners,
      unelectable,
      together,
    }: Readonly<Record<'learners' | 'unelectable' | 'together', readonly NodeId[]>>,
  ): void {
    const all = [...voters, ...learners];
    for (const [place, id] of all.entries()) {
      const priority = unelectable.includes(id) ? 0 : 50;
      const members = { voters, learners, generation: 1, heartbeatMs: 20, electionTimeoutMs: 100 };
      const config: Config = { id, boot: '', priority, ...members };
      this.#actors.set(id, {
        config,
        seed: together.includes(id) ? seedBeside(together, id, all) : seedOfPatience(place),
        boots: 0,
        state: null,
        disk: null,
        diskFull: false,
        owed: false,
        paused: false,
        waiting: [],
        wake: 0,
      });
    }
    for (const id of this.#actors.keys()) this.start(id, {});
    this.takeLines();
  }

  /** Until one leads, and a while longer. */
  settle(): void {
    this.wait(settleMs);
    this.takeLines();
    this.show();
  }

  /** Lets this much time pass. */
  wait(ms: number): void {
    const until = this.#now + ms;
    for (let next = this.#timeline.nextBefore(until); next; next = this.#timeline.nextBefore(until)) {
      this.#now = this.#timeline.now;
      this.#happen(next);
    }
    this.#now = until;
  }

  #happen(happening: Happening): void {
    const actor = this.#actor(happening.to);
    if (happening.kind === 'wake') {
      if (happening.ticket !== actor.wake) return;
      this.#feed(happening.to, { kind: 'timer', now: this.#now });
    } else if (happening.kind === 'write-again') {
      if (!actor.state || !actor.owed) return;
      if (actor.diskFull) return this.#timeline.plan(this.#now + writeAgainMs, happening);
      actor.owed = false;
      actor.disk = actor.state.saved;
      this.#tell(`${happening.to} can write again: ${recordOf(actor.disk)}`);
      this.#feed(happening.to, { kind: 'persist-recovered', now: this.#now });
    } else this.#feed(happening.to, happening.input(this.#now));
  }

  /** @throws Error when there is no such node. */
  #actor(id: NodeId): Actor {
    const actor = this.#actors.get(id);
    if (!actor) throw new Error(`there is no node ${id}`);
    return actor;
  }

  #tell(what: string): void {
    if (this.#told.has(what)) return;
    this.#told.add(what);
    this.#lines.push(`${String(Math.round(this.#now)).padStart(5)} ${what}`);
  }

  /** `term` and `voted`: what its disk says, from another life or from a person. */
  start(
    id: NodeId,
    {
      lost = false,
      term,
      voted = null,
      ...change
    }: { lost?: boolean; term?: number; voted?: NodeId | null } & Partial<Config>,
  ): void {
    const actor = this.#actor(id);
    if (actor.state) throw new Error(`${id} runs already`);
    actor.boots += 1;
    actor.config = { ...actor.config, ...change, boot: `${id}-${actor.boots}` };
    actor.state = initialState(actor.config);
    if (lost) actor.disk = null;
    if (term !== undefined) actor.disk = { term, votedFor: voted };
    const recovered: Recovered = lost
      ? { kind: 'lost', term: 0 }
      : actor.disk
        ? { kind: 'found', persisted: actor.disk }
        : { kind: 'first' };
    this.#tell(
      `${id} starts${lost ? ' without its vote file' : actor.disk ? ` with ${recordOf(actor.disk)}` : ''}`,
    );
    this.#feed(id, { kind: 'start', now: this.#now, recovered, seed: actor.seed });
    this.database([id], true);
  }

  /** `seen`: its connections close, and the others notice, those of `late` after the first has asked for votes. */
  end(id: NodeId, { seen, late }: { seen: boolean; late: readonly NodeId[] }): void {
    const actor = this.#actor(id);
    const { boot } = actor.config;
    Object.assign(actor, { state: null, paused: false, waiting: [], owed: false });
    this.#tell(`${id} ${seen ? 'dies' : 'falls silent'}`);
    if (!seen) return;
    for (const [to, { state }] of this.#actors)
      if (state && !this.#cuts.has(`${id}>${to}`)) {
        const { term } = view(state);
        const input = (now: number): Input => ({ kind: 'evidence', now, leader: id, leaderBoot: boot, term });
        const afterMs = late.includes(to) ? 3 * latencyMs : latencyMs;
        this.#timeline.plan(this.#now + afterMs, { kind: 'input', to, input });
      }
  }

  pause(id: NodeId): void {
    this.#actor(id).paused = true;
  }
  resume(id: NodeId): void {
    const actor = this.#actor(id);
    const { waiting } = actor;
    Object.assign(actor, { paused: false, waiting: [] });
    // Messages before the timer, as raft-thread/loop.ts does.
    const timers = waiting.filter(({ kind }) => kind === 'timer');
    for (const input of [...waiting.filter(({ kind }) => kind !== 'timer'), ...timers])
      this.#feed(id, { ...input, now: this.#now });
  }

  cut(from: readonly NodeId[], to: readonly NodeId[]): void {
    for (const a of from) for (const b of to) this.#cuts.add(`${a}>${b}`);
  }
  heal(): void {
    this.#cuts.clear();
  }

  database(ids: readonly NodeId[], databaseReachable: boolean): void {
    for (const id of ids) {
      const health = { fit: true, reason: null, databaseReachable, lagMs: 0 };
      this.#feed(id, { kind: 'health', now: this.#now, health });
    }
  }
  disk(id: NodeId, full: boolean): void {
    this.#actor(id).diskFull = full;
  }
  transfer(id: NodeId, target: NodeId | null): void {
    this.#feed(id, { kind: 'transfer', now: this.#now, target, reason: 'asked' });
  }
  refuseFence(id: NodeId, databaseTerm: number): void {
    this.#feed(id, { kind: 'fence-refused', now: this.#now, databaseTerm });
  }

  /** A message that the core of its sender would not send, or not now: of another release, or late, or once more. */
  say(from: NodeId, to: NodeId, message: Said): void {
    const { generation } = this.#actor(from).config;
    const { boot: candidateBoot } = this.#actor(to).config;
    const base = { term: message.term, generation };
    switch (message.kind) {
      case 'vote-request':
        return this.#send(from, to, { kind: message.kind, ...base, transfer: false });
      case 'vote-answer':
        return this.#send(from, to, {
          kind: message.kind,
          ...base,
          candidateBoot,
          granted: true,
          rule: 'granted',
        });
      case 'heartbeat': {
        const rest = { sequence: 1, sentAt: this.#now, order: [], probe: 0 };
        return this.#send(from, to, { kind: message.kind, ...base, ...rest });
      }
      case 'transfer-now':
        return this.#send(from, to, { kind: message.kind, ...base });
    }
  }

  show(): void {
    for (const [id, { state, paused }] of this.#actors) {
      if (!state) {
        this.#tell(`${id}: down`);
        continue;
      }
      const { role, term, abstaining } = view(state);
      const follows = 'leader' in role ? ` of ${role.leader ?? 'nobody'}` : '';
      this.#tell(
        `${id}: ${role.kind}${follows}, term ${term}${abstaining ? ', abstaining' : ''}${paused ? ', frozen' : ''}`,
      );
    }
  }

  #feed(id: NodeId, input: Input): void {
    const actor = this.#actor(id);
    if (!actor.state) return;
    if (actor.paused) {
      actor.waiting.push(input);
      return;
    }
    const { state, effects } = step(actor.state, input);
    actor.state = state;
    for (const effect of effects) if (!this.#carryOut(id, actor, effect)) return;
  }

  /** False: the disk is full, and what comes after is left out. */
  #carryOut(id: NodeId, actor: Actor, effect: Effect): boolean {
    switch (effect.kind) {
      case 'persist':
        if (actor.diskFull) {
          this.#tell(`${id} cannot write ${recordOf(effect.persisted)}`);
          if (!actor.owed) this.#timeline.plan(this.#now + writeAgainMs, { kind: 'write-again', to: id });
          actor.owed = true;
          this.#feed(id, { kind: 'persist-failed', now: this.#now, reason: 'the disk is full' });
          return false;
        }
        actor.disk = effect.persisted;
        this.#tell(`${id} writes ${recordOf(effect.persisted)}`);
        break;
      case 'send':
        this.#send(id, effect.to, effect.message);
        break;
      case 'role': {
        const { role, term, reason } = effect;
        const follows = 'leader' in role ? ` of ${role.leader ?? 'nobody'}` : '';
        this.#tell(`${id} is ${role.kind}${follows} in term ${term}: ${reason}`);
        break;
      }
      case 'note':
        this.#tell(`${id} notes ${noteOf(effect.note)}`);
        break;
      case 'wake':
        actor.wake += 1;
        if (effect.at < Infinity)
          this.#timeline.plan(effect.at, { kind: 'wake', to: id, ticket: actor.wake });
    }
    return true;
  }

  #send(from: NodeId, to: NodeId, message: Message): void {
    const cut = this.#cuts.has(`${from}>${to}`);
    const told = messageOf(message);
    if (told) this.#tell(`${from} -> ${to} ${told}${cut ? ' (lost)' : ''}`);
    if (cut) return;
    const fromBoot = this.#actor(from).config.boot;
    const input = (now: number): Input => ({ kind: 'message', now, from, fromBoot, message });
    this.#timeline.plan(this.#now + latencyMs, { kind: 'input', to, input });
  }
}

/** At its start a node waits 10 % of a timeout longer than the one listed before it: the first one listed leads first. */
function seedOfPatience(place: number): number {
  const least = 0.1 * (place + 1);
  let seed = 0;
  for (; Math.abs(nextRandom(seed).value - least) > 0.02; seed++);
  return seed;
}

/** They begin with the same patience as the first of them, and go apart from then on. */
function seedBeside(together: readonly NodeId[], id: NodeId, all: readonly NodeId[]): number {
  const first = seedOfPatience(all.indexOf(together[0] ?? id));
  const patience = nextRandom(first).value;
  let seed = first + together.indexOf(id);
  for (; Math.abs(nextRandom(seed).value - patience) > 0.001; seed++);
  return seed;
}

const recordOf = ({ term, votedFor }: Persisted): string =>
  `term ${term}, ${votedFor === null ? 'no vote' : `vote for ${votedFor}`}`;

function noteOf(note: Extract<Effect, { kind: 'note' }>['note']): string {
  const { kind, ...rest } = note;
  const facts = Object.entries(rest).map(([name, value]) => `${name} ${value ?? 'nobody'}`);
  return `${kind}: ${facts.join(', ')}`;
}

/** Null for what every few milliseconds says that all is well. */
function messageOf(message: Message): string | null {
  switch (message.kind) {
    case 'heartbeat':
    case 'heartbeat-answer':
      return null;
    case 'pre-vote-request':
      return `could I win term ${message.term}?`;
    case 'vote-request':
      return `vote for me in term ${message.term}${message.transfer ? ', as the leader asked' : ''}`;
    case 'pre-vote-answer':
      return message.granted ? 'yes, you could' : `no, you could not: ${message.rule}`;
    case 'vote-answer':
      return message.granted ? `my vote in term ${message.term}` : `no vote: ${message.rule}`;
    case 'transfer-now':
      return 'take over now';
    case 'term-request':
      return 'which term are you in?';
    case 'term-answer':
      return `I am in term ${message.term}`;
  }
}
