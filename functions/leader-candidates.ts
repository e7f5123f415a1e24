// Whom to ask for the leader in one round, the likeliest first. A node's hint puts another one in front, when that is a
// member of the cluster, and only so often: nodes that disagree must not send a caller around for ever. Pure.
import { Failure } from '../runtime/failure.ts';

const hintsPerRoundMax = 2;

export class Candidates {
  readonly #waiting: string[];
  readonly #members: ReadonlySet<string>;
  #asked: string | undefined;
  #hintsLeft = hintsPerRoundMax;

  /** @param members the hosts that a hint may name */
  constructor(origins: readonly string[], members: ReadonlySet<string>) {
    this.#waiting = [...origins];
    this.#members = members;
  }

  next(): string | undefined {
    this.#asked = this.#waiting.shift();
    return this.#asked;
  }

  /** Takes the hint of the one asked last. @returns a Failure when it names no member, and is not followed. */
  follow(hint: string | undefined, cause: Failure): Failure | undefined {
    if (hint === undefined || hint === this.#asked || this.#hintsLeft === 0) return undefined;
    if (!this.#members.has(hint))
      return new Failure('NOT_LEADER', `${this.#asked} names ${hint} as leader, which is no member`, {
        cause,
      });
    this.#hintsLeft -= 1;
    this.#waiting.splice(0, this.#waiting.length, hint, ...this.#waiting.filter((other) => other !== hint));
    return undefined;
  }
}
