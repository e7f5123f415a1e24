// Judges from the raft thread whether the main thread still lives: a hung app must give up leadership instead
// of hiding behind a raft thread that goes on sending heartbeats. Never blocks on the main thread.
import type { Health } from '../raft/types.ts';
import type { HealthReport } from './messages.ts';

const reasonLengthMax = 120;

export class MainThreadWatch {
  readonly #pulse: Int32Array;
  readonly #limitMs: number;
  readonly #checkEveryMs: number;
  #lastPulse: number;
  #lastCheckAt: number;
  #silentMs = 0;
  #report: HealthReport = {
    databaseReachable: false,
    fit: true,
    reason: null,
  };

  constructor(options: { pulse: SharedArrayBuffer; limitMs: number; checkEveryMs: number; now: number }) {
    this.#pulse = new Int32Array(options.pulse);
    this.#limitMs = options.limitMs;
    this.#checkEveryMs = options.checkEveryMs;
    this.#lastPulse = Atomics.load(this.#pulse, 0);
    this.#lastCheckAt = options.now;
  }

  reported(report: HealthReport): void {
    // It travels in datagrams, which are short.
    const reason = report.reason?.replaceAll(/[^\x20-\x7e]/g, '?').slice(0, reasonLengthMax) ?? null;
    this.#report = { ...report, reason };
  }

  /** Called every `checkEveryMs`; late calls are fine. */
  check(now: number): Health {
    const pulse = Atomics.load(this.#pulse, 0);
    const elapsedMs = now - this.#lastCheckAt;
    this.#lastCheckAt = now;
    // When this thread stood still too (SIGSTOP, a suspended machine), the main thread is not to blame.
    if (pulse === this.#lastPulse) this.#silentMs += Math.min(elapsedMs, 2 * this.#checkEveryMs);
    else this.#silentMs = 0;
    this.#lastPulse = pulse;
    const hung = this.#silentMs > this.#limitMs;
    return {
      fit: this.#report.fit && !hung,
      reason: hung
        ? `the main thread has not moved for ${Math.round(this.#silentMs)} ms`
        : this.#report.reason,
      databaseReachable: this.#report.databaseReachable && !hung,
      lagMs: Math.round(this.#silentMs),
    };
  }
}
