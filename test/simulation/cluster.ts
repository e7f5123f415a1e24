// A whole cluster in simulated time: the twin of raft-thread/loop.ts, transport/udp.ts and identity/vote-file.ts. All that
// leaves a node, reaches it or gets to its disk goes into the trace, which is judged at once. Decides nothing about elections:
// the core does, and it is the production one.
import type {
  Config,
  Effect,
  Health,
  Input,
  Message,
  NodeId,
  Persisted,
  Recovered,
} from '../../nodes/raft/types.ts';
import type { View } from '../../nodes/raft/state.ts';
import type { Core } from './core.ts';
import type { Fact, TraceRecord } from './trace/record.ts';
import type { Fault, LeftOut, Member, Plan } from './plan.ts';
import { beginFault } from './begin-fault.ts';
import { Chance } from './chance.ts';
import { Database } from './database.ts';
import { Links } from './links.ts';
import { beginReign, onStatement, type Statement } from './reign.ts';
import { momentOf, newMachine, shownBy, type Arrival, type Machine } from './machine.ts';
import { Operator, type Order } from './operator.ts';
import { membersOf } from './plan.ts';
import { Timeline } from './timeline.ts';
import { TraceChecker } from './trace/trace-checker.ts';

type Happening =
  | ({ readonly kind: 'arrival'; readonly to: NodeId } & Arrival)
  | { readonly kind: 'wake'; readonly node: NodeId; readonly ticket: number }
  | { readonly kind: 'retry-write'; readonly node: NodeId; readonly boot: number }
  | Statement
  | { readonly kind: 'evidence'; readonly node: NodeId; readonly leader: NodeId; readonly leaderBoot: string }
  | { readonly kind: 'restart'; readonly node: NodeId }
  | { readonly kind: 'resume'; readonly node: NodeId }
  | { readonly kind: 'fault'; readonly fault: Fault }
  | { readonly kind: 'heal'; readonly undo: () => void }
  | { readonly kind: 'operate' }
  | { readonly kind: 'audit' };

/** What a socket holds for a process that stands still. */
const waitingMax = 500;

export class Cluster {
  readonly timeline = new Timeline<Happening>();
  readonly checker = new TraceChecker();
  readonly machines = new Map<NodeId, Machine>();
  /** How often each rule, note and role occurred: a storm that never reaches a rule has not tried it. */
  readonly seen = new Map<string, number>();
  steps = 0;
  readonly plan: Plan;
  readonly core: Core;
  readonly chance: Chance;
  readonly #onRecord: ((record: TraceRecord) => void) | undefined;
  readonly links: Links;
  readonly database: Database;
  readonly #operator: Operator;
  #leftOut: readonly NodeId[] = [];

  constructor(plan: Plan, core: Core, onRecord?: (record: TraceRecord) => void) {
    this.plan = plan;
    this.core = core;
    this.#onRecord = onRecord;
    this.chance = new Chance(plan.seed ^ 0x5bd1e995);
    this.links = new Links(this.chance, plan.latencyMs);
    this.database = new Database(core.admit);
    this.#operator = new Operator(plan.generations, this.chance);
    for (const member of membersOf(plan.generations)) {
      const generation =
        1 + plan.generations.findIndex((members) => members.some(({ id }) => id === member.id));
      const rate = 1 + plan.clockDrift * this.chance.between(-1, 1);
      const clock = { rate, offsetMs: plan.clockDrift > 0 ? this.chance.between(0, 1e6) : 0 };
      const config = this.#configOf(member.id, { generation, bootCount: 0, settings: null });
      const machine = newMachine(member, { config, generation, clock });
      this.machines.set(member.id, machine);
      if (generation > 1) continue;
      machine.wanted = true;
      this.timeline.plan(this.chance.between(0, plan.electionTimeoutMs / 4), {
        kind: 'restart',
        node: member.id,
      });
    }
    for (const { at, fault } of plan.faults) this.timeline.plan(at, { kind: 'fault', fault });
    this.timeline.plan(plan.electionTimeoutMs / 2, { kind: 'audit' });
    if (!this.#operator.done) this.#operateAfter(Math.max(4, plan.operatorPaceTimeouts));
  }

  #configOf(
    id: NodeId,
    { generation, bootCount, settings }: Pick<Machine, 'generation' | 'bootCount' | 'settings'>,
  ): Config {
    const { generations, heartbeatMs, electionTimeoutMs } = this.plan;
    const members: readonly Member[] = generations[generation - 1] ?? [];
    const timeoutFactor = settings?.timeoutFactor ?? 1;
    const priority = members.find((member) => member.id === id)?.priority ?? 0;
    return {
      id,
      boot: `${id}-boot-${bootCount}`,
      voters: members.filter(({ voter }) => voter).map((member) => member.id),
      learners: members.filter(({ voter }) => !voter).map((member) => member.id),
      generation,
      heartbeatMs: timeoutFactor * heartbeatMs,
      electionTimeoutMs: timeoutFactor * electionTimeoutMs,
      // Who never leads stays so.
      priority: priority === 0 ? 0 : (settings?.priority ?? priority),
    };
  }

