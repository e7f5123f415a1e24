// The disk of a simulated node, the twin of identity/vote-file.ts: what was written survives a crash, and while it is full
// the write is owed.
import type { Persisted } from '../../nodes/raft/types.ts';
import type { Cluster } from './cluster.ts';
import type { Machine } from './machine.ts';

export function write(cluster: Cluster, machine: Machine, record: Persisted): void {
  cluster.record(machine, { kind: 'write', ...record });
  machine.persisted = record;
}

export function planRetry(cluster: Cluster, machine: Machine): void {
  const at = cluster.timeline.now + cluster.plan.electionTimeoutMs / 2;
  cluster.timeline.plan(at, { kind: 'retry-write', node: machine.id, boot: machine.bootCount });
}

export function retryWrite(cluster: Cluster, machine: Machine, boot: number): void {
  if (!machine.state || machine.bootCount !== boot || !machine.owed) return;
  if (machine.diskFull || cluster.isPaused(machine)) return planRetry(cluster, machine);
  write(cluster, machine, machine.owed);
  machine.owed = null;
  cluster.feed(machine, { kind: 'persist-recovered', now: cluster.nowOf(machine) });
}
