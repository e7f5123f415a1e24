// The operator of a simulated cluster: brings it from one generation of its membership to the next by rolling
// restarts, one node at a time, and now and then tries what nodes have to refuse.
import type { NodeId } from '../../nodes/raft/types.ts';
import type { Chance } from './chance.ts';
import type { Machine } from './machine.ts';
import type { Member } from './plan.ts';

export type Order =
  | { readonly kind: 'start'; readonly id: NodeId; readonly generation: number }
  | { readonly kind: 'stop'; readonly id: NodeId };

/** How often it is in a hurry: one generation too far, or no stop for a removed node. */
const hasty = 0.1;

export class Operator {
  readonly #generations: readonly (readonly Member[])[];
  readonly #chance: Chance;
  /** The generation it brings the cluster to. */
  #target = 2;
  /** Removed and left running. */
  readonly #forgotten = new Set<NodeId>();

  constructor(generations: readonly (readonly Member[])[], chance: Chance) {
    this.#generations = generations;
    this.#chance = chance;
  }

  get done(): boolean {
    return this.#target > this.#generations.length;
  }

  next(machines: ReadonlyMap<NodeId, Machine>): Order | null {
    return this.#catchUp(machines) ?? this.#goOn(machines);
  }

  /** Where a start was refused meanwhile, that node runs where it ran before, and keeps all others from going further. */
  #catchUp(machines: ReadonlyMap<NodeId, Machine>): Order | null {
    for (let generation = 2; generation < this.#target; generation++)
      for (const { id } of this.#generations[generation - 1] ?? []) {
        const machine = machines.get(id);
        if (machine?.wanted && machine.state && machine.generation < generation && !this.#forgotten.has(id))
          return { kind: 'start', id, generation };
      }
    return null;
  }

  #goOn(machines: ReadonlyMap<NodeId, Machine>): Order | null {
    for (; !this.done; this.#target += 1) {
      const members = this.#generations[this.#target - 1] ?? [];
      const own = members.map(({ id }) => machines.get(id)).filter((machine) => machine !== undefined);
      const behind = own.filter(({ wanted, generation }) => !wanted || generation < this.#target);
      // A start may be refused, and then that node runs where it ran before: the last one is waited for.
      const mayHurry = behind.length > 0 || this.#target < this.#generations.length;
      if (
        own.some(({ wanted, state }) => wanted && state === null) &&
        !(mayHurry && this.#chance.happens(hasty))
      )
        return null;
      // Somebody new first: while nobody waits for it, its start disturbs nobody.
      const first = behind.find(({ bootCount }) => bootCount === 0) ?? behind[0];
      if (first) {
        const further = this.#generations[this.#target]?.some(({ id }) => id === first.id);
        const generation = this.#target + (further && this.#chance.happens(hasty) ? 1 : 0);
        return { kind: 'start', id: first.id, generation };
      }
      const leaving = [...machines.values()].find(
        ({ id, wanted }) => wanted && !members.some((member) => member.id === id) && !this.#forgotten.has(id),
      );
      if (!leaving) continue;
      if (!this.#chance.happens(hasty)) return { kind: 'stop', id: leaving.id };
      this.#forgotten.add(leaving.id);
    }
    return null;
  }
}
