// What the leader wrote, told to a collector of OpenTelemetry beside the writes: noted in memory, sent a little later.
// Best effort: nothing waits for it, a collector that is away or slow costs the oldest of what waits, and a crash or a
// fail-over at most what was not sent yet. Made only where somebody names a collector.
import type { BatchRequest, ItemVerdict } from '../../contracts/node-api.ts';
import { describeError } from '../../runtime/failure.ts';
import type { TracedDelivery } from './delivery-spans.ts';
import type { Problems } from '../health/problems.ts';

/** `refused`: sending it again would be no use. */
export type SendOutcome = { kind: 'taken' } | { kind: 'refused' | 'not-now'; reason: string };
export interface SpanSender {
  /** Ends when `signal` says so, and throws for nothing but a mistake of ours. */
  send(deliveries: readonly TracedDelivery[], signal: AbortSignal): Promise<SendOutcome>;
  close(): Promise<void>;
}
export interface WrittenBatch {
  readonly messages: BatchRequest['messages'];
  readonly items: BatchRequest['items'];
  /** In the order of the items. */
  readonly results: readonly ItemVerdict[];
  readonly node: string;
  readonly term: number;
  readonly postedAt: string;
}

const waitingMax = 5_000; // Deliveries, of four spans each: some megabytes.
const perRequest = 128; // 512 spans, the batch of OpenTelemetry's own SDKs.
/** Milliseconds; tests have less patience. */
const usualPace = { sendEveryMs: 1_000, answerWithinMs: 5_000, restMsFirst: 5_000, restMsMax: 60_000 };
const closeWithinMs = 500; // Of the three seconds that a node has locally to stop.
const toldMax = 20_000; // What is remembered of what was told, by traceparent.

export class TraceExport {
  readonly #sender: SpanSender;
  readonly #problems: Pick<Problems, 'say'>;
  readonly #report: (words: string) => void;
  readonly #pace: typeof usualPace;
  readonly #timer: NodeJS.Timeout;
  readonly #closing = new AbortController();
  readonly #told = new Set<string>();
  #waiting: TracedDelivery[] = [];
  #sending: Promise<void> | undefined;
  #lost = 0;
  #restMs = 0;
  #restUntil = 0;

  constructor(options: {
    sender: SpanSender;
    problems: Pick<Problems, 'say'>;
    report: (words: string) => void;
    pace?: typeof usualPace;
  }) {
    this.#sender = options.sender;
    this.#problems = options.problems;
    this.#report = options.report;
    this.#pace = options.pace ?? usualPace;
    this.#timer = setInterval(() => this.#start(), this.#pace.sendEveryMs);
  }

  /** After the write: cheap, and without a wait. */
  note(batch: WrittenBatch): void {
    const { items, results, messages = [], node, term, postedAt } = batch;
    const writtenAt = new Date().toISOString();
    const byMessage = new Map<string, { source: string | undefined; verdicts: Verdicts }>();
    for (const [index, { messageId, item }] of items.entries()) {
      const known = byMessage.get(messageId) ?? { source: sourceOf(item), verdicts: { ...none } };
      const kind = results[index]?.kind;
      if (kind) known.verdicts[kind] += 1;
      byMessage.set(messageId, known);
    }
    for (const message of messages) {
      if (!isSampled(message.traceparent)) continue;
      const { source, verdicts } = byMessage.get(message.messageId) ?? {
        source: undefined,
        verdicts: { ...none },
      };
      const { publishedTraceparent, traceparent } = message;
      const told = {
        publication: publishedTraceparent !== undefined && this.#wasTold(publishedTraceparent),
        receipt: this.#wasTold(traceparent),
      };
      this.#waiting.push({ ...message, source, verdicts, node, term, postedAt, writtenAt, told });
    }
    this.#keepNewest();
  }

  /** What waits is offered once more, for half a second. */
  async close(): Promise<void> {
    clearInterval(this.#timer);
    const last = setTimeout(() => this.#closing.abort(), closeWithinMs);
    await this.#sending;
    await this.#send();
    clearTimeout(last);
    if (this.#waiting.length > 0)
      this.#report(`${this.#waiting.length} deliveries were not told to the collector of traces`);
    await this.#sender.close();
  }

  #start(): void {
    if (this.#sending || performance.now() < this.#restUntil) return;
    this.#sending = this.#send().finally(() => (this.#sending = undefined));
  }

  async #send(): Promise<void> {
    while (this.#waiting.length > 0 && !this.#closing.signal.aborted) {
      const portion = this.#waiting.splice(0, perRequest);
      const outcome = await this.#offer(portion);
      if (outcome.kind === 'taken') {
        this.#wentWell();
        continue;
      }
      if (outcome.kind === 'refused') this.#lost += portion.length;
      else {
        this.#waiting.unshift(...portion);
        this.#keepNewest();
      }
      this.#wentWrong(outcome.reason);
      return;
    }
  }

  async #offer(portion: readonly TracedDelivery[]): Promise<SendOutcome> {
    const signal = AbortSignal.any([this.#closing.signal, AbortSignal.timeout(this.#pace.answerWithinMs)]);
    try {
      return await this.#sender.send(portion, signal);
    } catch (error) {
      return { kind: 'refused', reason: describeError(error) };
    }
  }

  #wentWell(): void {
    if (this.#restMs > 0)
      this.#report(`the collector of traces takes spans again; ${this.#lost} deliveries had to be given up`);
    this.#restMs = 0;
    this.#lost = 0;
    this.#problems.say('traces', null);
  }

  #wentWrong(reason: string): void {
    if (this.#restMs === 0) this.#report(`the collector of traces takes no spans: ${reason}`);
    this.#restMs = Math.min(this.#pace.restMsMax, Math.max(this.#pace.restMsFirst, this.#restMs * 2));
    this.#restUntil = performance.now() + this.#restMs;
    this.#problems.say(
      'traces',
      `the collector of traces takes no spans: ${this.#waiting.length} deliveries wait, ${this.#lost} were given up; nothing else waits for it`,
    );
  }

  /** People look for recent ones, so the oldest go first. */
  #keepNewest(): void {
    const beyond = this.#waiting.length - waitingMax;
    if (beyond > 0) this.#lost += this.#waiting.splice(0, beyond).length;
  }

  #wasTold(traceparent: string): boolean {
    if (this.#told.has(traceparent)) return true;
    this.#told.add(traceparent);
    const [oldest] = this.#told.size > toldMax ? this.#told : [];
    if (oldest !== undefined) this.#told.delete(oldest);
    return false;
  }
}

type Verdicts = Record<ItemVerdict['kind'], number>;
const none: Verdicts = { applied: 0, unchanged: 0, stale: 0, invalid: 0 };

/** Its publisher decides, by the last bit of the flags. */
const isSampled = (traceparent: string): boolean => (parseInt(traceparent.slice(53), 16) & 1) === 1;

function sourceOf(item: unknown): string | undefined {
  return typeof item === 'object' && item !== null && 'source' in item && typeof item.source === 'string'
    ? item.source
    : undefined;
}
