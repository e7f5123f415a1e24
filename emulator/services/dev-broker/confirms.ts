// Publisher confirms of one channel: which sequence numbers are open, and in how few answers the settled ones can be
// told. Pure.

export interface ConfirmAnswer {
  readonly name: 'BasicAck' | 'BasicNack';
  readonly fields: { readonly deliveryTag: number; readonly multiple: boolean };
}

export class Confirms {
  #last = 0;
  /** Sequence numbers that wait for their confirm, in rising order. */
  readonly #open = new Set<number>();
  #accepted: number[] = [];
  #refused: number[] = [];

  /** The sequence number of the next publish. */
  expect(): number {
    this.#last += 1;
    this.#open.add(this.#last);
    return this.#last;
  }

  settle(sequence: number, accepted: boolean): void {
    if (!this.#open.delete(sequence)) return;
    (accepted ? this.#accepted : this.#refused).push(sequence);
  }

  /** What has to be told since it was last asked for; one answer for all that lie below the oldest open one. */
  take(): ConfirmAnswer[] {
    const accepted = this.#accepted.sort((a, b) => a - b);
    const refused = this.#refused;
    this.#accepted = [];
    this.#refused = [];
    const [oldestOpen = Infinity] = this.#open;
    const together = accepted.filter((sequence) => sequence < oldestOpen);
    const apart = accepted.slice(together.length);
    const last = together.at(-1);
    return [
      // First, so that no acknowledgement of several takes a refused one with it.
      ...refused.map((sequence) => answer('BasicNack', sequence, false)),
      ...(last === undefined ? [] : [answer('BasicAck', last, together.length > 1)]),
      ...apart.map((sequence) => answer('BasicAck', sequence, false)),
    ];
  }
}

function answer(name: ConfirmAnswer['name'], deliveryTag: number, multiple: boolean): ConfirmAnswer {
  return { name, fields: { deliveryTag, multiple } };
}
