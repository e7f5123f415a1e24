// Drives the election core: feeds inputs one at a time, carries out effects in their order, keeps its one
// timer, and remembers what the disk still owes. Never reads a socket, file or clock itself: those are handed in.
import type {
  BootId,
  Effect,
  Health,
  Input,
  Message,
  NodeId,
  Note,
  Persisted,
  Recovered,
  RoleView,
  Time,
} from '../raft/types.ts';
import type { Standstill } from './standstills.ts';

interface RaftCore<State> {
  readonly initial: State;
  step(state: State, input: Input): { readonly state: State; readonly effects: readonly Effect[] };
  view(state: State): { readonly role: RoleView; readonly term: number };
}

export interface RaftLoopOptions<State> {
  readonly core: RaftCore<State>;
  readonly recovered: Recovered;
  readonly seed: number;
  readonly heartbeatMs: number;
  readonly now: () => Time;
  /** Durable when it returns. @throws when it is not; then nothing after it is carried out. */
  readonly persist: (record: Persisted & { readonly abstaining: boolean }) => void;
  readonly send: (to: NodeId, message: Message) => void;
  /** Lets in what already waits in the socket. Called before a timer that comes late is believed. */
  readonly drain: () => Promise<void>;
  readonly onRole: (change: { role: RoleView; term: number; reason: string }) => void;
  readonly onNote: (note: Note) => void;
  /** The leader this node follows, and which boot of it sealed the heartbeat; undefined: none. */
  readonly onLeader: (leader: { peer: NodeId; boot: BootId } | undefined) => void;
  readonly count: (what: string) => void;
  /** Nothing was heard or sent for so long. */
  readonly onStandstill: (standstill: Standstill) => void;
}

const persistAgainMs = 250;

export class RaftLoop<State> {
  readonly #options: RaftLoopOptions<State>;
  #state: State;
  readonly #inputs: Input[] = [];
  #running = false;
  #closed = false;
  #timer: NodeJS.Timeout | undefined;
  #wakeAt: Time | undefined;
  #persistTimer: NodeJS.Timeout | undefined;
  /** The newest record that could not be written. */
  #owed: Persisted | undefined;
  #persisted: Persisted;
  /** The vote file was lost and this node does not vote yet; stands in every record until that ends. */
  #recovering: boolean;
  #abstaining: boolean;
  #leader: { peer: NodeId; boot: BootId; term: number } | undefined;
  #told: { role: RoleView; term: number };

  constructor(options: RaftLoopOptions<State>) {
    this.#options = options;
    this.#state = options.core.initial;
    this.#persisted =
      options.recovered.kind === 'found' ? options.recovered.persisted : { term: 0, votedFor: null };
    this.#recovering = options.recovered.kind === 'lost';
    this.#abstaining = this.#recovering;
    this.#told = options.core.view(this.#state);
  }

