// A whole cluster in simulated time: its nodes, links, database and operator, and what happens next. All that leaves a node,
// reaches it or gets to its disk goes into the trace, which is judged at once. Decides nothing about elections: the core
// does, and it is the production one.
import type { Input, NodeId } from '../../nodes/raft/types.ts';
import type { View } from '../../nodes/raft/state.ts';
import type { Core } from './core.ts';
import type { Fact, TraceRecord } from './trace/record.ts';
import type { Fault, LeftOut, Plan } from './plan.ts';
import { beginFault } from './begin-fault.ts';
import { Chance } from './chance.ts';
import { Database } from './database.ts';
import { arrive } from './datagrams.ts';
import { retryWrite } from './disk.ts';
import { Links } from './links.ts';
import { feed, lateMsMax, recordState } from './loop.ts';
import { newMachine, shownBy, type Arrival, type Machine } from './machine.ts';
import { Operator, type Order } from './operator.ts';
import { membersOf } from './plan.ts';
import { configOf, crash, restart, resume, seeDeath } from './processes.ts';
import { onStatement, type Statement } from './reign.ts';
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
      const config = configOf(plan, member.id, { generation, bootCount: 0, settings: null });
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
        crash(this, machine, Infinity);
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
        return arrive(this, happening);
      case 'wake': {
        const machine = this.machine(happening.node);
        if (machine.wakeTicket !== happening.ticket) return undefined;
        if (this.isPaused(machine)) machine.missedWake = true;
        else this.feed(machine, { kind: 'timer', now: this.nowOf(machine) });
        return undefined;
      }
      case 'retry-write':
        return retryWrite(this, this.machine(happening.node), happening.boot);
      case 'claim':
      case 'write-item':
      case 'land':
        return onStatement(this, happening);
      case 'evidence':
        return seeDeath(this, this.machine(happening.node), happening);
      case 'restart':
        return restart(this, this.machine(happening.node));
      case 'resume':
        return resume(this, this.machine(happening.node));
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

  /** An input for its core, and what follows from it. */
  feed(machine: Machine, input: Input): void {
    feed(this, machine, input);
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

  /** Somebody reads the trace, so what only a reader wants is worth its while. */
  get isTraced(): boolean {
    return this.#onRecord !== undefined;
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

  // The operator

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
    if (machine.state) crash(this, machine, downMs);
    else this.timeline.plan(this.timeline.now, { kind: 'restart', node: machine.id });
  }

  /** Finds the leader that is never woken, too. */
  #audit(): void {
    for (const machine of this.machines.values())
      if (!this.isPaused(machine)) recordState(this, machine, lateMsMax(this) + 1);
    this.timeline.plan(this.timeline.now + this.plan.electionTimeoutMs / 2, { kind: 'audit' });
  }

  // Faults, for begin-fault.ts

  /** Undone after this long, or when the storm ends. */
  later(forMs: number, undo: () => void): void {
    this.timeline.plan(this.timeline.now + this.restOf(forMs), { kind: 'heal', undo });
  }
  restOf(forMs: number): number {
    return Math.max(0, Math.min(forMs, this.plan.calmAt - this.timeline.now));
  }
}
