// From "the raft thread says I lead" to "the database lets me write": claims the fence for each term this node wins,
// repeats the claim while the database is away, and hands every fenced write the term it holds.
// Never decides who leads, and never writes rows itself.
import { noLeaderRetryMs } from '../contracts/failures.ts';
import { detailText } from '../contracts/event.ts';
import type { Emit } from '../runtime/logger.ts';
import type { LeaderHint } from '../contracts/node-api.ts';
import type { Member } from '../contracts/environment.ts';
import type { LeadershipView, TransferAnswer } from '../contracts/public-api.ts';
import { codeOf, describeError, Failure } from '../runtime/failure.ts';
import type { RaftThread } from './raft-thread/thread.ts';
import type { ClaimResult } from './store.ts';

export interface LeadershipOptions {
  readonly nodeId: string;
  readonly bootId: string;
  readonly members: readonly Member[];
  readonly raft: Pick<RaftThread, 'status' | 'onRole' | 'fenceRefused' | 'transfer'>;
  /** Bounded by itself. */
  readonly claim: (claim: { term: number; holder: string; reason: string }) => Promise<ClaimResult>;
  readonly emit: Emit;
  readonly repeatClaimMs: number;
  /** So long after the last leader was lost, and again after this one was elected, a write waits here for what comes. */
  readonly patienceMs: number;
}

/** An operator's wish must not stop writes for long; a node that ends has nothing else to do. */
const drainWithinMs = { transfer: 1_000, resign: 5_000 };
/** Writes that wait for a leader at once; one more is refused. Twice what a leader has in flight: each may hold 8 MB. */
const waitingMax = 16;

export class Leadership {
  readonly #options: LeadershipOptions;
  readonly #listeners: ((state: LeadershipView) => void)[] = [];
  #state: LeadershipView;
  #inFlight = 0;
  #repeat: NodeJS.Timeout | undefined;
  #reported = '';
  #handsOver = false;
  /** Since when nobody here can say who writes, and for which reason: an election, or a claim or a hand-over. */
  #open: { readonly kind: LeadershipView['kind']; since: number } | undefined;
  readonly #waiting = new Set<() => void>();
  readonly #waitingForIdle = new Set<() => void>();

