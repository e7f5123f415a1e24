// Who led, in which term and since when, as processes say it in their logs: one clock for all of them, that of whoever
// reads the lines.
export interface Elected {
  readonly id: string;
  readonly term: number;
  /** performance.now() when its line came. */
  readonly at: number;
}

export class Elections {
  readonly all: Elected[] = [];
  readonly #waiting = new Set<() => void>();

  add(elected: Elected): void {
    this.all.push(elected);
    for (const look of this.#waiting) look();
  }

  get last(): Elected | undefined {
    return this.all.reduce<Elected | undefined>(
      (last, one) => (last && last.term >= one.term ? last : one),
      undefined,
    );
  }

  /** The first one of a higher term. @throws Error when none comes in time. */
  after(term: number, withinMs: number): Promise<Elected> {
    return new Promise((resolve, reject) => {
      const look = (): void => {
        const found = this.all.find((one) => one.term > term);
        if (!found) return;
        clearTimeout(late);
        this.#waiting.delete(look);
        resolve(found);
      };
      const late = setTimeout(() => {
        this.#waiting.delete(look);
        reject(new Error(`nobody was elected after term ${term} within ${withinMs} ms`));
      }, withinMs);
      this.#waiting.add(look);
      look();
    });
  }
}
