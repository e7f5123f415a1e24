// What every mapping from a queue to a function is, whatever the queue: a loop that runs until it is closed, and counts.

export interface MappingCounts {
  readonly invocations: number;
  /** Number of messages that a function has handled. */
  readonly handled: number;
  readonly failures: number;
  readonly refused: number;
}
export interface EventSource {
  readonly name: string;
  counts(): MappingCounts;
  /** Lets a running invocation end for a moment; what is not acknowledged goes back to the queue. */
  close(): Promise<void>;
}

/** What a mapping's loop is given. */
export interface MappingRun {
  readonly counts: { -readonly [K in keyof MappingCounts]: number };
  /** Aborted: no new batch. */
  readonly stopping: AbortSignal;
  /** Aborted: not even the running one. */
  readonly cut: AbortSignal;
}

const closeGraceMs = 2_000;
const answerMarginMs = 40_000; // For a cold start and a place in the host's queue, beside the function's own time.

/** `run` resolves soon after `stopping`, at the latest after `cut`. */
export function runMapping(name: string, run: (mapping: MappingRun) => Promise<unknown>): EventSource {
  const counts = { invocations: 0, handled: 0, failures: 0, refused: 0 };
  const stopping = new AbortController();
  const cut = new AbortController();
  const running = run({ counts, stopping: stopping.signal, cut: cut.signal });
  return {
    name,
    counts: () => ({ ...counts }),
    async close() {
      stopping.abort();
      const timer = setTimeout(() => cut.abort(), closeGraceMs);
      await running;
      clearTimeout(timer);
    },
  };
}

/** How long a function's answer is waited for. */
export const answerWithinMs = (functionTimeoutS: number): number => functionTimeoutS * 1_000 + answerMarginMs;
