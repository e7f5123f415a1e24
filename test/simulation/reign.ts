// What a simulated leader does at the database in its term: claims the fence, then writes again and again, and claims again
// when the database lost its claim. The twin of nodes/leadership.ts. A statement that is under way lands whatever becomes of
// the process that sent it.
import type { NodeId } from '../../nodes/raft/types.ts';
import type { Cluster } from './cluster.ts';
import type { Machine } from './machine.ts';

/** How often the answer to a claim gets lost. */
const lostAnswers = 0.1;

/** `claim` and `write-item` leave the node; `land` is the write's arrival. All of one term of one boot. */
export interface Statement {
  readonly kind: 'claim' | 'write-item' | 'land';
  readonly node: NodeId;
  readonly boot: number;
  readonly term: number;
}

export function beginReign(cluster: Cluster, machine: Machine, term: number): void {
  machine.leadsTerm = term;
  machine.mayWrite = false;
  cluster.record(machine, { kind: 'leads', term });
  const { timeline } = cluster;
  const claim = { kind: 'claim', node: machine.id, boot: machine.bootCount, term } as const;
  timeline.plan(timeline.now + 1, claim);
  timeline.plan(timeline.now + 1 + pauseMs(cluster), { ...claim, kind: 'write-item' });
}

const pauseMs = ({ plan }: Cluster): number => plan.electionTimeoutMs / 2;

export function onStatement(cluster: Cluster, statement: Statement): void {
  const machine = cluster.machine(statement.node);
  if (statement.kind === 'land') land(cluster, machine, statement);
  else if (reigns(machine, statement)) send(cluster, machine, statement);
}

/** As far as that process knows. */
function reigns(machine: Machine, { boot, term }: Statement): boolean {
  return machine.state !== null && machine.bootCount === boot && machine.leadsTerm === term;
}

function send(cluster: Cluster, machine: Machine, statement: Statement): void {
  const { timeline, plan, chance, database } = cluster;
  const { term } = statement;
  const later = timeline.now + pauseMs(cluster);
  const reached = machine.health.databaseReachable && !cluster.isPaused(machine);
  if (statement.kind === 'write-item') {
    const travelMs = plan.electionTimeoutMs * chance.next() ** 3;
    if (reached && machine.mayWrite) timeline.plan(timeline.now + travelMs, { ...statement, kind: 'land' });
    timeline.plan(later, statement);
  } else if (reached) {
    const taken = database.claim(term, machine.config.boot);
    cluster.record(machine, { kind: 'claim', term, taken });
    machine.mayWrite = taken && !chance.happens(lostAnswers);
    if (!taken) refuseFence(cluster, machine);
    else if (!machine.mayWrite) timeline.plan(later, statement);
  } else timeline.plan(later, statement);
}

function land(cluster: Cluster, machine: Machine, statement: Statement): void {
  const { term } = statement;
  const taken = cluster.database.store(term);
  cluster.count(taken ? 'write taken' : 'write of an older term refused');
  cluster.record(machine, { kind: 'store', term, taken });
  if (taken || !reigns(machine, statement) || cluster.isPaused(machine)) return;
  if (cluster.database.fenceTerm > term) refuseFence(cluster, machine);
  else if (machine.mayWrite) {
    machine.mayWrite = false;
    cluster.count('claimed again');
    cluster.timeline.plan(cluster.timeline.now, { ...statement, kind: 'claim' });
  }
}

function refuseFence(cluster: Cluster, machine: Machine): void {
  const databaseTerm = cluster.database.fenceTerm;
  cluster.record(machine, { kind: 'fence-refused', term: databaseTerm });
  cluster.feed(machine, { kind: 'fence-refused', now: cluster.nowOf(machine), databaseTerm });
}
