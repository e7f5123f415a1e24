// Remembers which counters of one boot were seen, so that each datagram counts once (RFC 4303, 3.4.3).
// Never judges authenticity: `accept` is called only for what was opened.

export const replayWindowSize = 1024; // 20 s of heartbeats at 50 ms: more reordering than any network shows.

export class ReplayWindow {
  readonly #seen = new Uint8Array(replayWindowSize);
  #highest: number;

  /** Everything up to and including `highest` counts as seen. */
  constructor(highest: number) {
    this.#highest = highest;
    this.#seen.fill(1);
  }

  isFresh(counter: number): boolean {
    if (counter > this.#highest) return true;
    if (counter <= this.#highest - replayWindowSize) return false;
    return this.#seen[counter % replayWindowSize] === 0;
  }

  accept(counter: number): void {
    if (counter > this.#highest) {
      const skipped = Math.min(counter - this.#highest, replayWindowSize);
      for (let ahead = 0; ahead < skipped; ahead++) this.#seen[(counter - ahead) % replayWindowSize] = 0;
      this.#highest = counter;
    }
    this.#seen[counter % replayWindowSize] = 1;
  }
}
