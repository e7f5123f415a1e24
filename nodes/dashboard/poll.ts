// Asks one route again and again; a fresh question may be put in soon, but never more often than every `soonMs`.
const answerWithinMs = 3_000;
const soonMs = 200;

export interface PollOptions<T> {
  readonly path: string;
  readonly everyMs: number;
  readonly onAnswer: (answer: T) => void;
  readonly onFailure: () => void;
}

/** @returns a function that asks soon instead of at the next turn. */
export function startPoll<T>({ path, everyMs, onAnswer, onFailure }: PollOptions<T>): () => void {
  let timer = 0;
  let asking = false;
  let soon = false;

  async function ask(): Promise<void> {
    asking = true;
    soon = false;
    try {
      const answer = await fetch(path, { signal: AbortSignal.timeout(answerWithinMs) });
      if (!answer.ok) throw new Error(`${path} answered ${answer.status}`);
      onAnswer((await answer.json()) as T);
    } catch {
      onFailure(); // Shown on the page: there is no log to write to.
    } finally {
      asking = false;
      schedule();
    }
  }
  function schedule(): void {
    clearTimeout(timer);
    timer = setTimeout(() => void ask(), soon ? soonMs : everyMs);
  }

  void ask();
  return () => {
    if (soon) return;
    soon = true;
    if (!asking) schedule();
  };
}
