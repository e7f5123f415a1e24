// Which writes the database does not do, and why, as far as it says so or keeps silent for long. A database that answers
// every look may still take no write: its disk is full, somebody holds a lock, it became read-only. Connections that are
// refused or lost are left to whoever looks whether the database lives (nodes/health/database-watch.ts).
import type { WriteOutage } from '../store.ts';

/** After the bound on locks, whose error says more, and before the one of a statement, so that it is known within ten seconds. */
const silentAfterMs = 9_000;
/** What nobody has tried since then says nothing about now. */
const forgottenAfterMs = 60_000;

/** SQLSTATEs with which a server says that it does not write, until somebody or something changes that; in words of our own. */
const causes: readonly (readonly [RegExp, string])[] = [
  [/^53100$/, 'the database has no room left on its disk'],
  [/^53/, 'the database is at a limit of its memory, its connections or its settings'],
  [/^25006$/, 'the database takes no writes: a standby, or one that was made read-only'],
  [/^55P03$/, 'another session of the database holds a lock that it waits for'],
  [/^(?:28|42501)/, 'the database refuses the password or the rights of this node'],
  [/^(?:58|XX)/, 'the database cannot read or write its own files: see its log'],
];
const silent = `the database has not done it within ${silentAfterMs / 1_000} s`;

/** Undefined when the server did not say so. `error`: of pg. */
export function causeOfOutage(error: unknown): string | undefined {
  const { code } = error as { code?: unknown };
  return typeof code === 'string' ? causes.find(([states]) => states.test(code))?.[1] : undefined;
}

interface Attempt {
  readonly what: string;
  readonly statement: string;
  readonly startedAt: number;
}

export class WriteOutages {
  readonly #underWay = new Set<Attempt>();
  /** By statement: another one may touch nothing that is locked or full. */
  readonly #failing = new Map<
    string,
    { since: number; lastAt: number; what: string; cause: string; error: unknown }
  >();

  async watch<T>(what: string, statement: string, run: () => Promise<T>): Promise<T> {
    const attempt: Attempt = { what, statement, startedAt: performance.now() };
    this.#underWay.add(attempt);
    try {
      const result = await run();
      this.#failing.delete(statement);
      return result;
    } catch (error) {
      this.#failed(attempt, error);
      throw error;
    } finally {
      this.#underWay.delete(attempt);
    }
  }

  #failed({ what, statement, startedAt }: Attempt, error: unknown): void {
    const lastAt = performance.now();
    const said = causeOfOutage((error as { cause?: unknown }).cause ?? error);
    const cause = said ?? (lastAt - startedAt >= silentAfterMs ? silent : undefined);
    if (cause === undefined) return;
    const since = this.#failing.get(statement)?.since ?? startedAt;
    this.#failing.set(statement, { since, lastAt, what, cause, error });
  }

  /** The one that lasts longest. */
  longest(): WriteOutage | undefined {
    const now = performance.now();
    for (const [statement, { lastAt }] of this.#failing)
      if (now - lastAt > forgottenAfterMs) this.#failing.delete(statement);
    const hanging = [...this.#underWay]
      .filter(({ statement, startedAt }) => now - startedAt >= silentAfterMs && !this.#failing.has(statement))
      .map(({ what, startedAt }) => ({ what, since: startedAt, cause: silent, error: undefined }));
    const [first] = [...this.#failing.values(), ...hanging].toSorted((one, other) => one.since - other.since);
    if (!first) return undefined;
    const { what, since, cause, error } = first;
    return { what, cause, error, since: new Date(Date.now() - (now - since)) };
  }
}
