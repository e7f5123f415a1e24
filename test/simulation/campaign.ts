// Many storms, until they held so many elections (terms that produced a leader), or one claim failed.
import type { Core } from './core.ts';
import type { RunResult } from './storm.ts';
import type { Plan } from './plan.ts';
import { describe, type TraceRecord } from './trace/record.ts';
import { planStorm } from './draw-plan.ts';
import { runStorm, shrink } from './storm.ts';

export interface Failure {
  readonly seed: number;
  readonly claim: string;
  readonly detail: string;
  /** With only the faults it takes. */
  readonly plan: Plan;
  /** The end of it. */
  readonly history: readonly string[];
}
export interface Totals {
  readonly elections: number;
  readonly storms: number;
  readonly steps: number;
  readonly checks: number;
  readonly simulatedMs: number;
  readonly excused: number;
  /** The longest way from the last fault to one leader, in election timeouts. */
  readonly calmTimeoutsMax: number;
  /** How often each rule, note and role occurred. */
  readonly seen: Readonly<Record<string, number>>;
  readonly failure: Failure | null;
}

const historyMax = 120;
/** Storm number k of seed S. Storm 0 has the seed itself, so that a failing one is run again by its own seed alone. */
const seedOf = (seed: number, storm: number): number => (seed + Math.imul(storm, 0x9e3779b1)) >>> 0;

export function simulate({ seed, elections, core }: { seed: number; elections: number; core: Core }): Totals {
  let totals: Totals = {
    elections: 0,
    storms: 0,
    steps: 0,
    checks: 0,
    simulatedMs: 0,
    excused: 0,
    calmTimeoutsMax: 0,
    seen: {},
    failure: null,
  };
  while (totals.elections < elections && totals.failure === null) {
    const plan = planStorm(seedOf(seed, totals.storms));
    const result = runStorm(plan, core);
    totals = add(totals, result, result.violation ? explain(plan, core) : null);
  }
  return totals;
}

function add(totals: Totals, result: RunResult, failure: Failure | null): Totals {
  const seen = { ...totals.seen };
  for (const [what, count] of result.seen) seen[what] = (seen[what] ?? 0) + count;
  return {
    elections: totals.elections + result.elections,
    storms: totals.storms + 1,
    steps: totals.steps + result.steps,
    checks: totals.checks + result.checks,
    simulatedMs: totals.simulatedMs + result.simulatedMs,
    excused: totals.excused + result.excused,
    calmTimeoutsMax: Math.max(totals.calmTimeoutsMax, result.calmTimeouts),
    seen,
    failure,
  };
}

function explain(plan: Plan, core: Core): Failure {
  const small = shrink(plan, core);
  const history: string[] = [];
  const { violation } = runStorm(small, core, (record) => {
    if (isRoutine(record)) return;
    history.push(describe(record));
    if (history.length > historyMax) history.shift();
  });
  if (!violation)
    throw new Error(`storm ${plan.seed} failed once and not again: the simulator is not deterministic`);
  return { seed: plan.seed, ...violation, plan: small, history };
}

/** Says that all is well, many times a second. */
const isRoutine = (record: TraceRecord): boolean =>
  record.kind === 'state' || ('message' in record && record.message.kind.startsWith('heartbeat'));