  constructor(options: LeadershipOptions) {
    this.#options = options;
    const { term } = options.raft.status();
    this.#state = { kind: 'following', term, leader: null };
    this.#wakeWaiting();
    options.raft.onRole(({ reason }) => this.#follow(reason));
    this.#follow('it was elected while it started');
  }

  get nodeId(): string {
    return this.#options.nodeId;
  }
  get state(): LeadershipView {
    return this.#state;
  }
  onChange(listener: (state: LeadershipView) => void): void {
    this.#listeners.push(listener);
  }

  /** The leader as this node knows it, for a 421's hint. */
  leader(): LeaderHint | undefined {
    const { role, term } = this.#options.raft.status();
    const id = role.kind === 'leader' ? this.#options.nodeId : 'leader' in role ? role.leader : null;
    const member = this.#options.members.find((candidate) => candidate.id === id);
    if (member === undefined) return undefined;
    // Until another node leads, raft still names this one.
    if (this.#state.kind === 'resigned' && member.id === this.#options.nodeId) return undefined;
    return { nodeId: member.id, term, internalUrl: member.internalUrl, publicUrl: member.publicUrl };
  }

  /**
   * Resolves when this node leads or knows who does; at the latest `patienceMs` after that became open. A caller who is sent
   * away in the middle of an election can only come again and again, and takes the processor from those who elect.
   */
  async settled(): Promise<void> {
    const open = this.#open;
    if (open === undefined || this.#waiting.size >= waitingMax) return;
    const leftMs = open.since + this.#options.patienceMs - performance.now();
    if (leftMs <= 0) return;
    await new Promise<void>((resolve) => {
      const go = (): void => {
        clearTimeout(late);
        this.#waiting.delete(go);
        resolve();
      };
      const late = setTimeout(() => {
        open.since = Number.NEGATIVE_INFINITY; // A timer may come a little early; nobody after it waits for the rest.
        go();
      }, Math.ceil(leftMs));
      this.#waiting.add(go);
    });
  }

  /**
   * Runs a fenced write in the term this node holds; waits for an election that is under way (see `settled`).
   * @throws Failure NOT_LEADER with the leader, NO_LEADER with a wait, or what `write` throws; after STALE_TERM this node
   * claims again or leaves.
   */
  async write<T>(what: string, write: (term: number) => Promise<T>): Promise<T> {
    if (this.#open !== undefined) await this.settled();
    const state = this.#state;
    if (state.kind !== 'leading') throw this.#refusal();
    this.#inFlight += 1;
    try {
      return await write(state.term);
    } catch (error) {
      if (error instanceof Failure && error.code === 'STALE_TERM') {
        const seen = error.details['databaseTerm'];
        this.#writeRefused(state.term, typeof seen === 'number' ? seen : null, what);
      }
      throw error;
    } finally {
      this.#inFlight -= 1;
      if (this.#inFlight === 0) for (const go of this.#waitingForIdle) go();
    }
  }

  /**
   * Takes no writes while those under way end and leadership is handed over; takes them again when nobody took it.
   * `leader` is null when nobody was elected within the patience of a write. Who took over need not be whom it was meant for:
   * should that one die meanwhile, another is elected. A leader that cannot claim the fence hands over, too.
   * @throws Failure NOT_LEADER or NO_LEADER, as a write.
   */
  async transfer(target: string | null, reason: string): Promise<TransferAnswer> {
    const { kind, term } = this.#state;
    if (this.#handsOver || (kind !== 'leading' && kind !== 'waiting')) throw this.#refusal();
    this.#handsOver = true;
    if (kind === 'leading') this.#become({ kind: 'waiting', term });
    await this.#idle(drainWithinMs.transfer);
    const result = await this.#options.raft.transfer(target, reason);
    this.#handsOver = false;
    const stillLeads = this.#options.raft.status().role.kind === 'leader';
    const now = this.state;
    if (kind === 'leading' && stillLeads && now.kind === 'waiting' && now.term === term)
      this.#become({ kind: 'leading', term });
    if (result.kind === 'failed') return result;
    await this.settled();
    return { kind: 'done', leader: this.leader()?.nodeId ?? null };
  }

  /** Takes no more writes, lets those under way end (bounded), then hands leadership over. */
  async resign(reason: string): Promise<void> {
    const led = this.#state.kind === 'leading' || this.#state.kind === 'waiting';
    clearTimeout(this.#repeat);
    this.#state = { kind: 'resigned', term: this.#state.term };
    this.#wakeWaiting();
    await this.#idle(drainWithinMs.resign);
    // The others are asked before anybody is told here: everyone waits for them.
    const handedOver = led ? this.#options.raft.transfer(null, reason) : undefined;
    this.#become(this.#state);
    await handedOver;
  }

  /** Resolves when no write is under way, at the latest after `withinMs`. */
  async #idle(withinMs: number): Promise<void> {
    if (this.#inFlight === 0) return;
    await new Promise<void>((resolve) => {
      const go = (): void => {
        clearTimeout(late);
        this.#waitingForIdle.delete(go);
        resolve();
      };
      const late = setTimeout(go, withinMs);
      this.#waitingForIdle.add(go);
    });
  }

  #refusal(): Failure {
    const leader = this.leader();
    if (leader && leader.nodeId !== this.#options.nodeId)
      return new Failure('NOT_LEADER', `${this.#options.nodeId} does not lead`, { details: { leader } });
    return new Failure('NO_LEADER', `${this.#options.nodeId} is ${this.#state.kind}, no node takes writes`, {
      details: { retryAfterMs: noLeaderRetryMs },
    });
  }

  #follow(reason: string): void {
    if (this.#state.kind === 'resigned') return;
    const { role, term } = this.#options.raft.status();
    if (role.kind !== 'leader') {
      clearTimeout(this.#repeat);
      this.#become({ kind: 'following', term, leader: 'leader' in role ? role.leader : null });
    } else if (this.#state.term !== term || this.#state.kind === 'following') {
      this.#claimAnew(term, reason);
    }
  }

  #claimAnew(term: number, reason: string): void {
    this.#state = { kind: 'waiting', term };
    // Asked before anybody is told, since nobody writes until the database has answered.
    void this.#claim(term, reason);
    this.#become(this.#state);
  }

  async #claim(term: number, reason: string): Promise<void> {
    const holder = `${this.#options.nodeId}/${this.#options.bootId}`;
    const startedAt = performance.now();
    const waits = (): boolean => this.#state.kind === 'waiting' && this.#state.term === term;
    try {
      const result = await this.#options.claim({ term, holder, reason: detailText(reason) });
      if (!waits()) return; // Another term began, or this node ends: the answer belongs to the past.
      if (result.kind === 'refused') {
        this.#tellRefused(term, result.databaseTerm, 'claim');
        this.#options.raft.fenceRefused(result.databaseTerm);
        return;
      }
      this.#reported = '';
      this.#options.emit({
        type: 'fence.claimed',
        node: this.#options.nodeId,
        term,
        tookMs: Math.round(performance.now() - startedAt),
      });
      this.#become({ kind: 'leading', term });
    } catch (error) {
      if (!waits()) return;
      // Once per cause: an outage of an hour would otherwise say so thousands of times.
      const detail = `claiming term ${term}: ${describeError(error)}`;
      if (detail !== this.#reported) this.#options.emit({ type: 'problem', code: codeOf(error), detail });
      this.#reported = detail;
      this.#repeat = setTimeout(() => void this.#claim(term, reason), this.#options.repeatClaimMs);
    }
  }

  #writeRefused(term: number, databaseTerm: number | null, what: string): void {
    this.#tellRefused(term, databaseTerm, what);
    // A write under way may learn it after this node has already left the term.
    if (this.#state.term !== term) return;
    if (databaseTerm === null || databaseTerm > term) {
      if (this.#state.kind === 'leading') this.#become({ kind: 'waiting', term });
      this.#options.raft.fenceRefused(databaseTerm ?? term + 1);
    } else if (this.#state.kind === 'leading') this.#claimAnew(term, 'the database had lost the claim'); // See docs/runbook.md.
  }

  #tellRefused(term: number, databaseTerm: number | null, what: string): void {
    this.#options.emit({ type: 'fence.refused', node: this.#options.nodeId, term, databaseTerm, what });
  }

  #become(state: LeadershipView): void {
    this.#state = state;
    this.#wakeWaiting();
    for (const listener of this.#listeners) listener(state);
  }

  /** Lets those who wait go on as soon as there is an answer for them. */
  #wakeWaiting(): void {
    const { kind } = this.#state;
    // One that ends sends away at once: whoever asks another node meanwhile has a connection there when it leads.
    const isOpen = kind === 'waiting' || (kind === 'following' && this.leader() === undefined);
    const since = this.#open?.kind === kind ? this.#open.since : performance.now();
    this.#open = isOpen ? { kind, since } : undefined;
    if (!isOpen) for (const go of this.#waiting) go();
  }
}
