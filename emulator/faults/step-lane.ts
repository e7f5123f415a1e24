// What happens on a connection that goes over a link, one way, in order: opened, bytes, closed. A delay moves every step;
// a cut holds them until it heals, the close too: a network that lost its way tells nobody that a process ended.

/** Connections between nodes carry two short frames in their life. */
const heldMax = 1_000;

export class StepLane {
  #isCut = false;
  #delayMs = 0;
  readonly #held: { readonly dueAt: number; readonly take: () => void }[] = [];
  #timer: NodeJS.Timeout | undefined;

  setRule({ isCut, delayMs }: { isCut: boolean; delayMs: number }): void {
    this.#isCut = isCut;
    this.#delayMs = delayMs;
    this.#takeDue();
  }

  /** False: too many are held, and this one is not taken in. */
  add(take: () => void): boolean {
    if (this.#held.length >= heldMax) return false;
    this.#held.push({ dueAt: performance.now() + this.#delayMs, take });
    this.#takeDue();
    return true;
  }

  close(): void {
    clearTimeout(this.#timer);
    this.#held.length = 0;
  }

  #takeDue(): void {
    clearTimeout(this.#timer);
    if (this.#isCut) return;
    for (let head = this.#held[0]; head; head = this.#held[0]) {
      const waitMs = head.dueAt - performance.now();
      if (waitMs > 0) {
        this.#timer = setTimeout(() => this.#takeDue(), waitMs);
        return;
      }
      this.#held.shift();
      head.take();
    }
  }
}
