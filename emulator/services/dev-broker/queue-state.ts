// One queue as a state machine: what is ready, what is with a consumer, what is dying, and which limits decide it.
// Pure: no clock, no disk, no consumers; queue.ts feeds it and carries out what it answers.
import { Heap } from './heap.ts';
import type { QueueSettings } from './queue-arguments.ts';

export interface QueueEntry {
  /** Rises in the order of arrival. */
  readonly id: number;
  /** Milliseconds since 1970. */
  readonly expiresAt: number | undefined;
  /** How often it came back from a consumer. */
  returns: number;
  /** It may have been with a consumer before. */
  redelivered: boolean;
}

export type DeathReason = 'rejected' | 'expired' | 'maxlen' | 'delivery_limit';
export interface Death<Entry> {
  readonly entry: Entry;
  readonly reason: DeathReason;
}

type Limits = Pick<QueueSettings, 'deliveryLimit' | 'overflow'> & { readonly lengthMax: number };

export class QueueState<Entry extends QueueEntry> {
  readonly #limits: Limits;
  readonly #ready = new Heap<Entry>();
  readonly #unacknowledged = new Set<Entry>();
  /** Oldest death first. They count as part of the queue until they are forgotten. */
  readonly #dying: Death<Entry>[] = [];
  #arriving = 0;
  #leaving = 0;

  constructor(limits: Limits) {
    this.#limits = limits;
  }

  get readyCount(): number {
    return this.#ready.size;
  }
  get unacknowledgedCount(): number {
    return this.#unacknowledged.size;
  }
  get dyingCount(): number {
    return this.#dying.length + this.#leaving;
  }

  /** May a message be put in? When it may, its place is kept until it has `arrived`. */
  admit(): boolean {
    const length = this.#ready.size + this.#arriving + this.dyingCount;
    if (this.#limits.overflow === 'reject-publish' && length >= this.#limits.lengthMax) return false;
    this.#arriving += 1;
    return true;
  }

  /** An admitted message is on disk. */
  arrived(entry: Entry): void {
    this.#arriving -= 1;
    this.#ready.add(entry);
    if (this.#limits.overflow === 'drop-head')
      while (this.#ready.size > this.#limits.lengthMax) this.#dieFirst('maxlen');
  }

  /** What a restart found: it was admitted once, whatever the limits say now. */
  recovered(entry: Entry): void {
    this.#ready.add(entry);
  }

  /** Only the head is looked at, so a message behind one that lives longer stays until it gets there (as in RabbitMQ). */
  expire(now: number): void {
    for (let first = this.#ready.first(); first; first = this.#ready.first()) {
      if (first.expiresAt === undefined || first.expiresAt > now) return;
      this.#dieFirst('expired');
    }
  }

  /** When the head expires. */
  nextExpiry(): number | undefined {
    return this.#ready.first()?.expiresAt;
  }

  /** The oldest ready message, for a consumer. */
  take(): Entry | undefined {
    const entry = this.#ready.take();
    if (entry) this.#unacknowledged.add(entry);
    return entry;
  }

  /** It was taken and never reached a consumer. */
  untake(entry: Entry): void {
    if (this.#unacknowledged.delete(entry)) this.#ready.add(entry);
  }

  /** @returns false when it is not with a consumer, as after a purge of the whole queue. */
  acknowledge(entry: Entry): boolean {
    return this.#unacknowledged.delete(entry);
  }

  /** A consumer, or the loss of it, puts the message back: to its old place, or among the dead past its limit. */
  giveBack(entry: Entry): void {
    if (!this.#unacknowledged.delete(entry)) return;
    entry.returns += 1;
    entry.redelivered = true;
    const { deliveryLimit } = this.#limits;
    if (deliveryLimit !== undefined && entry.returns > deliveryLimit)
      this.#dying.push({ entry, reason: 'delivery_limit' });
    else this.#ready.add(entry);
  }

  /** A consumer does not want it back. */
  refuse(entry: Entry): void {
    if (this.#unacknowledged.delete(entry)) this.#dying.push({ entry, reason: 'rejected' });
  }

  /** The next of the dead, until it is `buried` or `unburied`. */
  nextDeath(): Death<Entry> | undefined {
    const death = this.#dying.shift();
    if (death) this.#leaving += 1;
    return death;
  }

  buried(): void {
    this.#leaving -= 1;
  }

  /** Nobody took it: it is tried again after the others. */
  unburied(death: Death<Entry>): void {
    this.#leaving -= 1;
    this.#dying.push(death);
  }

  /** Takes out everything that is ready. */
  purge(): Entry[] {
    return this.#ready.takeAll();
  }

  #dieFirst(reason: DeathReason): void {
    const entry = this.#ready.take();
    if (entry) this.#dying.push({ entry, reason });
  }
}
