// How messages travel between simulated nodes, the twin of transport/udp.ts.
import type { Message, NodeId } from '../../nodes/raft/types.ts';
import type { Cluster } from './cluster.ts';
import type { Arrival, Machine } from './machine.ts';

/** What a socket holds for a process that stands still. */
const waitingMax = 500;

export function send(cluster: Cluster, machine: Machine, to: NodeId, message: Message): void {
  const { id } = machine;
  // A slow write holds back what comes after it.
  const now = Math.max(cluster.timeline.now, machine.pausedUntil);
  cluster.record(machine, { kind: 'send', to, message });
  if ('rule' in message) cluster.count(`rule ${message.rule}`);
  const from = { from: id, fromBoot: machine.config.boot, message };
  for (const travelMs of cluster.links.travelTimes(id, to))
    cluster.timeline.plan(now + travelMs, { kind: 'arrival', to, ...from });
}

export function arrive(cluster: Cluster, arrival: Arrival & { readonly to: NodeId }): void {
  const machine = cluster.machine(arrival.to);
  if (!machine.state) return;
  if (!cluster.isPaused(machine)) return deliver(cluster, machine, arrival);
  if (machine.waiting.length < waitingMax) machine.waiting.push(arrival);
}

export function deliver(cluster: Cluster, machine: Machine, { from, fromBoot, message }: Arrival): void {
  if (!machine.state) return;
  cluster.record(machine, { kind: 'receive', from, fromBoot, message });
  cluster.feed(machine, { kind: 'message', now: cluster.nowOf(machine), from, fromBoot, message });
}
