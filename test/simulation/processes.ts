// The process of a simulated node: how it starts with what its disk and the database know, stands still, goes on and dies,
// and what others see of that.
import type { Config, Health, NodeId, Recovered } from '../../nodes/raft/types.ts';
import type { Cluster } from './cluster.ts';
import { deliver } from './datagrams.ts';
import { write } from './disk.ts';
import type { Machine } from './machine.ts';
import type { Member, Plan } from './plan.ts';

/** As main.ts makes it of its settings. */
export function configOf(
  plan: Plan,
  id: NodeId,
  { generation, bootCount, settings }: Pick<Machine, 'generation' | 'bootCount' | 'settings'>,
): Config {
  const { generations, heartbeatMs, electionTimeoutMs } = plan;
  const members: readonly Member[] = generations[generation - 1] ?? [];
  const timeoutFactor = settings?.timeoutFactor ?? 1;
  const priority = members.find((member) => member.id === id)?.priority ?? 0;
  return {
    id,
    boot: `${id}-boot-${bootCount}`,
    voters: members.filter(({ voter }) => voter).map((member) => member.id),
    learners: members.filter(({ voter }) => !voter).map((member) => member.id),
    generation,
    heartbeatMs: timeoutFactor * heartbeatMs,
    electionTimeoutMs: timeoutFactor * electionTimeoutMs,
    // Who never leads stays so.
    priority: priority === 0 ? 0 : (settings?.priority ?? priority),
  };
}

export function restart(cluster: Cluster, machine: Machine): void {
  const { id } = machine;
  if (machine.state || !machine.wanted) return;
  const lost = machine.fileLost || machine.fileSaysAbstaining;
  const config = configOf(cluster.plan, id, { ...machine, bootCount: machine.bootCount + 1 });
  const ranIn = cluster.database.ranIn(id);
  const entered = ranIn !== config.generation;
  // A restart in the same generation needs no database.
  const termAtLeast = entered || lost ? admission(cluster, machine, config, lost) : 0;
  if (termAtLeast === null) return;
  machine.bootCount += 1;
  machine.config = config;
  machine.state = cluster.core.initialState(machine.config);
  if (lost) machine.persisted = null;
  // What the removed had of its votes, and what a single voter had of its own, nobody can tell it.
  const unknowable = (entered && ranIn !== undefined) || config.voters.length === 1;
  const { boot, generation, voters, learners, priority, electionTimeoutMs } = config;
  cluster.record(machine, {
    kind: 'start',
    boot,
    generation,
    voters,
    learners,
    priority,
    electionTimeoutMs,
    disk: machine.persisted,
    lost,
    unknowable,
    termAtLeast,
  });
  const found = machine.persisted?.term ?? 0;
  // What openVoteFile does: the term of a generation is on disk before anything is said in it.
  if (entered && !lost && found < termAtLeast) write(cluster, machine, { term: termAtLeast, votedFor: null });
  machine.fileLost = false;
  machine.fileSaysAbstaining = lost;
  const recovered: Recovered = lost
    ? { kind: 'lost', term: termAtLeast }
    : machine.persisted
      ? { kind: 'found', persisted: machine.persisted }
      : { kind: 'first' };
  const seed = cluster.chance.below(2 ** 31);
  cluster.feed(machine, { kind: 'start', now: cluster.nowOf(machine), recovered, seed });
  cluster.feed(machine, { kind: 'health', now: cluster.nowOf(machine), health: machine.health });
}

/** A start in another generation than the last one is admitted and recorded first. @returns the term to begin with. */
function admission(
  cluster: Cluster,
  machine: Machine,
  { generation, voters }: Config,
  lost: boolean,
): number | null {
  const { id } = machine;
  const term = lost ? 0 : (machine.persisted?.term ?? 0);
  const admission = machine.health.databaseReachable
    ? cluster.database.admit({ id, generation, voters }, term)
    : ({ kind: 'refused', reason: 'no database' } as const);
  if (admission.kind === 'admitted') return admission.termAtLeast;
  cluster.count('start refused');
  cluster.record(machine, { kind: 'remark', text: `does not start: ${admission.reason}` });
  // What the message advises: back to where it ran, until the others have followed.
  machine.generation = cluster.database.ranIn(id) ?? machine.generation;
  const at = cluster.timeline.now + cluster.plan.electionTimeoutMs / 2;
  cluster.timeline.plan(at, { kind: 'restart', node: id });
  return null;
}

/** Others may see it. */
export function crash(cluster: Cluster, machine: Machine, forMs: number): void {
  if (!machine.state) return;
  const { id } = machine;
  cluster.record(machine, { kind: 'end' });
  machine.state = null;
  machine.wakeTicket += 1;
  machine.waiting = [];
  machine.pausedUntil = 0;
  machine.missedWake = false;
  machine.owed = null;
  machine.leadsTerm = null;
  machine.dying = null;
  cluster.timeline.plan(cluster.timeline.now + forMs, { kind: 'restart', node: id });
  for (const node of cluster.machines.keys())
    if (node !== id && !cluster.links.isCut(id, node) && cluster.chance.happens(cluster.plan.evidence))
      showDeath(cluster, node, id, machine.config.boot);
}

export function showDeath(cluster: Cluster, node: NodeId, leader: NodeId, leaderBoot: string): void {
  const at = cluster.timeline.now + cluster.chance.between(0.2, 2);
  cluster.timeline.plan(at, { kind: 'evidence', node, leader, leaderBoot });
}

export function seeDeath(
  cluster: Cluster,
  machine: Machine,
  { leader, leaderBoot }: { leader: NodeId; leaderBoot: string },
): void {
  if (!machine.state || cluster.isPaused(machine)) return;
  const { term } = cluster.core.view(machine.state);
  cluster.record(machine, { kind: 'evidence', leader, leaderBoot });
  cluster.feed(machine, { kind: 'evidence', now: cluster.nowOf(machine), leader, leaderBoot, term });
}

export function pause(cluster: Cluster, machine: Machine, forMs: number): void {
  machine.pausedUntil = Math.max(machine.pausedUntil, cluster.timeline.now + forMs);
  cluster.timeline.plan(machine.pausedUntil, { kind: 'resume', node: machine.id });
}

export function resume(cluster: Cluster, machine: Machine): void {
  if (machine.pausedUntil === 0 || cluster.isPaused(machine)) return;
  machine.pausedUntil = 0;
  cluster.record(machine, { kind: 'remark', text: 'goes on' });
  const { waiting, missedWake } = machine;
  machine.waiting = [];
  machine.missedWake = false;
  const late = (): void => {
    if (missedWake && machine.state) cluster.feed(machine, { kind: 'timer', now: cluster.nowOf(machine) });
  };
  // The worker drains its socket before a late timer; the core must stay safe where that fails.
  const timerFirst = cluster.chance.happens(0.2);
  if (timerFirst) late();
  setHealth(cluster, machine, {});
  for (const arrival of waiting) deliver(cluster, machine, arrival);
  if (!timerFirst) late();
}

export function setHealth(cluster: Cluster, machine: Machine, change: Partial<Health>): void {
  machine.health = { ...machine.health, ...change };
  if (machine.state && !cluster.isPaused(machine))
    cluster.feed(machine, { kind: 'health', now: cluster.nowOf(machine), health: machine.health });
}
