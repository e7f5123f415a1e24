// The network between simulated nodes: which links are cut, and how late, how often and whether a datagram arrives.
import type { NodeId } from '../../nodes/raft/types.ts';
import type { Chance } from './chance.ts';
import type { Fault } from './plan.ts';

const calm = { loss: 0, duplicate: 0, delayMs: 0 };

export class Links {
  readonly #chance: Chance;
  readonly #latencyMs: number;
  /** How many faults cut each link at present, by `from>to`. */
  readonly #cuts = new Map<string, number>();
  #noise: { readonly loss: number; readonly duplicate: number; readonly delayMs: number } = calm;

  constructor(chance: Chance, latencyMs: number) {
    this.#chance = chance;
    this.#latencyMs = latencyMs;
  }

  isCut(from: NodeId, to: NodeId): boolean {
    return (this.#cuts.get(`${from}>${to}`) ?? 0) > 0;
  }

  /** @returns what undoes it. */
  cut(links: readonly (readonly [NodeId, NodeId])[]): () => void {
    const names = links.map(([from, to]) => `${from}>${to}`);
    for (const name of names) this.#cuts.set(name, (this.#cuts.get(name) ?? 0) + 1);
    return () => {
      for (const name of names) this.#cuts.set(name, (this.#cuts.get(name) ?? 0) - 1);
    };
  }

  /** @returns what undoes it. */
  disturb(noise: Extract<Fault, { kind: 'noise' }>): () => void {
    this.#noise = noise;
    return () => {
      if (this.#noise === noise) this.#noise = calm;
    };
  }

  /** How long each copy of a datagram is under way; none when it is lost. */
  travelTimes(from: NodeId, to: NodeId): number[] {
    const { loss, duplicate, delayMs } = this.#noise;
    if (this.isCut(from, to) || (loss > 0 && this.#chance.happens(loss))) return [];
    const copies = duplicate > 0 && this.#chance.happens(duplicate) ? 2 : 1;
    return Array.from(
      { length: copies },
      () => this.#latencyMs * (1 + this.#chance.next()) + delayMs * this.#chance.next() ** 3,
    );
  }
}
