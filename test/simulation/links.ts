// The network between simulated nodes: which links are cut, and how late, how often and whether a datagram arrives.
import type { NodeId } from '../../nodes/raft/types.ts';
import type { Chance } from './chance.ts';
import type { Fault } from './plan.ts';

type Noise = Extract<Fault, { kind: 'noise' }>;

/** In average delays: what takes longer counts as lost. */
const delaysMax = 6;

export class Links {
  readonly #chance: Chance;
  readonly #latencyMs: number;
  /** How many faults cut each link at present, by `from>to`. */
  readonly #cuts = new Map<string, number>();
  /** The noises that last, the newest last. */
  readonly #noises: { readonly noise: Noise; readonly links: ReadonlySet<string> | null }[] = [];

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
  disturb(noise: Noise): () => void {
    const links = noise.links && new Set(noise.links.map(([from, to]) => `${from}>${to}`));
    const entry = { noise, links };
    this.#noises.push(entry);
    return () => {
      this.#noises.splice(this.#noises.indexOf(entry), 1);
    };
  }

  /** How long each copy of a datagram is under way; none when it is lost. */
  travelTimes(from: NodeId, to: NodeId): number[] {
    if (this.isCut(from, to)) return [];
    const chance = this.#chance;
    const calmMs = (): number => this.#latencyMs * (1 + chance.next());
    const noise = this.#noises.findLast(({ links }) => links === null || links.has(`${from}>${to}`))?.noise;
    if (!noise) return [calmMs()];
    if (chance.happens(noise.loss)) return [];
    const copies = Array.from(
      { length: chance.happens(noise.duplicate) ? 2 : 1 },
      () => -Math.log1p(-chance.next()),
    );
    return copies.filter((delays) => delays < delaysMax).map((delays) => calmMs() + noise.delayMs * delays);
  }
}
