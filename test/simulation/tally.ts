// What many storms came to. They are counted in their order, so that a seed gives the same figures on any number of cores.
import type { Core } from './core.ts';
import type { Plan } from './plan.ts';
import { describe, type TraceRecord } from './trace/record.ts';
import { livenessTimeouts, runStorm, type RunResult } from './storm.ts';
import { planStorm } from './draw-plan.ts';
import { shrink, type Size } from './shrink.ts';

export interface Failure {
  /** Of that storm: it is run again alone by it. */
  readonly seed: number;
  readonly claim: string;
  readonly detail: string;
  /** With only the nodes and faults it takes. */
  readonly plan: Plan;
  readonly shrunk: { readonly before: Size; readonly after: Size };
  /** The end of it. */
  readonly history: readonly string[];
}
/** From the last fault to one leader, in election timeouts. */
export interface Liveness {
  readonly p50: number;
  readonly p99: number;
  readonly max: number;
  /** More than this is a failure. */
  readonly bound: number;
}
export interface Totals {
  /** Terms that produced a leader. */
  readonly elections: number;
  readonly storms: number;
  readonly steps: number;
  readonly checks: number;
  readonly simulatedMs: number;
  readonly excused: number;
  readonly calmTimeouts: Liveness;
  /** How often each rule, note and role occurred. */
  readonly seen: Readonly<Record<string, number>>;
  readonly failure: Failure | null;
}

const historyMax = 120;
const bucketsPerTimeout = 20;

/** Storm number k of seed S. Storm 0 has the seed itself, so that a failing one is run again by its own seed alone. */
export const seedOf = (seed: number, storm: number): number => (seed + Math.imul(storm, 0x9e3779b1)) >>> 0;

export class Tally {
  readonly #seed: number;
  readonly #electionsMax: number;
  /** How many storms were calm again after so many parts of a timeout. */
  readonly #calm = Array.from({ length: livenessTimeouts * bucketsPerTimeout + 1 }, () => 0);
  readonly #seen = new Map<string, number>();
  readonly #sums = { elections: 0, steps: 0, checks: 0, simulatedMs: 0, excused: 0 };
  #calmMax = 0;
  storms = 0;
  /** The seed of the storm in which a claim did not hold. */
  failedSeed: number | null = null;

  constructor({ seed, elections }: { seed: number; elections: number }) {
    this.#seed = seed;
    this.#electionsMax = elections;
  }

  get elections(): number {
    return this.#sums.elections;
  }
  get done(): boolean {
    return this.failedSeed !== null || this.elections >= this.#electionsMax;
  }

  /** The result of the storm that is the next one in order. */
  add(result: RunResult): void {
    if (result.violation) this.failedSeed = seedOf(this.#seed, this.storms);
    this.storms += 1;
    for (const what of ['elections', 'steps', 'checks', 'simulatedMs', 'excused'] as const)
      this.#sums[what] += result[what];
    for (const [what, count] of result.seen) this.#seen.set(what, (this.#seen.get(what) ?? 0) + count);
    const bucket = Math.min(Math.floor(result.calmTimeouts * bucketsPerTimeout), this.#calm.length - 1);
    this.#calm[bucket] = (this.#calm[bucket] ?? 0) + 1;
    this.#calmMax = Math.max(this.#calmMax, result.calmTimeouts);
  }

  /** `core`: with what a failing storm is run again, to shrink it. */
  totals(core: Core): Totals {
    const calmTimeouts: Liveness = {
      p50: this.#calmQuantile(0.5),
      p99: this.#calmQuantile(0.99),
      max: this.#calmMax,
      bound: livenessTimeouts,
    };
    return {
      ...this.#sums,
      storms: this.storms,
      calmTimeouts,
      seen: Object.fromEntries(this.#seen),
      failure: this.failedSeed === null ? null : explain(planStorm(this.failedSeed), core),
    };
  }

  /** The upper edge of the bucket that it falls into. */
  #calmQuantile(share: number): number {
    let counted = 0;
    const bucket = this.#calm.findIndex((count) => (counted += count) >= share * this.storms);
    return Math.min((bucket + 1) / bucketsPerTimeout, this.#calmMax);
  }
}

function explain(plan: Plan, core: Core): Failure {
  const { plan: small, ...shrunk } = shrink(plan, core);
  const history: string[] = [];
  const { violation } = runStorm(small, core, (record) => {
    if (isRoutine(record)) return;
    history.push(describe(record));
    if (history.length > historyMax) history.shift();
  });
  if (!violation)
    throw new Error(`storm ${plan.seed} failed once and not again: the simulator is not deterministic`);
  return { seed: plan.seed, ...violation, plan: small, shrunk, history };
}

/** Says that all is well, many times a second. */
const isRoutine = (record: TraceRecord): boolean =>
  record.kind === 'state' || ('message' in record && record.message.kind.startsWith('heartbeat'));
