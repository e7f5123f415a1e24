// One queue: its state, its journal and its consumers put together. A message is ready once it is on disk; a dead one
// leaves only when its next queue has it on disk. Knows nothing of AMQP or of where dead letters go.
import type { Journal, JournalEntry } from './journal.ts';
import { limits, periods } from './limits.ts';
import { decodeMessage, type Message } from './message.ts';
import type { QueueArguments, QueueSettings } from './queue-arguments.ts';
import { QueueState, type Death, type DeathReason } from './queue-state.ts';

export interface QueuedMessage extends JournalEntry {
  /** Kept beside the disk while there is room. */
  inMemory: Message | undefined;
}

export interface Consumer {
  /** May it have another message now? Asked again after `pump`. */
  hasRoom(): boolean;
  /** @returns false when it is gone and the message stays here. */
  deliver(queue: Queue, entry: QueuedMessage, message: Message): boolean;
  /** Its queue was deleted. */
  queueGone(): void;
}

/** How many bytes of messages all queues together keep in memory. */
export interface CacheBudget {
  bytesLeft: number;
}

export interface QueueOptions {
  readonly name: string;
  readonly arguments: QueueArguments;
  readonly settings: QueueSettings;
  readonly journal: Journal;
  readonly entries: readonly JournalEntry[];
  readonly cache: CacheBudget;
  /**
   * Puts a dead letter where it belongs. `taken` names the queues that have it already, and grows.
   * @returns false when some queue has to take it still.
   */
  readonly bury: (
    death: { queue: Queue; reason: DeathReason; taken: Set<string> },
    message: Message,
  ) => Promise<boolean>;
  readonly onFatal: (error: Error) => void;
}

export class Queue {
  readonly name: string;
  readonly arguments: QueueArguments;
  readonly settings: QueueSettings;
  readonly #journal: Journal;
  readonly #cache: CacheBudget;
  readonly #bury: QueueOptions['bury'];
  readonly #onFatal: QueueOptions['onFatal'];
  readonly #state: QueueState<QueuedMessage>;
  /** The next to be served first. */
  readonly #consumers: Consumer[] = [];
  /** The queues that took a dead letter which did not get everywhere at its first try. */
  readonly #taken = new WeakMap<QueuedMessage, Set<string>>();
  #expiryTimer: NodeJS.Timeout | undefined;
  #expiryAt: number | undefined;
  #retryTimer: NodeJS.Timeout | undefined;
  #pumping = false;
  #burying = false;
  #closed = false;

