// One run: a storm of faults with every safety claim checked at each step, then calm, in which one leader must be
// found within a stated time and kept.
import type { Core } from './core.ts';
import type { Plan } from './plan.ts';
import { Cluster } from './cluster.ts';
import type { TraceRecord } from './trace/record.ts';
import { Violation } from './trace/rules.ts';

/** Within so many election timeouts after the last fault ended, everybody follows one leader. */
export const livenessTimeouts = 8;
/** The operator's restarts that are left when the storm ends, and what they wait for, take no longer than this. */
const rollOutTimeouts = 200;
/** For so many timeouts after that, nothing changes. */
const steadyTimeouts = 4;

export interface RunResult {
  readonly elections: number;
  readonly excused: number;
  readonly steps: number;
  readonly checks: number;
  readonly simulatedMs: number;
  /** From the end of the last fault to agreement, in election timeouts. */
  readonly calmTimeouts: number;
  readonly violation: { readonly claim: string; readonly detail: string } | null;
  readonly seen: ReadonlyMap<string, number>;
}

/** `onRecord` gets the whole trace, up to the record that is a violation. */
export function runStorm(plan: Plan, core: Core, onRecord?: (record: TraceRecord) => void): RunResult {
  const cluster = new Cluster(plan, core, onRecord);
  let calmTimeouts = 0;
  let violation: RunResult['violation'] = null;
  try {
    cluster.run(plan.calmAt);
    cluster.run(plan.calmAt + rollOutTimeouts * plan.electionTimeoutMs, () => cluster.rolledOut);
    if (!cluster.rolledOut)
      throw new Violation('a rolling change comes to its end', `not within ${rollOutTimeouts} timeouts`);
    if (plan.leftOut) cluster.leaveOut(plan.leftOut);
    const calmAt = Math.max(plan.calmAt, cluster.timeline.now);
    cluster.run(calmAt + livenessTimeouts * plan.electionTimeoutMs, () => isWell(cluster));
    calmTimeouts = (cluster.timeline.now - calmAt) / plan.electionTimeoutMs;
    demandWell(cluster, `within ${livenessTimeouts} timeouts`);
    keepCalm(cluster, plan);
  } catch (error) {
    if (!(error instanceof Violation)) throw error;
    violation = { claim: error.claim, detail: error.message };
  }
  return {
    elections: cluster.checker.elections,
    excused: cluster.checker.excused,
    steps: cluster.steps,
    checks: cluster.checker.checks,
    simulatedMs: cluster.timeline.now,
    calmTimeouts,
    violation,
    seen: cluster.seen,
  };
}

const isWell = (cluster: Cluster): boolean => cluster.agreed() && cluster.writable();

function demandWell(cluster: Cluster, when: string): void {
  if (!cluster.agreed()) throw new Violation('after the storm all follow one leader', `not ${when}`);
  if (!cluster.writable()) throw new Violation('after the storm the leader can write', `not ${when}`);
}

/** What is still under way from the storm (a claim that the database refuses, an old datagram) may move it once more. */
function keepCalm(cluster: Cluster, plan: Plan): void {
  const settleMs = 2 * livenessTimeouts * plan.electionTimeoutMs;
  cluster.run(cluster.timeline.now + steadyTimeouts * plan.electionTimeoutMs);
  cluster.run(cluster.timeline.now + settleMs, () => isWell(cluster));
  demandWell(cluster, 'once what was under way has arrived');
  const [before] = cluster.views();
  cluster.run(cluster.timeline.now + steadyTimeouts * plan.electionTimeoutMs);
  const [after] = cluster.views();
  if (!cluster.agreed() || before?.term !== after?.term)
    throw new Violation('a calm cluster keeps its leader', `term ${before?.term} became term ${after?.term}`);
}