  /** Runs until the clock passes `until` or `done` says so. @throws Violation */
  run(until: number, done: () => boolean = () => false): void {
    while (this.timeline.now < until && !done()) {
      const happening = this.timeline.next();
      if (!happening) return;
      this.#happen(happening);
    }
  }

  /** A fault that begins now, for a test that first looks who leads. */
  begin(fault: Fault): void {
    this.timeline.plan(this.timeline.now, { kind: 'fault', fault });
  }

  /** The rolling changes of the membership have come to their end. */
  get rolledOut(): boolean {
    return this.#operator.done;
  }

  /** Of the members; a removed node that runs on is nobody's business. */
  views(): View[] {
    const views: View[] = [];
    for (const { state } of this.#members()) if (state) views.push(this.core.view(state));
    return views;
  }

  #members(): Machine[] {
    const wanted = [...this.machines.values()].filter(
      ({ id, wanted: is }) => is && !this.#leftOut.includes(id),
    );
    const newest = Math.max(...wanted.map(({ generation }) => generation));
    const members = this.plan.generations[newest - 1] ?? [];
    return wanted.filter(({ id }) => members.some((member) => member.id === id));
  }

  /** Some node has lost its vote file and does not vote yet. */
  lacksVoteFile(): boolean {
    return [...this.machines.values()].some(
      ({ fileLost, fileSaysAbstaining }) => fileLost || fileSaysAbstaining,
    );
  }

  /** These stay away from now on. A node that lost its vote file may need all of them, so then nobody is left out. */
  leaveOut({ ids, how }: LeftOut): void {
    if (this.lacksVoteFile()) return;
    this.count(`left out: ${how}`);
    this.#leftOut = ids;
    const others = [...this.machines.keys()].filter((id) => !ids.includes(id));
    const remark = { kind: 'remark', text: `LEFT OUT ${how}` } as const;
    for (const id of ids) this.record(this.machine(id), remark);
    if (how === 'down')
      for (const machine of ids.map((id) => this.machine(id))) {
        // Nor does it come back from the crash before.
        machine.wanted = false;
        this.crash(machine, Infinity);
      }
    const pairs = (from: readonly NodeId[], to: readonly NodeId[]) =>
      from.flatMap((a) => to.map((b): [NodeId, NodeId] => [a, b]));
    if (how === 'cut' || how === 'mute') this.links.cut(pairs(ids, others));
    if (how === 'cut' || how === 'deaf') this.links.cut(pairs(others, ids));
  }

  leaders(): NodeId[] {
    return [...this.machines.values()]
      .filter(({ state }) => state && this.core.view(state).role.kind === 'leader')
      .map(({ id }) => id);
  }

