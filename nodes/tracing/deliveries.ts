// What the leader notes of the messages whose items it wrote, for whoever traces an item later: gathered in memory and
// stored by a job, so that no write waits for it. Best effort: a crash loses the last half second of it, and what is more
// than the buffer holds is not noted.
import type { BatchRequest } from '../../contracts/node-api.ts';
import type { ItemTrace, MessageTrace } from '../../contracts/trace.ts';

export type NotedDelivery = NonNullable<BatchRequest['messages']>[number] & {
  readonly postedAt: string;
};

export interface TraceStore {
  keepDeliveries(term: number, node: string, deliveries: readonly NotedDelivery[]): Promise<void>;
  /** Its newest versions. */
  traceItem(key: { source: string; sku: string }, limit: number): Promise<ItemTrace | undefined>;
  traceMessage(messageId: string): Promise<MessageTrace>;
}

const bufferMax = 20_000;
const perStep = 5_000;

export class Deliveries {
  #noted: NotedDelivery[] = [];
  #term = 0;

  /** After their items were written, in that term. `postedAt`: when the leader got them. */
  note(messages: BatchRequest['messages'], { term, postedAt }: { term: number; postedAt: string }): void {
    if (term !== this.#term) this.#noted = [];
    this.#term = term;
    for (const message of messages ?? []) {
      if (this.#noted.length >= bufferMax) return;
      this.#noted.push({ ...message, postedAt });
    }
  }

  /** The leader's job. What could not be stored is given up: people look for recent ones. */
  async store(term: number, node: string, store: Pick<TraceStore, 'keepDeliveries'>): Promise<void> {
    const noted = term === this.#term ? this.#noted : [];
    this.#noted = [];
    for (let from = 0; from < noted.length; from += perStep)
      await store.keepDeliveries(term, node, noted.slice(from, from + perStep));
  }
}
