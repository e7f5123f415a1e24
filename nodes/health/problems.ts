// What is wrong right now as this node sees it, in words that say what follows from it: for /health, `baton status` and
// whoever is woken up by them. Words of our own alone: causes, which may name hosts and addresses, stand in the log.

/** A part's new words replace its old ones; null clears them. */
export class Problems {
  readonly #words = new Map<string, string>();

  say(part: string, words: string | null): void {
    if (words === null) this.#words.delete(part);
    else this.#words.set(part, words);
  }

  list(): string[] {
    return [...this.#words.values()];
  }
}
