// The one database of a simulated cluster: the fence, and the record of who runs in which generation. Never fails by
// itself: whether a node reaches it is the node's matter.
import type { NodeId } from '../../nodes/raft/types.ts';
import type { admit, Admission, StartRequest } from '../../nodes/raft/membership.ts';

export class Database {
  readonly #admit: typeof admit;
  readonly #nodes = new Map<NodeId, { generation: number; term: number }>();
  readonly #votersOf = new Map<number, readonly NodeId[]>();
  fenceTerm = 0;

  constructor(rule: typeof admit) {
    this.#admit = rule;
  }

  /** False: this term or a later one was claimed before. */
  claim(term: number): boolean {
    if (term <= this.fenceTerm) return false;
    this.fenceTerm = term;
    return true;
  }

  /** A fenced write, when it lands: false once another term was claimed. */
  store(term: number): boolean {
    return term === this.fenceTerm;
  }

  ranIn(id: NodeId): number | undefined {
    return this.#nodes.get(id)?.generation;
  }

  /** Records the start when it may be; `term` is what its vote file says. */
  admit(start: StartRequest, term: number): Admission {
    const { fenceTerm } = this;
    const admission = this.#admit(start, { nodes: this.#nodes, votersOf: this.#votersOf, fenceTerm });
    if (admission.kind === 'refused') return admission;
    const known = this.#nodes.get(start.id)?.term ?? 0;
    this.#nodes.set(start.id, { generation: start.generation, term: Math.max(term, known) });
    this.#votersOf.set(start.generation, start.voters);
    return admission;
  }
}
