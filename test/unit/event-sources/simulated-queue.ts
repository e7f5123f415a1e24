// A queue with one consumer, in memory: what is not acknowledged stays in it. And a function that does as told.
import type { InvokeClient, InvokeOutcome } from '../../../emulator/event-sources/invoke-client.ts';
import type { Delivery, QueueFeed } from '../../../emulator/event-sources/rabbitmq-feed.ts';
import type { RabbitmqEvent } from '../../../contracts/rabbitmq-event.ts';
import { recordJson } from '../../../emulator/event-sources/rabbitmq-event-body.ts';
import { pause } from '../../../runtime/waiting.ts';

export class SimulatedQueue {
  readonly waiting: Delivery[] = [];
  readonly refused: number[] = [];
  #unacknowledged: Delivery[] = [];
  #feed: { buffer: Delivery[]; lost: AbortController; arrived: AbortController } | undefined;
  #lastTag = 0;

  get unacknowledged(): number {
    return this.#unacknowledged.length;
  }

  publish(...contents: (string | Buffer)[]): void {
    for (const content of contents) {
      const json = recordJson({ content: Buffer.from(content), redelivered: false, properties: {} });
      const messageId = undefined;
      this.waiting.push({ deliveryTag: ++this.#lastTag, messageId, json, bytes: Buffer.byteLength(json) });
    }
    this.#deliver();
  }

  /** The connection breaks: all that was not acknowledged is in the queue again, at its head. */
  breakConnection(): void {
    this.waiting.unshift(...this.#unacknowledged);
    this.#unacknowledged = [];
    this.#feed?.lost.abort();
    this.#feed = undefined;
  }

  readonly open = (): Promise<QueueFeed> => {
    const buffer: Delivery[] = [];
    const lost = new AbortController();
    const feed = { buffer, lost, arrived: new AbortController() };
    this.#feed = feed;
    this.#deliver();
    const mine = (): boolean => this.#feed === feed;
    return Promise.resolve({
      buffer,
      gone: lost.signal,
      async changed(timeoutMs, signal) {
        feed.arrived = new AbortController();
        await pause(timeoutMs, AbortSignal.any([feed.arrived.signal, lost.signal, signal]));
      },
      acknowledgeUpTo: ({ deliveryTag }) => {
        if (mine())
          this.#unacknowledged = this.#unacknowledged.filter(
            (delivery) => delivery.deliveryTag > deliveryTag,
          );
      },
      giveBack: (deliveries) => {
        if (!mine()) return;
        this.#unacknowledged = this.#unacknowledged.filter((delivery) => !deliveries.includes(delivery));
        this.waiting.unshift(...deliveries);
      },
      refuse: (delivery) => {
        this.refused.push(delivery.deliveryTag);
        this.#unacknowledged = this.#unacknowledged.filter((other) => other !== delivery);
      },
      close: () => {
        if (mine()) this.breakConnection();
        return Promise.resolve();
      },
    });
  };

  #deliver(): void {
    if (!this.#feed) return;
    const batch = this.waiting.splice(0);
    this.#unacknowledged.push(...batch);
    this.#feed.buffer.push(...batch);
    this.#feed.arrived.abort();
  }
}

export class SimulatedFunction implements InvokeClient {
  /** The contents of each invocation's messages. */
  readonly invocations: string[][] = [];
  readonly bytes: number[] = [];
  runningMax = 0;
  #running = 0;
  readonly #answer: (number: number) => Promise<InvokeOutcome> | InvokeOutcome;

  constructor(answer: (number: number) => Promise<InvokeOutcome> | InvokeOutcome) {
    this.#answer = answer;
  }

  async invoke(_name: string, json: string): Promise<InvokeOutcome> {
    const event = JSON.parse(json) as RabbitmqEvent;
    this.bytes.push(Buffer.byteLength(json));
    this.invocations.push(
      (event.rmqMessagesByQueue['items::/'] ?? []).map(({ data }) =>
        Buffer.from(data, 'base64').subarray(0, 20).toString('utf8'),
      ),
    );
    this.runningMax = Math.max(this.runningMax, ++this.#running);
    const outcome = await this.#answer(this.invocations.length);
    this.#running--;
    return outcome;
  }

  sendEvent(): Promise<InvokeOutcome> {
    throw new Error('a RabbitMQ mapping invokes and waits');
  }

  close(): Promise<void> {
    return Promise.resolve();
  }
}

export const answered: InvokeOutcome = { kind: 'answered', payload: null };
export const failed: InvokeOutcome = { kind: 'function-error', reason: 'Error: planted' };
export const unavailable: InvokeOutcome = { kind: 'unavailable', reason: 'planted' };
