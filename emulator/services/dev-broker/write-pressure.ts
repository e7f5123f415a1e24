// How much waits to be written to disk, over all journals. Publishers are made to wait while it is too much.

export class WritePressure {
  readonly #bytesMax: number;
  #bytes = 0;
  #waiting: (() => void)[] = [];

  constructor(bytesMax: number) {
    this.#bytesMax = bytesMax;
  }

  add(bytes: number): void {
    this.#bytes += bytes;
  }

  remove(bytes: number): void {
    this.#bytes -= bytes;
    if (this.#bytes > this.#bytesMax) return;
    for (const go of this.#waiting.splice(0)) go();
  }

  /** Undefined when there is room now. */
  room(): Promise<void> | undefined {
    if (this.#bytes <= this.#bytesMax) return undefined;
    return new Promise((resolve) => this.#waiting.push(resolve));
  }
}
