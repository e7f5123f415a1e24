// Says when the raft thread stood still for so long that it may have cost a leader: who is asked why one fell wants to know
// whether a disk or a machine was to blame. Decides nothing.
import type { RaftProblem } from './messages.ts';

export interface Standstill {
  /** `disk`: the vote file was being written, and everything waits for that. `thread`: no processor, or frozen. */
  readonly of: 'disk' | 'thread';
  readonly ms: number;
}

/** One disk that is slow, or one machine that is busy, is one piece of news. */
const silentForMs = 10_000;

interface StandstillOptions {
  readonly electionTimeoutMs: number;
  readonly now: () => number;
  readonly tell: (problem: RaftProblem) => void;
}

export class Standstills {
  readonly #options: StandstillOptions;
  #toldAt = Number.NEGATIVE_INFINITY;

  constructor(options: StandstillOptions) {
    this.#options = options;
  }

  note({ of, ms }: Standstill): void {
    const { electionTimeoutMs, now, tell } = this.#options;
    if (ms < electionTimeoutMs || now() - this.#toldAt < silentForMs) return;
    this.#toldAt = now();
    const took = `${Math.round(ms)} ms, and the election timeout is ${electionTimeoutMs} ms`;
    tell(
      of === 'disk'
        ? {
            code: 'raft.slow-disk',
            detail: `the vote file took ${took}: nothing was sent meanwhile, so put the data folder on a disk of its own`,
          }
        : {
            code: 'raft.stood-still',
            detail: `the raft thread stood still for ${took}: the machine is short of processor time, or this process was frozen`,
          },
    );
  }
}