  /** All nodes run and follow one leader in one term. */
  agreed(): boolean {
    const views = this.views();
    const [first] = views;
    if (!first || views.length < this.#members().length || first.leader === null) return false;
    return views.every(({ leader, term }) => leader === first.leader && term === first.term);
  }

  /** Who leads has the fence of its term, and knows it. */
  writable(): boolean {
    return this.#members().some(
      ({ state, leadsTerm, mayWrite }) => state && mayWrite && leadsTerm === this.database.fenceTerm,
    );
  }

  #happen(happening: Happening): void {
    switch (happening.kind) {
      case 'arrival':
        return this.#arrive(happening);
      case 'wake': {
        const machine = this.machine(happening.node);
        if (machine.wakeTicket !== happening.ticket) return undefined;
        if (this.isPaused(machine)) machine.missedWake = true;
        else this.feed(machine, { kind: 'timer', now: this.nowOf(machine) });
        return undefined;
      }
      case 'retry-write':
        return this.#retryWrite(this.machine(happening.node), happening.boot);
      case 'claim':
      case 'write-item':
      case 'land':
        return onStatement(this, happening);
      case 'evidence':
        return this.#evidence(this.machine(happening.node), happening);
      case 'restart':
        return this.#restart(this.machine(happening.node));
      case 'resume':
        return this.#resume(this.machine(happening.node));
      case 'fault':
        this.#tellFault(happening.fault);
        return beginFault(this, happening.fault);
      case 'heal':
        return happening.undo();
      case 'operate':
        return this.#operate();
      case 'audit':
        return this.#audit();
    }
  }

  nowOf(machine: Machine): number {
    return shownBy(machine, this.timeline.now);
  }
  isPaused(machine: Machine): boolean {
    return this.timeline.now < machine.pausedUntil;
  }

  machine(id: NodeId): Machine {
    const machine = this.machines.get(id);
    if (!machine) throw new Error(`no node ${id}`);
    return machine;
  }

  count(what: string): void {
    this.seen.set(what, (this.seen.get(what) ?? 0) + 1);
  }

  #tellFault(fault: Fault): void {
    this.record(null, { kind: 'remark', text: `FAULT ${JSON.stringify(fault)}` });
  }

  /** After a fault moved it; `holder`: null when claims were lost. */
  recordFence(holder: string | null): void {
    this.record(null, { kind: 'fence-moved', term: this.database.fenceTerm, holder });
  }

  /** Null: of no node. */
  record(machine: Machine | null, fact: Fact): void {
    const clock = machine ? this.nowOf(machine) : 0;
    const record: TraceRecord = { ...fact, at: this.timeline.now, node: machine?.id ?? '', clock };
    this.#onRecord?.(record);
    this.checker.take(record);
  }

  // Processes

  #restart(machine: Machine): void {
    const { id } = machine;
    if (machine.state || !machine.wanted) return;
    const lost = machine.fileLost || machine.fileSaysAbstaining;
    const config = this.#configOf(id, { ...machine, bootCount: machine.bootCount + 1 });
    const ranIn = this.database.ranIn(id);
    const entered = ranIn !== config.generation;
    // A restart in the same generation needs no database.
    const termAtLeast = entered || lost ? this.#admission(machine, config, lost) : 0;
    if (termAtLeast === null) return;
    machine.bootCount += 1;
    machine.config = config;
    machine.state = this.core.initialState(machine.config);
    if (lost) machine.persisted = null;
    // What the removed had of its votes, and what a single voter had of its own, nobody can tell it.
    const unknowable = (entered && ranIn !== undefined) || config.voters.length === 1;
    const { boot, generation, voters, learners, priority, electionTimeoutMs } = config;
    this.record(machine, {
      kind: 'start',
      boot,
      generation,
      voters,
      learners,
      priority,
      electionTimeoutMs,
      disk: machine.persisted,
      lost,
      unknowable,
      termAtLeast,
    });
    const found = machine.persisted?.term ?? 0;
    // What openVoteFile does: the term of a generation is on disk before anything is said in it.
    if (entered && !lost && found < termAtLeast) this.#write(machine, { term: termAtLeast, votedFor: null });
    machine.fileLost = false;
    machine.fileSaysAbstaining = lost;
    const recovered: Recovered = lost
      ? { kind: 'lost', term: termAtLeast }
      : machine.persisted
        ? { kind: 'found', persisted: machine.persisted }
        : { kind: 'first' };
    const seed = this.chance.below(2 ** 31);
    this.feed(machine, { kind: 'start', now: this.nowOf(machine), recovered, seed });
    this.feed(machine, { kind: 'health', now: this.nowOf(machine), health: machine.health });
  }

  /** A start in another generation than the last one is admitted and recorded first. @returns the term to begin with. */
  #admission(machine: Machine, { generation, voters }: Config, lost: boolean): number | null {
    const { id } = machine;
    const term = lost ? 0 : (machine.persisted?.term ?? 0);
    const admission = machine.health.databaseReachable
      ? this.database.admit({ id, generation, voters }, term)
      : ({ kind: 'refused', reason: 'no database' } as const);
    if (admission.kind === 'admitted') return admission.termAtLeast;
    this.count('start refused');
    this.record(machine, { kind: 'remark', text: `does not start: ${admission.reason}` });
    // What the message advises: back to where it ran, until the others have followed.
    machine.generation = this.database.ranIn(id) ?? machine.generation;
    const at = this.timeline.now + this.plan.electionTimeoutMs / 2;
    this.timeline.plan(at, { kind: 'restart', node: id });
    return null;
  }

  #operate(): void {
    const { calmAt, operatorPaceTimeouts } = this.plan;
    const order = this.#operator.next(this.machines);
    if (order) this.order(order);
    if (this.#operator.done) return;
    this.#operateAfter(this.timeline.now < calmAt ? operatorPaceTimeouts : 1);
  }
  #operateAfter(timeouts: number): void {
    this.timeline.plan(this.timeline.now + timeouts * this.plan.electionTimeoutMs, { kind: 'operate' });
  }

  /** What an operator does: a start in this generation, or an end for good. */
  order(order: Order): void {
    const machine = this.machine(order.id);
    this.record(machine, { kind: 'remark', text: `OPERATOR ${JSON.stringify(order)}` });
    this.count(`operator ${order.kind}`);
    machine.wanted = order.kind === 'start';
    if (order.kind === 'start') machine.generation = order.generation;
    const downMs = this.plan.electionTimeoutMs * this.chance.between(0.1, 1);
    if (machine.state) this.crash(machine, downMs);
    else this.timeline.plan(this.timeline.now, { kind: 'restart', node: machine.id });
  }

  /** Others may see it. */
  crash(machine: Machine, forMs: number): void {
    if (!machine.state) return;
    const { id } = machine;
    this.record(machine, { kind: 'end' });
    machine.state = null;
    machine.wakeTicket += 1;
    machine.waiting = [];
    machine.pausedUntil = 0;
    machine.missedWake = false;
    machine.owed = null;
    machine.leadsTerm = null;
    machine.dying = null;
    this.timeline.plan(this.timeline.now + forMs, { kind: 'restart', node: id });
    for (const node of this.machines.keys())
      if (node !== id && !this.links.isCut(id, node) && this.chance.happens(this.plan.evidence))
        this.showDeath(node, id, machine.config.boot);
  }

  showDeath(node: NodeId, leader: NodeId, leaderBoot: string): void {
    const at = this.timeline.now + this.chance.between(0.2, 2);
    this.timeline.plan(at, { kind: 'evidence', node, leader, leaderBoot });
  }

  #resume(machine: Machine): void {
    if (machine.pausedUntil === 0 || this.isPaused(machine)) return;
    machine.pausedUntil = 0;
    this.record(machine, { kind: 'remark', text: 'goes on' });
    const { waiting, missedWake } = machine;
    machine.waiting = [];
    machine.missedWake = false;
    const late = (): void => {
      if (missedWake && machine.state) this.feed(machine, { kind: 'timer', now: this.nowOf(machine) });
    };
    // The worker drains its socket before a late timer; the core must stay safe where that fails.
    const timerFirst = this.chance.happens(0.2);
    if (timerFirst) late();
    this.setHealth(machine, {});
    for (const arrival of waiting) this.#deliver(machine, arrival);
    if (!timerFirst) late();
  }

  // Effects and inputs

  feed(machine: Machine, first: Input): void {
    const inputs = [first];
    for (let input = inputs.shift(); input; input = inputs.shift()) {
      if (!machine.state) return;
      this.steps += 1;
      const { state, effects } = this.core.step(machine.state, input);
      machine.state = state;
      const follow = this.#carryOut(machine, effects, input);
      if (follow) inputs.push(follow);
      if (!machine.state) return;
      // The quorum is counted when the timer comes, after whatever reached this node before.
      const lateMs = input.kind === 'timer' ? 0 : Math.max(0, this.nowOf(machine) - machine.wakeAt);
      this.#recordState(machine, lateMs);
    }
  }

  /** The input that follows from a write that failed or succeeded again, if any. */
  #carryOut(machine: Machine, effects: readonly Effect[], cause: Input): Input | null {
    const now = this.nowOf(machine);
    const { id } = machine;
    let follow: Input | null = null;
    for (const effect of effects) {
      if (this.#diesAt(machine, effect)) return null;
      switch (effect.kind) {
        case 'persist': {
          if (machine.diskFull) {
            this.record(machine, { kind: 'write-failed', ...effect.persisted });
            machine.owed = effect.persisted;
            this.#planRetry(machine);
            return cause.kind === 'persist-failed'
              ? null
              : { kind: 'persist-failed', now, reason: 'disk full' };
          }
          this.#write(machine, effect.persisted);
          if (machine.writeMs > 0) this.pause(machine, machine.writeMs);
          if (machine.owed) {
            machine.owed = null;
            follow = { kind: 'persist-recovered', now };
          }
          break;
        }
        case 'send':
          this.#send(machine, effect.to, effect.message);
          break;
        case 'role':
          this.count(`role ${effect.role.kind}`);
          this.#remark(machine, effect);
          if (effect.role.kind === 'leader') beginReign(this, machine, effect.term);
          break;
        case 'note':
          this.count(
            `note ${effect.note.kind}${effect.note.kind === 'transfer' ? ` ${effect.note.outcome}` : ''}`,
          );
          this.#remark(machine, effect.note);
          if (effect.note.kind === 'voting-again') {
            this.record(machine, { kind: 'votes-again', reason: effect.note.reason });
            machine.fileSaysAbstaining = false;
          }
          break;
        case 'wake': {
          machine.wakeTicket += 1;
          machine.wakeAt = effect.at;
          if (effect.at === Infinity) break;
          const late = this.chance.happens(0.02)
            ? this.chance.between(0, this.#lateMsMax())
            : this.chance.next();
          this.timeline.plan(momentOf(machine, effect.at) + late, {
            kind: 'wake',
            node: id,
            ticket: machine.wakeTicket,
          });
          break;
        }
      }
    }
    return follow;
  }

  #lateMsMax(): number {
    return this.plan.electionTimeoutMs / 4;
  }

  /** In the middle of this step, when it was to. */
  #diesAt(machine: Machine, effect: Effect): boolean {
    const { dying } = machine;
    if (!dying || !(dying.begun || effect.kind === 'persist')) return false;
    machine.dying = { ...dying, begun: true, effects: dying.effects - 1 };
    if (dying.effects > 0) return false;
    this.count('died midway');
    this.crash(machine, dying.forMs);
    return true;
  }

  #remark(machine: Machine, what: object): void {
    if (this.#onRecord) this.record(machine, { kind: 'remark', text: JSON.stringify(what) });
  }

  #write(machine: Machine, record: Persisted): void {
    this.record(machine, { kind: 'write', ...record });
    machine.persisted = record;
  }

  #planRetry(machine: Machine): void {
    const at = this.timeline.now + this.plan.electionTimeoutMs / 2;
    this.timeline.plan(at, { kind: 'retry-write', node: machine.id, boot: machine.bootCount });
  }

  #retryWrite(machine: Machine, boot: number): void {
    if (!machine.state || machine.bootCount !== boot || !machine.owed) return;
    if (machine.diskFull || this.isPaused(machine)) return this.#planRetry(machine);
    this.#write(machine, machine.owed);
    machine.owed = null;
    this.feed(machine, { kind: 'persist-recovered', now: this.nowOf(machine) });
  }

  /** `lateMs`: how late its timer is, or may be, by its own clock. */
  #recordState(machine: Machine, lateMs: number): void {
    if (!machine.state) return;
    const { role, term } = this.core.view(machine.state);
    const leading = role.kind === 'leader';
    if (!leading) machine.leadsTerm = null;
    this.record(machine, { kind: 'state', term, leading, lateMs });
  }

  /** Finds the leader that is never woken, too. */
  #audit(): void {
    for (const machine of this.machines.values())
      if (!this.isPaused(machine)) this.#recordState(machine, this.#lateMsMax() + 1);
    this.timeline.plan(this.timeline.now + this.plan.electionTimeoutMs / 2, { kind: 'audit' });
  }

  // Network

  #send(machine: Machine, to: NodeId, message: Message): void {
    const { id } = machine;
    // A slow write holds back what comes after it.
    const now = Math.max(this.timeline.now, machine.pausedUntil);
    this.record(machine, { kind: 'send', to, message });
    if ('rule' in message) this.count(`rule ${message.rule}`);
    const from = { from: id, fromBoot: machine.config.boot, message };
    for (const travelMs of this.links.travelTimes(id, to))
      this.timeline.plan(now + travelMs, { kind: 'arrival', to, ...from });
  }

  #arrive(arrival: Extract<Happening, { kind: 'arrival' }>): void {
    const machine = this.machine(arrival.to);
    if (!machine.state) return;
    if (!this.isPaused(machine)) return this.#deliver(machine, arrival);
    if (machine.waiting.length < waitingMax) machine.waiting.push(arrival);
  }

  #deliver(machine: Machine, { from, fromBoot, message }: Arrival): void {
    if (!machine.state) return;
    this.record(machine, { kind: 'receive', from, fromBoot, message });
    this.feed(machine, { kind: 'message', now: this.nowOf(machine), from, fromBoot, message });
  }

  // Faults, for begin-fault.ts

  /** Undone after this long, or when the storm ends. */
  later(forMs: number, undo: () => void): void {
    this.timeline.plan(this.timeline.now + this.restOf(forMs), { kind: 'heal', undo });
  }
  restOf(forMs: number): number {
    return Math.max(0, Math.min(forMs, this.plan.calmAt - this.timeline.now));
  }

  pause(machine: Machine, forMs: number): void {
    machine.pausedUntil = Math.max(machine.pausedUntil, this.timeline.now + forMs);
    this.timeline.plan(machine.pausedUntil, { kind: 'resume', node: machine.id });
  }

  #evidence(machine: Machine, { leader, leaderBoot }: Extract<Happening, { kind: 'evidence' }>): void {
    if (!machine.state || this.isPaused(machine)) return;
    const { term } = this.core.view(machine.state);
    this.record(machine, { kind: 'evidence', leader, leaderBoot });
    this.feed(machine, { kind: 'evidence', now: this.nowOf(machine), leader, leaderBoot, term });
  }

  setHealth(machine: Machine, change: Partial<Health>): void {
    machine.health = { ...machine.health, ...change };
    if (machine.state && !this.isPaused(machine))
      this.feed(machine, { kind: 'health', now: this.nowOf(machine), health: machine.health });
  }
}