  constructor(options: QueueOptions) {
    this.name = options.name;
    this.arguments = options.arguments;
    this.settings = options.settings;
    this.#journal = options.journal;
    this.#cache = options.cache;
    this.#bury = options.bury;
    this.#onFatal = options.onFatal;
    const { deliveryLimit, overflow, lengthMax = limits.queueLength } = options.settings;
    // Without an overflow of its own, a queue that nobody bounded refuses at our bound instead of losing its head.
    const bounded = options.settings.lengthMax !== undefined;
    this.#state = new QueueState({
      deliveryLimit,
      lengthMax,
      overflow: bounded ? overflow : 'reject-publish',
    });
    // The journal's own objects, since it knows them by identity.
    for (const entry of options.entries) this.#state.recovered(Object.assign(entry, { inMemory: undefined }));
  }

  get readyCount(): number {
    return this.#state.readyCount;
  }
  get consumerCount(): number {
    return this.#consumers.length;
  }

  /** Begins to expire what a restart found. */
  start(): void {
    this.pump();
  }

  /** True when the message is on disk, false when the queue is full. `ttlMs` is the message's own. */
  publish(message: Message, ttlMs: number | undefined): Promise<boolean> {
    const full = this.#journal.liveBytes >= limits.queueBytes;
    if (this.#closed || full || !this.#state.admit()) return Promise.resolve(false);
    return this.#store(message, ttlMs);
  }

  async #store(message: Message, ttlMs: number | undefined): Promise<boolean> {
    const livesMs = Math.min(ttlMs ?? Infinity, this.settings.ttlMs ?? Infinity);
    const expiresAt = livesMs === Infinity ? undefined : Date.now() + livesMs;
    const entry = await this.#journal.publish(message.encoded, { expiresAt });
    const kept = this.#cache.bytesLeft >= cachedBytes(entry);
    if (kept) this.#cache.bytesLeft -= cachedBytes(entry);
    this.#state.arrived(Object.assign(entry, { inMemory: kept ? message : undefined }));
    this.pump();
    return true;
  }

  addConsumer(consumer: Consumer): void {
    this.#consumers.push(consumer);
    this.pump();
  }

  removeConsumer(consumer: Consumer): void {
    const place = this.#consumers.indexOf(consumer);
    if (place >= 0) this.#consumers.splice(place, 1);
  }

  /** One message for basic.get, taken as if by a consumer. */
  async get(): Promise<{ entry: QueuedMessage; message: Message } | undefined> {
    this.#expire();
    const entry = this.#state.take();
    try {
      return entry && { entry, message: await this.#load(entry) };
    } catch (error) {
      this.#failed(error);
      return undefined;
    }
  }

  acknowledge(entry: QueuedMessage): void {
    if (this.#state.acknowledge(entry)) this.#forget(entry);
  }

  giveBack(entry: QueuedMessage): void {
    if (this.#closed) return;
    this.#state.giveBack(entry);
    this.#journal.returned(entry);
  }

  refuse(entry: QueuedMessage): void {
    this.#state.refuse(entry);
  }

  /** What came too late for a consumer that is gone. */
  untake(entry: QueuedMessage): void {
    this.#state.untake(entry);
    this.pump();
  }

  /** @returns how many. */
  async purge(): Promise<number> {
    const entries = this.#state.purge();
    for (const entry of entries) this.#forget(entry);
    await this.#journal.flushed();
    return entries.length;
  }

  /** Does whatever can be done now: expires, delivers, buries. To be called when anything may have changed. */
  pump(): void {
    if (this.#closed) return;
    this.#expire();
    if (!this.#pumping) {
      this.#pumping = true;
      this.#deliverAll().catch((error: unknown) => this.#failed(error));
    }
    if (!this.#burying && !this.#retryTimer && this.#state.dyingCount > 0) {
      this.#burying = true;
      this.#buryAll().catch((error: unknown) => this.#failed(error));
    }
  }

  /** Keeps what it has on disk. */
  async close(): Promise<void> {
    this.#end();
    await this.#journal.close();
  }

  /** @returns how many ready messages went with it. */
  async delete(): Promise<number> {
    const { readyCount } = this;
    for (const consumer of this.#consumers.splice(0)) consumer.queueGone();
    this.#end();
    for (const entry of this.#state.purge()) this.#uncache(entry);
    await this.#journal.destroy();
    return readyCount;
  }

  #end(): void {
    this.#closed = true;
    clearTimeout(this.#expiryTimer);
    clearTimeout(this.#retryTimer);
  }

  async #deliverAll(): Promise<void> {
    try {
      while (!this.#closed) {
        const consumer = this.#nextConsumer();
        const entry = consumer && this.#state.take();
        if (!entry) return;
        const message = entry.inMemory ?? (await this.#load(entry));
        if (!consumer.deliver(this, entry, message)) this.#state.untake(entry);
      }
    } finally {
      this.#pumping = false;
    }
  }

  /** Each in its turn, as long as it has room. */
  #nextConsumer(): Consumer | undefined {
    const place = this.#consumers.findIndex((consumer) => consumer.hasRoom());
    if (place < 0) return undefined;
    const passed = this.#consumers.splice(0, place + 1);
    this.#consumers.push(...passed);
    return passed.at(-1);
  }

  #expire(): void {
    this.#state.expire(Date.now());
    const next = this.#closed ? undefined : this.#state.nextExpiry();
    if (next === this.#expiryAt) return;
    this.#expiryAt = next;
    clearTimeout(this.#expiryTimer);
    if (next === undefined) return;
    const waitMs = Math.min(Math.max(1, next - Date.now()), timeoutMsMax);
    this.#expiryTimer = setTimeout(() => {
      this.#expiryAt = undefined;
      this.pump();
    }, waitMs);
  }

  async #buryAll(): Promise<void> {
    try {
      while (!this.#closed) {
        const round = this.#nextDeaths();
        if (round.length === 0) return;
        const buried = await Promise.all(round.map((death) => this.#buryOne(death)));
        if (buried.includes(false)) return this.#retryLater();
      }
    } finally {
      this.#burying = false;
    }
  }

  #retryLater(): void {
    if (this.#closed) return;
    this.#retryTimer = setTimeout(() => {
      this.#retryTimer = undefined;
      this.pump();
    }, periods.deadLetterRetryMs);
  }

  /** The next deaths, as many as may be in memory at a time. */
  #nextDeaths(): Death<QueuedMessage>[] {
    const round: Death<QueuedMessage>[] = [];
    let bytes = 0;
    while (round.length < limits.dyingMessages && bytes < limits.dyingBytes) {
      const death = this.#state.nextDeath();
      if (!death) break;
      round.push(death);
      bytes += death.entry.messageBytes;
    }
    return round;
  }

  async #buryOne(death: Death<QueuedMessage>): Promise<boolean> {
    const { entry, reason } = death;
    if (this.settings.deadLetter) {
      const taken = this.#taken.get(entry) ?? new Set();
      this.#taken.set(entry, taken);
      if (!(await this.#bury({ queue: this, reason, taken }, await this.#load(entry)))) {
        this.#state.unburied(death);
        return false;
      }
    }
    this.#state.buried();
    this.#forget(entry);
    return true;
  }

  async #load(entry: QueuedMessage): Promise<Message> {
    return entry.inMemory ?? decodeMessage(await this.#journal.read(entry));
  }

  #forget(entry: QueuedMessage): void {
    this.#uncache(entry);
    if (!this.#closed) this.#journal.settle(entry);
  }

  /** What fails after the end of the queue fails because of it. */
  #failed(error: unknown): void {
    if (!this.#closed) this.#onFatal(error instanceof Error ? error : new Error(String(error)));
  }

  #uncache(entry: QueuedMessage): void {
    if (!entry.inMemory) return;
    this.#cache.bytesLeft += cachedBytes(entry);
    entry.inMemory = undefined;
  }
}

/** With the buffers and names that lie around the bytes of a message in memory (measured: 390). */
function cachedBytes({ messageBytes }: QueuedMessage | JournalEntry): number {
  return messageBytes + 400;
}

const timeoutMsMax = 2 ** 31 - 1; // A longer timer fires at once.