  get view(): { role: RoleView; term: number; abstaining: boolean } {
    const view = this.#options.core.view(this.#state);
    // A leadership that was not announced, because its vote is not on disk, does not count.
    const believed = view.role.kind === 'leader' && this.#told.role.kind !== 'leader' ? this.#told : view;
    return { ...believed, abstaining: this.#abstaining };
  }

  start(): void {
    const { recovered, seed } = this.#options;
    this.#feed({ kind: 'start', now: this.#options.now(), recovered, seed });
  }

  message(arrival: { from: NodeId; fromBoot: BootId; message: Message }): void {
    this.#feed({ kind: 'message', now: this.#options.now(), ...arrival });
    const { role, term } = this.#options.core.view(this.#state);
    const leader = 'leader' in role ? role.leader : null;
    if (arrival.message.kind === 'heartbeat' && leader === arrival.from)
      this.#follow({ peer: arrival.from, boot: arrival.fromBoot, term });
  }

  /** That boot's process is gone. Ignored unless it is the one that leads this node's term. */
  death(dead: { peer: NodeId; boot: BootId }): void {
    const leader = this.#leader;
    if (!leader || leader.peer !== dead.peer || leader.boot !== dead.boot) return;
    this.#options.count('evidence.deaths');
    this.#feed({
      kind: 'evidence',
      now: this.#options.now(),
      leader: leader.peer,
      leaderBoot: leader.boot,
      term: leader.term,
    });
  }

  health(health: Health): void {
    this.#feed({ kind: 'health', now: this.#options.now(), health });
  }

  transfer(target: NodeId | null, reason: string): void {
    this.#feed({ kind: 'transfer', now: this.#options.now(), target, reason });
  }

  fenceRefused(databaseTerm: number): void {
    this.#feed({ kind: 'fence-refused', now: this.#options.now(), databaseTerm });
  }

  close(): void {
    this.#closed = true;
    clearTimeout(this.#timer);
    clearTimeout(this.#persistTimer);
  }

  #feed(input: Input): void {
    if (this.#closed) return;
    this.#inputs.push(input);
    if (this.#running) return;
    this.#running = true;
    try {
      for (let next = this.#inputs.shift(); next; next = this.#inputs.shift()) this.#take(next);
    } finally {
      this.#running = false;
    }
  }

  #take(input: Input): void {
    const { core, onRole } = this.#options;
    const { state, effects } = core.step(this.#state, input);
    this.#state = state;
    const complete = this.#carryOut(effects, input);
    const view = core.view(state);
    // A lost disk must not keep anybody believing in a leadership that the core has given up.
    if (!complete && this.#told.role.kind === 'leader' && view.role.kind !== 'leader') {
      this.#told = view;
      onRole({ ...view, reason: 'the vote file cannot be written' });
    }
    const leader = 'leader' in view.role ? view.role.leader : null;
    if (this.#leader && (leader !== this.#leader.peer || view.term !== this.#leader.term))
      this.#follow(undefined);
    // A core that asked for no wake-up, or whose wish was skipped, is woken all the same.
    if (this.#wakeAt === undefined) this.#wake(input.now + this.#options.heartbeatMs);
  }

  /** False: a persist effect failed and what came after it was left out. */
  #carryOut(effects: readonly Effect[], cause: Input): boolean {
    for (const effect of effects) {
      switch (effect.kind) {
        case 'persist':
          if (!this.#persist(effect.persisted, cause)) return false;
          break;
        case 'send':
          this.#options.send(effect.to, effect.message);
          break;
        case 'wake':
          this.#wake(effect.at);
          break;
        case 'role':
          this.#told = { role: effect.role, term: effect.term };
          this.#options.onRole({ role: effect.role, term: effect.term, reason: effect.reason });
          break;
        case 'note':
          this.#note(effect.note);
          break;
      }
    }
    return true;
  }

  #note(note: Note): void {
    if (note.kind === 'abstaining') this.#abstaining = true;
    if (note.kind === 'voting-again') {
      this.#abstaining = false;
      this.#recovering = false;
      // Else a restart would abstain once more. When it fails, it does just that: the safe side.
      if (!this.#owed) this.#tryWrite(this.#persisted);
    }
    this.#options.onNote(note);
  }

  #persist(persisted: Persisted, cause: Input): boolean {
    const failure = this.#tryWrite(persisted);
    if (failure === undefined) {
      this.#persisted = persisted;
      if (this.#owed) {
        this.#owed = undefined;
        clearTimeout(this.#persistTimer);
        this.#inputs.push({ kind: 'persist-recovered', now: this.#options.now() });
      }
      return true;
    }
    this.#owed = persisted;
    // Do not tell the core that a write caused by its own reaction failed: the two would loop.
    if (cause.kind !== 'persist-failed')
      this.#inputs.push({ kind: 'persist-failed', now: this.#options.now(), reason: failure });
    this.#persistLater();
    return false;
  }

  #persistLater(): void {
    clearTimeout(this.#persistTimer);
    this.#persistTimer = setTimeout(() => {
      const owed = this.#owed;
      if (!owed || this.#closed) return;
      if (this.#tryWrite(owed) !== undefined) return this.#persistLater();
      this.#persisted = owed;
      this.#owed = undefined;
      this.#feed({ kind: 'persist-recovered', now: this.#options.now() });
    }, persistAgainMs);
  }

  /** Why it failed; undefined: it is on disk. */
  #tryWrite(persisted: Persisted): string | undefined {
    const { now, persist, count, onStandstill } = this.#options;
    const startedAt = now();
    try {
      persist({ ...persisted, abstaining: this.#recovering });
      count('persisted');
      return undefined;
    } catch (error) {
      count('persist-failed');
      return error instanceof Error ? error.message : String(error);
    } finally {
      onStandstill({ of: 'disk', ms: now() - startedAt });
    }
  }

  #follow(leader: { peer: NodeId; boot: BootId; term: number } | undefined): void {
    const same = leader?.peer === this.#leader?.peer && leader?.boot === this.#leader?.boot;
    this.#leader = leader;
    if (!same) this.#options.onLeader(leader);
  }

  #wake(at: Time): void {
    clearTimeout(this.#timer);
    this.#wakeAt = at;
    this.#timer = setTimeout(() => void this.#onTimer(at), Math.max(0, Math.ceil(at - this.#options.now())));
  }

  async #onTimer(at: Time): Promise<void> {
    const { now, heartbeatMs, drain, count, onStandstill } = this.#options;
    const lateMs = now() - at;
    if (lateMs > heartbeatMs / 2) {
      // This thread stood still. The heartbeats that arrived meanwhile wait in the socket: hear them first.
      count('late-timers');
      onStandstill({ of: 'thread', ms: lateMs });
      await drain();
      // One of them may have asked for another wake-up; then this one is off.
      if (this.#wakeAt !== at) return;
    }
    this.#wakeAt = undefined;
    this.#feed({ kind: 'timer', now: now() });
  }
}
