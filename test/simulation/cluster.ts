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
import type { State, View } from '../../nodes/raft/state.ts';
import type { Core } from './core.ts';
import type { Fault, Plan, Who } from './plan.ts';
import { Chance } from './chance.ts';
import { Checker } from './checker.ts';
import { Timeline } from './timeline.ts';

type Arrival = { readonly from: NodeId; readonly fromBoot: string; readonly message: Message };

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
  | { readonly kind: 'audit' };

interface Machine {
  readonly member: { readonly id: NodeId; readonly voter: boolean; readonly priority: number };
  config: Config;
  bootCount: number;
  /** Null while the process is down. */
  state: State | null;
  persisted: Persisted | null;
  fileSaysAbstaining: boolean;
  fileLost: boolean;
  owed: Persisted | null;
  diskFull: boolean;
  crashAfterWriteMs: number | null;
  paused: boolean;
  waiting: Arrival[];
  missedWake: boolean;
  wakeTicket: number;
  leadsTerm: number | null;
  health: Health;
}

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
  /** How many faults cut each link at present, by `from>to`. */
  readonly #cuts = new Map<string, number>();
  #noise: { loss: number; duplicate: number; delayMs: number } = { loss: 0, duplicate: 0, delayMs: 0 };
  #fenceTerm = 0;
  readonly #ids: readonly NodeId[];

  constructor(plan: Plan, core: Core, { traced = false }: { traced?: boolean } = {}) {
    this.#plan = plan;
    this.core = core;
    this.#traced = traced;
    this.#chance = new Chance(plan.seed ^ 0x5bd1e995);
    this.#ids = plan.members.map(({ id }) => id);
    const voters = plan.members.filter(({ voter }) => voter).map(({ id }) => id);
    this.checker = new Checker(voters, plan.electionTimeoutMs);
    for (const member of plan.members) {
      this.machines.set(member.id, {
        member,
        config: this.#configOf(member, 0),
        bootCount: 0,
        state: null,
        persisted: null,
        fileSaysAbstaining: false,
        fileLost: false,
        owed: null,
        diskFull: false,
        crashAfterWriteMs: null,
        paused: false,
        waiting: [],
        missedWake: false,
        wakeTicket: 0,
        leadsTerm: null,
        health: { fit: true, reason: null, databaseReachable: true, lagMs: 0 },
      });
      this.timeline.plan(this.#chance.between(0, plan.electionTimeoutMs / 4), {
        kind: 'restart',
        node: member.id,
      });
    }
    for (const { at, fault } of plan.faults) this.timeline.plan(at, { kind: 'fault', fault });
    this.timeline.plan(plan.electionTimeoutMs / 2, { kind: 'audit' });
  }

  #configOf(member: Machine['member'], bootCount: number): Config {
    const { members, heartbeatMs, electionTimeoutMs } = this.#plan;
    return {
      id: member.id,
      boot: `${member.id}-boot-${bootCount}`,
      voters: members.filter(({ voter }) => voter).map(({ id }) => id),
      learners: members.filter(({ voter }) => !voter).map(({ id }) => id),
      generation: 1,
      heartbeatMs,
      electionTimeoutMs,
      priority: member.priority,
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

  views(): View[] {
    const views: View[] = [];
    for (const { state } of this.machines.values()) if (state) views.push(this.core.view(state));
    return views;
  }

  leaders(): NodeId[] {
    return [...this.machines.values()]
      .filter(({ state }) => state && this.core.view(state).role.kind === 'leader')
      .map(({ member }) => member.id);
  }

  /** All nodes run and follow one leader in one term. */
  agreed(): boolean {
    const views = this.views();
    const [first] = views;
    if (!first || views.length < this.machines.size || first.leader === null) return false;
    return views.every(({ leader, term }) => leader === first.leader && term === first.term);
  }

  #happen(happening: Happening): void {
    switch (happening.kind) {
      case 'arrival':
        return this.#arrive(happening);
      case 'wake': {
        const machine = this.#machine(happening.node);
        if (machine.wakeTicket !== happening.ticket) return undefined;
        if (machine.paused) machine.missedWake = true;
        else this.#feed(machine, { kind: 'timer', now: this.timeline.now });
        return undefined;
      }
      case 'retry-write':
        return this.#retryWrite(this.#machine(happening.node), happening.boot);
      case 'claim':
        return this.#claim(this.#machine(happening.node), happening);
      case 'evidence': {
        const machine = this.#machine(happening.node);
        if (!machine.state || machine.paused) return undefined;
        const { term } = this.core.view(machine.state);
        const { leader, leaderBoot } = happening;
        return this.#feed(machine, { kind: 'evidence', now: this.timeline.now, leader, leaderBoot, term });
      }
      case 'restart':
        return this.#restart(this.#machine(happening.node));
      case 'resume':
        return this.#resume(this.#machine(happening.node));
      case 'fault':
        return this.#begin(happening.fault);
      case 'heal':
        return happening.undo();
      case 'audit':
        return this.#audit();
    }
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
    if (machine.state) return;
    machine.bootCount += 1;
    machine.config = this.#configOf(machine.member, machine.bootCount);
    machine.state = this.core.initialState(machine.config);
    const lost = machine.fileLost || machine.fileSaysAbstaining;
    const recovered: Recovered = lost
      ? { kind: 'lost' }
      : machine.persisted
        ? { kind: 'found', persisted: machine.persisted }
        : { kind: 'first' };
    const before = lost ? null : machine.persisted;
    if (lost) this.checker.onVoteFileLost(machine.member.id, machine.persisted);
    if (lost) machine.persisted = null;
    machine.fileLost = false;
    machine.fileSaysAbstaining = lost;
    this.#say(() => `${machine.member.id} starts: ${JSON.stringify(recovered)}`);
    const seed = this.#chance.below(2 ** 31);
    this.#feed(machine, { kind: 'start', now: this.timeline.now, recovered, seed });
    this.#feed(machine, { kind: 'health', now: this.timeline.now, health: machine.health });
    if (machine.state) this.checker.onRestart(machine.member.id, before, this.core.view(machine.state));
  }

  #crash(machine: Machine, { forMs, seen }: { forMs: number; seen: boolean }): void {
    if (!machine.state) return;
    const { id } = machine.member;
    this.#say(() => `${id} dies`);
    machine.state = null;
    machine.wakeTicket += 1;
    machine.waiting = [];
    machine.paused = false;
    machine.missedWake = false;
    machine.owed = null;
    machine.leadsTerm = null;
    this.timeline.plan(this.timeline.now + forMs, { kind: 'restart', node: id });
    if (!seen) return;
    for (const node of this.#ids)
      if (node !== id && !this.#isCut(id, node) && this.#chance.happens(this.#plan.evidence))
        this.#showDeath(node, id, machine.config.boot);
  }

  #showDeath(node: NodeId, leader: NodeId, leaderBoot: string): void {
    const at = this.timeline.now + this.#chance.between(0.2, 2);
    this.timeline.plan(at, { kind: 'evidence', node, leader, leaderBoot });
  }

  #resume(machine: Machine): void {
    if (!machine.paused) return;
    machine.paused = false;
    this.#say(() => `${machine.member.id} goes on`);
    const { waiting, missedWake } = machine;
    machine.waiting = [];
    machine.missedWake = false;
    const late = (): void => {
      if (missedWake && machine.state) this.#feed(machine, { kind: 'timer', now: this.timeline.now });
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
      this.checker.onView(machine.member.id, before, after);
      this.#checkLeading(machine, after, 0);
      if (after.role.kind !== 'leader') machine.leadsTerm = null;
    }
  }

  /** The input that follows from a write that failed or succeeded again, if any. */
  #carryOut(machine: Machine, effects: readonly Effect[], cause: Input): Input | null {
    const { now } = this.timeline;
    const { id } = machine.member;
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
            this.checker.onLeader(machine.config, effect.term, now);
            this.timeline.plan(now + 1, {
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
          this.timeline.plan(effect.at + late, { kind: 'wake', node: id, ticket: machine.wakeTicket });
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
    this.#say(() => `${machine.member.id} writes ${JSON.stringify(record)}`);
    this.checker.onPersist(machine.member.id, machine.persisted, record);
    machine.persisted = record;
  }

  #planRetry(machine: Machine): void {
    const at = this.timeline.now + this.#plan.electionTimeoutMs / 2;
    this.timeline.plan(at, { kind: 'retry-write', node: machine.member.id, boot: machine.bootCount });
  }

  #retryWrite(machine: Machine, boot: number): void {
    if (!machine.state || machine.bootCount !== boot || !machine.owed) return;
    if (machine.diskFull || machine.paused) return this.#planRetry(machine);
    this.#write(machine, machine.owed);
    machine.owed = null;
    this.#feed(machine, { kind: 'persist-recovered', now: this.timeline.now });
  }

  #checkLeading(machine: Machine, view: View, slackMs: number): void {
    if (view.role.kind !== 'leader' || machine.leadsTerm !== view.term) return;
    this.checker.onLeading(machine.config, { term: view.term, now: this.timeline.now, slackMs });
  }

  /** Finds the leader that is never woken, too. */
  #audit(): void {
    for (const machine of this.machines.values())
      if (machine.state && !machine.paused)
        this.#checkLeading(machine, this.core.view(machine.state), this.#lateMsMax() + 1);
    this.timeline.plan(this.timeline.now + this.#plan.electionTimeoutMs / 2, { kind: 'audit' });
  }

  // Network

  #isCut(from: NodeId, to: NodeId): boolean {
    return (this.#cuts.get(`${from}>${to}`) ?? 0) > 0;
  }

  #send(machine: Machine, to: NodeId, message: Message): void {
    const { id } = machine.member;
    const { now } = this.timeline;
    this.checker.onSend(machine.config, { disk: this.#diskOf(machine), to, message, now });
    this.#say(() => `${id} -> ${to} ${JSON.stringify(message)}${this.#isCut(id, to) ? ' (cut)' : ''}`);
    if ('rule' in message) this.#count(`rule ${message.rule}`);
    const { loss, duplicate, delayMs } = this.#noise;
    if (this.#isCut(id, to) || (loss > 0 && this.#chance.happens(loss))) return;
    const copies = duplicate > 0 && this.#chance.happens(duplicate) ? 2 : 1;
    for (let copy = 0; copy < copies; copy++) {
      const at = now + this.#plan.latencyMs * (1 + this.#chance.next()) + delayMs * this.#chance.next() ** 3;
      const from = { from: id, fromBoot: machine.config.boot, message };
      this.timeline.plan(at, { kind: 'arrival', to, toBoot: null, ...from });
    }
  }

  #arrive(arrival: Extract<Happening, { kind: 'arrival' }>): void {
    const machine = this.#machine(arrival.to);
    if (!machine.state) return;
    if (!machine.paused) return this.#deliver(machine, arrival);
    if (machine.waiting.length < waitingMax) machine.waiting.push(arrival);
  }

  #deliver(machine: Machine, { from, fromBoot, message }: Arrival): void {
    if (!machine.state) return;
    if (message.kind === 'heartbeat-answer') this.checker.onAnswerArrived(machine.member.id, from, message);
    this.#feed(machine, { kind: 'message', now: this.timeline.now, from, fromBoot, message });
  }

  // Database

  #claim(machine: Machine, claim: { boot: number; term: number }): void {
    const { id } = machine.member;
    if (!machine.state || machine.bootCount !== claim.boot || machine.leadsTerm !== claim.term) return;
    if (!machine.health.databaseReachable || machine.paused) {
      const again = { kind: 'claim', node: id, boot: claim.boot, term: claim.term } as const;
      this.timeline.plan(this.timeline.now + this.#plan.electionTimeoutMs / 2, again);
    } else if (claim.term > this.#fenceTerm) {
      this.#fenceTerm = claim.term;
      this.checker.onFenceClaimed(id, claim.term);
    } else
      this.#feed(machine, { kind: 'fence-refused', now: this.timeline.now, databaseTerm: this.#fenceTerm });
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
      case 'unfit': {
        const id = this.#resolve(fault.who);
        return id === null ? undefined : this.#strike(this.#machine(id), fault);
      }
      case 'cut': {
        const links = this.#linksBetween(fault.from, fault.to);
        for (const link of links) this.#cuts.set(link, (this.#cuts.get(link) ?? 0) + 1);
        return this.#later(fault.forMs, () => {
          for (const link of links) this.#cuts.set(link, (this.#cuts.get(link) ?? 0) - 1);
        });
      }
      case 'noise':
        this.#noise = fault;
        return this.#later(fault.forMs, () => {
          if (this.#noise === fault) this.#noise = { loss: 0, duplicate: 0, delayMs: 0 };
        });
      case 'no-database': {
        const struck = fault.who.map((who) => this.#resolve(who)).filter((id) => id !== null);
        for (const id of struck) this.#setHealth(this.#machine(id), { databaseReachable: false });
        return this.#later(fault.forMs, () => {
          for (const id of struck) this.#setHealth(this.#machine(id), { databaseReachable: true });
        });
      }
      case 'transfer': {
        const leader = this.#resolve('leader');
        if (leader === null || this.#machine(leader).paused) return undefined;
        const { target } = fault;
        const now = this.timeline.now;
        return this.#feed(this.#machine(leader), { kind: 'transfer', now, target, reason: 'asked' });
      }
      case 'false-evidence': {
        const { state } = this.#machine(fault.who);
        const leader = state ? this.core.view(state).leader : null;
        if (leader === null || leader === fault.who) return undefined;
        return this.#showDeath(fault.who, leader, this.#machine(leader).config.boot);
      }
      case 'fence-ahead':
        this.#fenceTerm += fault.terms;
    }
  }

  #linksBetween(from: readonly Who[], to: readonly Who[]): string[] {
    const ids = (list: readonly Who[]) => list.map((who) => this.#resolve(who)).filter((id) => id !== null);
    const targets = ids(to);
    return ids(from).flatMap((a) => targets.filter((b) => b !== a).map((b) => `${a}>${b}`));
  }

  #strike(
    machine: Machine,
    fault: Extract<Fault, { kind: 'crash' | 'crash-after-write' | 'pause' | 'disk-full' | 'unfit' }>,
  ): void {
    const { id } = machine.member;
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
        machine.paused = true;
        this.timeline.plan(this.timeline.now + this.#restAfter(fault.forMs), { kind: 'resume', node: id });
        return undefined;
      case 'disk-full':
        machine.diskFull = true;
        return this.#later(fault.forMs, () => {
          machine.diskFull = false;
        });
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
    if (machine.state && !machine.paused)
      this.#feed(machine, { kind: 'health', now: this.timeline.now, health: machine.health });
  }
}
