// A whole cluster in simulated time: the twin of raft-loop.ts, udp.ts and vote-file.ts, with faults, and the checker
// looking at every effect. Decides nothing about elections: the core does, and it is the production one.
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
import type { Fault, Member, Plan, Who } from './plan.ts';
import { Chance } from './chance.ts';
import { Checker } from './checker.ts';
import { Database } from './database.ts';
import { Links } from './links.ts';
import { momentOf, newMachine, shownBy, type Arrival, type Machine } from './machine.ts';
import { Operator, type Order } from './operator.ts';
import { membersOf } from './plan.ts';
import { Timeline } from './timeline.ts';

type Happening =
  | ({ readonly kind: 'arrival'; readonly to: NodeId; readonly toBoot: number | null } & Arrival)
  | { readonly kind: 'wake'; readonly node: NodeId; readonly ticket: number }
  | { readonly kind: 'retry-write'; readonly node: NodeId; readonly boot: number }
  | { readonly kind: 'claim'; readonly node: NodeId; readonly boot: number; readonly term: number }
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
  readonly checker: Checker;
  readonly machines = new Map<NodeId, Machine>();
  readonly history: string[] = [];
  /** How often each rule, note and role occurred: a storm that never reaches a rule has not tried it. */
  readonly seen = new Map<string, number>();
  steps = 0;
  readonly #plan: Plan;
  readonly core: Core;
  readonly #chance: Chance;
  readonly #traced: boolean;
  readonly #links: Links;
  readonly #database: Database;
  readonly #operator: Operator;

  constructor(plan: Plan, core: Core, { traced = false }: { traced?: boolean } = {}) {
    this.#plan = plan;
    this.core = core;
    this.#traced = traced;
    this.#chance = new Chance(plan.seed ^ 0x5bd1e995);
    this.#links = new Links(this.#chance, plan.latencyMs);
    this.#database = new Database(core.admit);
    this.#operator = new Operator(plan.generations, this.#chance);
    this.checker = new Checker(plan.electionTimeoutMs);
    for (const member of membersOf(plan.generations)) {
      const generation =
        1 + plan.generations.findIndex((members) => members.some(({ id }) => id === member.id));
      const rate = 1 + plan.clockDrift * this.#chance.between(-1, 1);
      const clock = { rate, offsetMs: plan.clockDrift > 0 ? this.#chance.between(0, 1e6) : 0 };
      const config = this.#configOf(member.id, { generation, bootCount: 0 });
      const machine = newMachine(member, { config, generation, clock });
      this.machines.set(member.id, machine);
      if (generation > 1) continue;
      machine.wanted = true;
      this.timeline.plan(this.#chance.between(0, plan.electionTimeoutMs / 4), {
        kind: 'restart',
        node: member.id,
      });
    }
    for (const { at, fault } of plan.faults) this.timeline.plan(at, { kind: 'fault', fault });
    this.timeline.plan(plan.electionTimeoutMs / 2, { kind: 'audit' });
    if (!this.#operator.done) this.#operateAfter(Math.max(4, plan.operatorPaceTimeouts));
  }

  #configOf(id: NodeId, { generation, bootCount }: { generation: number; bootCount: number }): Config {
    const { generations, heartbeatMs, electionTimeoutMs } = this.#plan;
    const members: readonly Member[] = generations[generation - 1] ?? [];
    return {
      id,
      boot: `${id}-boot-${bootCount}`,
      voters: members.filter(({ voter }) => voter).map((member) => member.id),
      learners: members.filter(({ voter }) => !voter).map((member) => member.id),
      generation,
      heartbeatMs,
      electionTimeoutMs,
      priority: members.find((member) => member.id === id)?.priority ?? 0,
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
    const wanted = [...this.machines.values()].filter((machine) => machine.wanted);
    const newest = Math.max(...wanted.map(({ generation }) => generation));
    const members = this.#plan.generations[newest - 1] ?? [];
    return wanted.filter(({ id }) => members.some((member) => member.id === id));
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

  #happen(happening: Happening): void {
    switch (happening.kind) {
      case 'arrival':
        return this.#arrive(happening);
      case 'wake': {
        const machine = this.#machine(happening.node);
        if (machine.wakeTicket !== happening.ticket) return undefined;
        if (this.#isPaused(machine)) machine.missedWake = true;
        else this.#feed(machine, { kind: 'timer', now: this.#nowOf(machine) });
        return undefined;
      }
      case 'retry-write':
        return this.#retryWrite(this.#machine(happening.node), happening.boot);
      case 'claim':
        return this.#claim(this.#machine(happening.node), happening);
      case 'evidence': {
        const machine = this.#machine(happening.node);
        if (!machine.state || this.#isPaused(machine)) return undefined;
        const { term } = this.core.view(machine.state);
        const { leader, leaderBoot } = happening;
        return this.#feed(machine, { kind: 'evidence', now: this.#nowOf(machine), leader, leaderBoot, term });
      }
      case 'restart':
        return this.#restart(this.#machine(happening.node));
      case 'resume':
        return this.#resume(this.#machine(happening.node));
      case 'fault':
        return this.#begin(happening.fault);
      case 'heal':
        return happening.undo();
      case 'operate':
        return this.#operate();
      case 'audit':
        return this.#audit();
    }
  }

  #nowOf(machine: Machine): number {
    return shownBy(machine, this.timeline.now);
  }
  #isPaused(machine: Machine): boolean {
    return this.timeline.now < machine.pausedUntil;
  }

  #machine(id: NodeId): Machine {
    const machine = this.machines.get(id);
    if (!machine) throw new Error(`no node ${id}`);
    return machine;
  }

  #count(what: string): void {
    this.seen.set(what, (this.seen.get(what) ?? 0) + 1);
  }

  #say(what: () => string): void {
    if (this.#traced) this.history.push(`${this.timeline.now.toFixed(2).padStart(10)} ${what()}`);
  }

  // Processes

  #restart(machine: Machine): void {
    const { id } = machine;
    if (machine.state || !machine.wanted) return;
    const lost = machine.fileLost || machine.fileSaysAbstaining;
    const config = this.#configOf(id, { generation: machine.generation, bootCount: machine.bootCount + 1 });
    const ranIn = this.#database.ranIn(id);
    const entered = ranIn !== config.generation;
    // A restart in the same generation needs no database.
    const termAtLeast = entered || lost ? this.#admission(machine, config, lost) : 0;
    if (termAtLeast === null) return;
    machine.bootCount += 1;
    machine.config = config;
    machine.state = this.core.initialState(machine.config);
    // What the removed had of its votes, and what a single voter had of its own, nobody can tell it.
    const unknowable = (entered && ranIn !== undefined) || config.voters.length === 1;
    if (lost) this.checker.onVoteFileLost(id, machine.persisted, { unknowable });
    if (lost) machine.persisted = null;
    const before = machine.persisted;
    const recovered = recover(machine, { lost, entered, termAtLeast });
    machine.fileLost = false;
    machine.fileSaysAbstaining = lost;
    this.#say(() => `${id} starts in generation ${config.generation}: ${JSON.stringify(recovered)}`);
    const seed = this.#chance.below(2 ** 31);
    this.#feed(machine, { kind: 'start', now: this.#nowOf(machine), recovered, seed });
    this.#feed(machine, { kind: 'health', now: this.#nowOf(machine), health: machine.health });
    if (machine.state) this.checker.onRestart(id, before, this.core.view(machine.state));
  }

  /** A start in another generation than the last one is admitted and recorded first. @returns the term to begin with. */
  #admission(machine: Machine, { generation, voters }: Config, lost: boolean): number | null {
    const { id } = machine;
    const term = lost ? 0 : (machine.persisted?.term ?? 0);
    const admission = machine.health.databaseReachable
      ? this.#database.admit({ id, generation, voters }, term)
      : ({ kind: 'refused', reason: 'no database' } as const);
    if (admission.kind === 'admitted') {
      this.checker.onGeneration({ id, generation, voters }, this.timeline.now);
      return admission.termAtLeast;
    }
    this.#count('start refused');
    this.#say(() => `${id} does not start: ${admission.reason}`);
    // What the message advises: back to where it ran, until the others have followed.
    machine.generation = this.#database.ranIn(id) ?? machine.generation;
    const at = this.timeline.now + this.#plan.electionTimeoutMs / 2;
    this.timeline.plan(at, { kind: 'restart', node: id });
    return null;
  }

  #operate(): void {
    const { calmAt, operatorPaceTimeouts } = this.#plan;
    const order = this.#operator.next(this.machines);
    if (order) this.order(order);
    if (this.#operator.done) return;
    this.#operateAfter(this.timeline.now < calmAt ? operatorPaceTimeouts : 1);
  }
  #operateAfter(timeouts: number): void {
    this.timeline.plan(this.timeline.now + timeouts * this.#plan.electionTimeoutMs, { kind: 'operate' });
  }

  /** What an operator does: a start in this generation, or an end for good. */
  order(order: Order): void {
    const machine = this.#machine(order.id);
    this.#say(() => `OPERATOR ${JSON.stringify(order)}`);
    this.#count(`operator ${order.kind}`);
    machine.wanted = order.kind === 'start';
    if (order.kind === 'start') machine.generation = order.generation;
    const downMs = this.#plan.electionTimeoutMs * this.#chance.between(0.1, 1);
    if (machine.state) this.#crash(machine, { forMs: downMs, seen: true });
    else this.timeline.plan(this.timeline.now, { kind: 'restart', node: machine.id });
  }

  #crash(machine: Machine, { forMs, seen }: { forMs: number; seen: boolean }): void {
    if (!machine.state) return;
    const { id } = machine;
    this.#say(() => `${id} dies`);
    machine.state = null;
    machine.wakeTicket += 1;
    machine.waiting = [];
    machine.pausedUntil = 0;
    machine.missedWake = false;
    machine.owed = null;
    machine.leadsTerm = null;
    this.timeline.plan(this.timeline.now + forMs, { kind: 'restart', node: id });
    if (!seen) return;
    for (const node of this.machines.keys())
      if (node !== id && !this.#links.isCut(id, node) && this.#chance.happens(this.#plan.evidence))
        this.#showDeath(node, id, machine.config.boot);
  }

  #showDeath(node: NodeId, leader: NodeId, leaderBoot: string): void {
    const at = this.timeline.now + this.#chance.between(0.2, 2);
    this.timeline.plan(at, { kind: 'evidence', node, leader, leaderBoot });
  }

  #resume(machine: Machine): void {
    if (machine.pausedUntil === 0 || this.#isPaused(machine)) return;
    machine.pausedUntil = 0;
    this.#say(() => `${machine.id} goes on`);
    const { waiting, missedWake } = machine;
    machine.waiting = [];
    machine.missedWake = false;
    const late = (): void => {
      if (missedWake && machine.state) this.#feed(machine, { kind: 'timer', now: this.#nowOf(machine) });
    };
    // The worker drains its socket before a late timer; the core must stay safe where that fails.
    const timerFirst = this.#chance.happens(0.2);
    if (timerFirst) late();
    this.#setHealth(machine, {});
    for (const arrival of waiting) this.#deliver(machine, arrival);
    if (!timerFirst) late();
  }

  // Effects and inputs

  #feed(machine: Machine, first: Input): void {
    const inputs = [first];
    for (let input = inputs.shift(); input; input = inputs.shift()) {
      if (!machine.state) return;
      this.steps += 1;
      const before = this.core.view(machine.state);
      const { state, effects } = this.core.step(machine.state, input);
      machine.state = state;
      const follow = this.#carryOut(machine, effects, input);
      if (follow) inputs.push(follow);
      if (!machine.state) return;
      const after = this.core.view(machine.state);
      this.checker.onView(machine.id, before, after);
      this.#checkLeading(machine, after, 0);
      if (after.role.kind !== 'leader') machine.leadsTerm = null;
    }
  }

  /** The input that follows from a write that failed or succeeded again, if any. */
  #carryOut(machine: Machine, effects: readonly Effect[], cause: Input): Input | null {
    const now = this.#nowOf(machine);
    const { id } = machine;
    let follow: Input | null = null;
    for (const effect of effects) {
      switch (effect.kind) {
        case 'persist': {
          if (machine.diskFull) {
            this.#say(() => `${id} cannot write ${JSON.stringify(effect.persisted)}`);
            machine.owed = effect.persisted;
            this.#planRetry(machine);
            return cause.kind === 'persist-failed'
              ? null
              : { kind: 'persist-failed', now, reason: 'disk full' };
          }
          this.#write(machine, effect.persisted);
          if (machine.writeMs > 0) this.#pause(machine, machine.writeMs);
          if (machine.owed) {
            machine.owed = null;
            follow = { kind: 'persist-recovered', now };
          }
          if (machine.crashAfterWriteMs !== null) {
            const forMs = machine.crashAfterWriteMs;
            machine.crashAfterWriteMs = null;
            this.#crash(machine, { forMs, seen: true });
            return null;
          }
          break;
        }
        case 'send':
          this.#send(machine, effect.to, effect.message);
          break;
        case 'role':
          this.#count(`role ${effect.role.kind}`);
          this.#say(() => `${id} term ${effect.term}: ${JSON.stringify(effect.role)} (${effect.reason})`);
          if (effect.role.kind === 'leader') {
            machine.leadsTerm = effect.term;
            this.checker.onLeader(machine.config, effect.term, this.timeline.now);
            this.timeline.plan(this.timeline.now + 1, {
              kind: 'claim',
              node: id,
              boot: machine.bootCount,
              term: effect.term,
            });
          }
          break;
        case 'note':
          this.#count(
            `note ${effect.note.kind}${effect.note.kind === 'transfer' ? ` ${effect.note.outcome}` : ''}`,
          );
          this.#say(() => `${id} notes ${JSON.stringify(effect.note)}`);
          if (effect.note.kind === 'voting-again') {
            this.checker.onVotingAgain(id, effect.note.reason);
            machine.fileSaysAbstaining = false;
          }
          break;
        case 'wake': {
          machine.wakeTicket += 1;
          if (effect.at === Infinity) break;
          const late = this.#chance.happens(0.02)
            ? this.#chance.between(0, this.#lateMsMax())
            : this.#chance.next();
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
    return this.#plan.electionTimeoutMs / 4;
  }

  #diskOf(machine: Machine): { persisted: Persisted | null; failing: boolean } {
    return { persisted: machine.persisted, failing: machine.diskFull || machine.owed !== null };
  }

  #write(machine: Machine, record: Persisted): void {
    this.#say(() => `${machine.id} writes ${JSON.stringify(record)}`);
    this.checker.onPersist(machine.id, machine.persisted, record);
    machine.persisted = record;
  }

  #planRetry(machine: Machine): void {
    const at = this.timeline.now + this.#plan.electionTimeoutMs / 2;
    this.timeline.plan(at, { kind: 'retry-write', node: machine.id, boot: machine.bootCount });
  }

  #retryWrite(machine: Machine, boot: number): void {
    if (!machine.state || machine.bootCount !== boot || !machine.owed) return;
    if (machine.diskFull || this.#isPaused(machine)) return this.#planRetry(machine);
    this.#write(machine, machine.owed);
    machine.owed = null;
    this.#feed(machine, { kind: 'persist-recovered', now: this.#nowOf(machine) });
  }

  #checkLeading(machine: Machine, view: View, slackMs: number): void {
    if (view.role.kind !== 'leader' || machine.leadsTerm !== view.term) return;
    // A slow clock counts the timeout slowly.
    const driftMs = 2 * this.#plan.clockDrift * this.#plan.electionTimeoutMs;
    const { term } = view;
    this.checker.onLeading(machine.config, { term, now: this.timeline.now, slackMs: slackMs + driftMs });
  }

  /** Finds the leader that is never woken, too. */
  #audit(): void {
    for (const machine of this.machines.values())
      if (machine.state && !this.#isPaused(machine))
        this.#checkLeading(machine, this.core.view(machine.state), this.#lateMsMax() + 1);
    this.timeline.plan(this.timeline.now + this.#plan.electionTimeoutMs / 2, { kind: 'audit' });
  }

  // Network

  #send(machine: Machine, to: NodeId, message: Message): void {
    const { id } = machine;
    // A slow write holds back what comes after it.
    const now = Math.max(this.timeline.now, machine.pausedUntil);
    this.checker.onSend(machine.config, { disk: this.#diskOf(machine), to, message, now });
    this.#say(() => `${id} -> ${to} ${JSON.stringify(message)}${this.#links.isCut(id, to) ? ' (cut)' : ''}`);
    if ('rule' in message) this.#count(`rule ${message.rule}`);
    const from = { from: id, fromBoot: machine.config.boot, message };
    for (const travelMs of this.#links.travelTimes(id, to))
      this.timeline.plan(now + travelMs, { kind: 'arrival', to, toBoot: null, ...from });
  }

  #arrive(arrival: Extract<Happening, { kind: 'arrival' }>): void {
    const machine = this.#machine(arrival.to);
    if (!machine.state) return;
    if (!this.#isPaused(machine)) return this.#deliver(machine, arrival);
    if (machine.waiting.length < waitingMax) machine.waiting.push(arrival);
  }

  #deliver(machine: Machine, { from, fromBoot, message }: Arrival): void {
    if (!machine.state) return;
    if (message.kind === 'heartbeat-answer') this.checker.onAnswerArrived(machine.id, from, message);
    this.#feed(machine, { kind: 'message', now: this.#nowOf(machine), from, fromBoot, message });
  }

  // Database

  #claim(machine: Machine, claim: { boot: number; term: number }): void {
    const { id } = machine;
    if (!machine.state || machine.bootCount !== claim.boot || machine.leadsTerm !== claim.term) return;
    if (!machine.health.databaseReachable || this.#isPaused(machine)) {
      const again = { kind: 'claim', node: id, boot: claim.boot, term: claim.term } as const;
      this.timeline.plan(this.timeline.now + this.#plan.electionTimeoutMs / 2, again);
    } else if (this.#database.claim(claim.term)) this.checker.onFenceClaimed(id, claim.term);
    else {
      const databaseTerm = this.#database.fenceTerm;
      this.#feed(machine, { kind: 'fence-refused', now: this.#nowOf(machine), databaseTerm });
    }
  }

  // Faults

  #resolve(who: Who): NodeId | null {
    return who === 'leader' ? (this.leaders()[0] ?? null) : who;
  }

  #later(forMs: number, undo: () => void): void {
    this.timeline.plan(Math.min(this.timeline.now + forMs, this.#plan.calmAt), { kind: 'heal', undo });
  }

  #restAfter(forMs: number): number {
    return Math.max(0, Math.min(forMs, this.#plan.calmAt - this.timeline.now));
  }

  #begin(fault: Fault): void {
    this.#say(() => `FAULT ${JSON.stringify(fault)}`);
    switch (fault.kind) {
      case 'crash':
      case 'crash-after-write':
      case 'pause':
      case 'disk-full':
      case 'slow-disk':
      case 'clock-leap':
      case 'unfit': {
        const id = this.#resolve(fault.who);
        return id === null ? undefined : this.#strike(this.#machine(id), fault);
      }
      case 'cut':
        return this.#later(fault.forMs, this.#links.cut(this.#pairsBetween(fault.from, fault.to)));
      case 'mesh':
        return this.#later(fault.forMs, this.#links.cut(this.#pairsBeside(fault.pairs)));
      case 'noise':
        return this.#later(fault.forMs, this.#links.disturb(fault));
      case 'no-database': {
        const struck = fault.who.map((who) => this.#resolve(who)).filter((id) => id !== null);
        for (const id of struck) this.#setHealth(this.#machine(id), { databaseReachable: false });
        return this.#later(fault.forMs, () => {
          for (const id of struck) this.#setHealth(this.#machine(id), { databaseReachable: true });
        });
      }
      case 'transfer': {
        const leader = this.#resolve('leader');
        if (leader === null || this.#isPaused(this.#machine(leader))) return undefined;
        const { target } = fault;
        const now = this.#nowOf(this.#machine(leader));
        return this.#feed(this.#machine(leader), { kind: 'transfer', now, target, reason: 'asked' });
      }
      case 'false-evidence': {
        const { state } = this.#machine(fault.who);
        const leader = state ? this.core.view(state).leader : null;
        if (leader === null || leader === fault.who) return undefined;
        return this.#showDeath(fault.who, leader, this.#machine(leader).config.boot);
      }
      case 'fence-ahead':
        this.#database.fenceTerm += fault.terms;
    }
  }

  #pairsBetween(from: readonly Who[], to: readonly Who[]): [NodeId, NodeId][] {
    const ids = (list: readonly Who[]) => list.map((who) => this.#resolve(who)).filter((id) => id !== null);
    const targets = ids(to);
    return ids(from).flatMap((a) => targets.filter((b) => b !== a).map((b): [NodeId, NodeId] => [a, b]));
  }
  /** Every link, in its direction, that is none of these. */
  #pairsBeside(pairs: readonly (readonly [NodeId, NodeId])[]): [NodeId, NodeId][] {
    const ids = [...this.machines.keys()];
    const kept = new Set(pairs.flatMap(([a, b]) => [`${a}>${b}`, `${b}>${a}`]));
    return this.#pairsBetween(ids, ids).filter(([a, b]) => !kept.has(`${a}>${b}`));
  }

  #pause(machine: Machine, forMs: number): void {
    machine.pausedUntil = Math.max(machine.pausedUntil, this.timeline.now + forMs);
    this.timeline.plan(machine.pausedUntil, { kind: 'resume', node: machine.id });
  }

  #strike(
    machine: Machine,
    fault: Extract<
      Fault,
      {
        kind: 'crash' | 'crash-after-write' | 'pause' | 'disk-full' | 'slow-disk' | 'clock-leap' | 'unfit';
      }
    >,
  ): void {
    const { id } = machine;
    switch (fault.kind) {
      case 'crash':
        if (fault.loseVoteFile && machine.state && this.#mayLoseVoteFile()) {
          this.#say(() => `${id} loses its vote file ${JSON.stringify(machine.persisted)}`);
          machine.fileLost = true;
        }
        return this.#crash(machine, { forMs: this.#restAfter(fault.forMs), seen: true });
      case 'crash-after-write':
        machine.crashAfterWriteMs = this.#restAfter(fault.forMs);
        return this.#later(fault.forMs, () => {
          machine.crashAfterWriteMs = null;
        });
      case 'pause':
        if (!machine.state) return undefined;
        return this.#pause(machine, this.#restAfter(fault.forMs));
      case 'disk-full':
        machine.diskFull = true;
        return this.#later(fault.forMs, () => {
          machine.diskFull = false;
        });
      case 'slow-disk':
        machine.writeMs = fault.writeMs;
        return this.#later(fault.forMs, () => {
          machine.writeMs = 0;
        });
      case 'clock-leap':
        machine.clock.offsetMs += fault.byMs;
        // Its timer is due at once.
        machine.missedWake = this.#isPaused(machine);
        if (!this.#isPaused(machine)) this.#feed(machine, { kind: 'timer', now: this.#nowOf(machine) });
        return undefined;
      case 'unfit':
        this.#setHealth(machine, { fit: false });
        return this.#later(fault.forMs, () => this.#setHealth(machine, { fit: true }));
    }
  }

  /** Two at once can only be brought back by hand (`baton node recover`), which is not what a storm is to find. */
  #mayLoseVoteFile(): boolean {
    return [...this.machines.values()].every(
      ({ fileLost, fileSaysAbstaining }) => !fileLost && !fileSaysAbstaining,
    );
  }

  #setHealth(machine: Machine, change: Partial<Health>): void {
    machine.health = { ...machine.health, ...change };
    if (machine.state && !this.#isPaused(machine))
      this.#feed(machine, { kind: 'health', now: this.#nowOf(machine), health: machine.health });
  }
}

/** What openVoteFile does: the term of a generation is on disk before anything is said in it. */
function recover(
  machine: Machine,
  { lost, entered, termAtLeast }: { lost: boolean; entered: boolean; termAtLeast: number },
): Recovered {
  if (lost) return { kind: 'lost', term: termAtLeast };
  const found = machine.persisted;
  if (entered && (found?.term ?? 0) < termAtLeast) machine.persisted = { term: termAtLeast, votedFor: null };
  return machine.persisted ? { kind: 'found', persisted: machine.persisted } : { kind: 'first' };
}
