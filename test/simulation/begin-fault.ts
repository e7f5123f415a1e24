// What each kind of fault does to a simulated cluster, and how it ends. Every fault is over when the storm is.
import type { NodeId } from '../../nodes/raft/types.ts';
import type { Cluster } from './cluster.ts';
import type { Fault, Who } from './plan.ts';
import type { Machine } from './machine.ts';
import { crash, pause, setHealth, showDeath } from './processes.ts';

type FaultOfOne = Extract<Fault, { who: Who }>;
type Pairs = [NodeId, NodeId][];

const somebodyElse = 'somebody else';

export function beginFault(cluster: Cluster, fault: Fault): void {
  switch (fault.kind) {
    case 'cut':
      return cluster.later(fault.forMs, cluster.links.cut(pairsBetween(cluster, fault.from, fault.to)));
    case 'mesh':
      return cluster.later(fault.forMs, cluster.links.cut(pairsBeside(cluster, fault.pairs)));
    case 'noise':
      return cluster.later(fault.forMs, cluster.links.disturb(fault));
    case 'no-database': {
      const struck = resolveAll(cluster, fault.who).map((id) => cluster.machine(id));
      for (const machine of struck) setHealth(cluster, machine, { databaseReachable: false });
      return cluster.later(fault.forMs, () => {
        for (const machine of struck) setHealth(cluster, machine, { databaseReachable: true });
      });
    }
    case 'transfer':
      return transfer(cluster, fault.target);
    case 'fence-ahead':
      cluster.database.claim(cluster.database.fenceTerm + fault.terms, somebodyElse);
      return cluster.recordFence(somebodyElse);
    case 'claims-lost':
      cluster.database.loseClaims(fault.claims);
      return cluster.recordFence(null);
    case 'crash':
    case 'crash-midway':
    case 'reconfigure':
    case 'pause':
    case 'disk-full':
    case 'slow-disk':
    case 'clock-leap':
    case 'unfit':
    case 'false-evidence': {
      const [id] = resolveAll(cluster, [fault.who]);
      return id === undefined ? undefined : strike(cluster, cluster.machine(id), fault);
    }
  }
}

function strike(cluster: Cluster, machine: Machine, fault: FaultOfOne): void {
  switch (fault.kind) {
    case 'crash':
      if (fault.loseVoteFile) loseVoteFile(cluster, machine);
      return crash(cluster, machine, cluster.restOf(fault.forMs));
    case 'crash-midway': {
      const { inWrite, effects } = fault;
      machine.dying = { forMs: cluster.restOf(fault.forMs), begun: !inWrite, effects };
      return cluster.later(fault.forMs, () => {
        machine.dying = null;
      });
    }
    case 'reconfigure':
      machine.settings = fault.settings;
      return crash(cluster, machine, cluster.restOf(fault.forMs));
    case 'pause': {
      if (!machine.state) return undefined;
      const forMs = cluster.restOf(fault.forMs);
      if (fault.clockToo) machine.clock.offsetMs -= machine.clock.rate * forMs;
      return pause(cluster, machine, forMs);
    }
    case 'disk-full':
      machine.diskFull = true;
      return cluster.later(fault.forMs, () => {
        machine.diskFull = false;
      });
    case 'slow-disk':
      machine.writeMs = fault.writeMs;
      return cluster.later(fault.forMs, () => {
        machine.writeMs = 0;
      });
    case 'clock-leap':
      machine.clock.offsetMs += Math.max(fault.byMs, -cluster.restOf(-fault.byMs));
      // Its timer may be due.
      machine.missedWake = cluster.isPaused(machine);
      if (!machine.missedWake) cluster.feed(machine, { kind: 'timer', now: cluster.nowOf(machine) });
      return undefined;
    case 'unfit':
      setHealth(cluster, machine, { fit: false });
      return cluster.later(fault.forMs, () => setHealth(cluster, machine, { fit: true }));
    case 'false-evidence':
      return showFalseEvidence(cluster, machine);
  }
}

function transfer(cluster: Cluster, target: NodeId | null): void {
  const [id] = cluster.leaders();
  const leader = id === undefined ? null : cluster.machine(id);
  if (!leader || cluster.isPaused(leader)) return;
  cluster.feed(leader, { kind: 'transfer', now: cluster.nowOf(leader), target, reason: 'asked' });
}

/** Two at once can only be brought back by hand (`baton node recover`), which is not what a storm is to find. */
function loseVoteFile(cluster: Cluster, machine: Machine): void {
  if (!machine.state || cluster.lacksVoteFile()) return;
  cluster.record(machine, { kind: 'remark', text: 'LOSES ITS VOTE FILE' });
  machine.fileLost = true;
}

function showFalseEvidence(cluster: Cluster, { id, state }: Machine): void {
  const leader = state ? cluster.core.view(state).leader : null;
  if (leader !== null && leader !== id) showDeath(cluster, id, leader, cluster.machine(leader).config.boot);
}

/** `leader` is whoever leads now, if anybody does. */
function resolveAll(cluster: Cluster, list: readonly Who[]): NodeId[] {
  return list
    .map((who) => (who === 'leader' ? cluster.leaders()[0] : who))
    .filter((id): id is NodeId => id !== undefined);
}

function pairsBetween(cluster: Cluster, from: readonly Who[], to: readonly Who[]): Pairs {
  const targets = resolveAll(cluster, to);
  return resolveAll(cluster, from).flatMap((a) =>
    targets.filter((b) => b !== a).map((b): [NodeId, NodeId] => [a, b]),
  );
}
/** Every link, in its direction, that is none of these. */
function pairsBeside(cluster: Cluster, pairs: readonly (readonly [NodeId, NodeId])[]): Pairs {
  const ids = [...cluster.machines.keys()];
  const kept = new Set(pairs.flatMap(([a, b]) => [`${a}>${b}`, `${b}>${a}`]));
  return pairsBetween(cluster, ids, ids).filter(([a, b]) => !kept.has(`${a}>${b}`));
}
