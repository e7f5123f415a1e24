// What a simulated node does with its core, the twin of raft-thread/loop.ts: feeds it inputs and carries out its effects in
// their order. The trace gets its state after each step.
import type { Effect, Input } from '../../nodes/raft/types.ts';
import type { Cluster } from './cluster.ts';
import { send } from './datagrams.ts';
import { planRetry, write } from './disk.ts';
import { momentOf, type Machine } from './machine.ts';
import { crash, pause } from './processes.ts';
import { beginReign } from './reign.ts';

export function feed(cluster: Cluster, machine: Machine, first: Input): void {
  const inputs = [first];
  for (let input = inputs.shift(); input; input = inputs.shift()) {
    if (!machine.state) return;
    cluster.steps += 1;
    const { state, effects } = cluster.core.step(machine.state, input);
    machine.state = state;
    const follow = carryOut(cluster, machine, effects, input);
    if (follow) inputs.push(follow);
    if (!machine.state) return;
    // The quorum is counted when the timer comes, after whatever reached this node before.
    const lateMs = input.kind === 'timer' ? 0 : Math.max(0, cluster.nowOf(machine) - machine.wakeAt);
    recordState(cluster, machine, lateMs);
  }
}

/** The input that follows from a write that failed or succeeded again, if any. */
function carryOut(
  cluster: Cluster,
  machine: Machine,
  effects: readonly Effect[],
  cause: Input,
): Input | null {
  const now = cluster.nowOf(machine);
  const { id } = machine;
  let follow: Input | null = null;
  for (const effect of effects) {
    if (diesAt(cluster, machine, effect)) return null;
    switch (effect.kind) {
      case 'persist': {
        if (machine.diskFull) {
          cluster.record(machine, { kind: 'write-failed', ...effect.persisted });
          machine.owed = effect.persisted;
          planRetry(cluster, machine);
          return cause.kind === 'persist-failed'
            ? null
            : { kind: 'persist-failed', now, reason: 'disk full' };
        }
        write(cluster, machine, effect.persisted);
        if (machine.writeMs > 0) pause(cluster, machine, machine.writeMs);
        if (machine.owed) {
          machine.owed = null;
          follow = { kind: 'persist-recovered', now };
        }
        break;
      }
      case 'send':
        send(cluster, machine, effect.to, effect.message);
        break;
      case 'role':
        cluster.count(`role ${effect.role.kind}`);
        remark(cluster, machine, effect);
        if (effect.role.kind === 'leader') beginReign(cluster, machine, effect.term);
        break;
      case 'note':
        cluster.count(
          `note ${effect.note.kind}${effect.note.kind === 'transfer' ? ` ${effect.note.outcome}` : ''}`,
        );
        remark(cluster, machine, effect.note);
        if (effect.note.kind === 'voting-again') {
          cluster.record(machine, { kind: 'votes-again', reason: effect.note.reason });
          machine.fileSaysAbstaining = false;
        }
        break;
      case 'wake': {
        machine.wakeTicket += 1;
        machine.wakeAt = effect.at;
        if (effect.at === Infinity) break;
        const late = cluster.chance.happens(0.02)
          ? cluster.chance.between(0, lateMsMax(cluster))
          : cluster.chance.next();
        cluster.timeline.plan(momentOf(machine, effect.at) + late, {
          kind: 'wake',
          node: id,
          ticket: machine.wakeTicket,
        });
        break;
      }
    }
  }
  return follow;
}

export function lateMsMax(cluster: Cluster): number {
  return cluster.plan.electionTimeoutMs / 4;
}

/** In the middle of this step, when it was to. */
function diesAt(cluster: Cluster, machine: Machine, effect: Effect): boolean {
  const { dying } = machine;
  if (!dying || !(dying.begun || effect.kind === 'persist')) return false;
  machine.dying = { ...dying, begun: true, effects: dying.effects - 1 };
  if (dying.effects > 0) return false;
  cluster.count('died midway');
  crash(cluster, machine, dying.forMs);
  return true;
}

function remark(cluster: Cluster, machine: Machine, what: object): void {
  if (cluster.isTraced) cluster.record(machine, { kind: 'remark', text: JSON.stringify(what) });
}

/** `lateMs`: how late its timer is, or may be, by its own clock. */
export function recordState(cluster: Cluster, machine: Machine, lateMs: number): void {
  if (!machine.state) return;
  const { role, term } = cluster.core.view(machine.state);
  const leading = role.kind === 'leader';
  if (!leading) machine.leadsTerm = null;
  cluster.record(machine, { kind: 'state', term, leading, lateMs });
}
