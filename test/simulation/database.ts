// The one database of a simulated cluster: the fence, and the record of who runs in which generation. The twin of claim_fence
// and hold_fence, which are tried against PostgreSQL (test/integration/database/fencing.test.ts). Never fails by itself:
// whether a node reaches it is the node's matter.
import type { NodeId } from '../../nodes/raft/types.ts';
import type { admit, Admission, StartRequest } from '../../nodes/raft/membership.ts';

export class Database {
  readonly #admit: typeof admit;
  readonly #nodes = new Map<NodeId, { generation: number; term: number }>();
  readonly #votersOf = new Map<number, readonly NodeId[]>();
  /** Those that were taken, each of a higher term than the one before. */
  #claims: readonly { readonly term: number; readonly holder: string }[] = [];

  constructor(rule: typeof admit) {
    this.#admit = rule;
  }

  get fenceTerm(): number {
    return this.#claims.at(-1)?.term ?? 0;
  }

  /** False: somebody else claimed this term, or a later one was claimed. Asked again by its holder it is claimed again. */
  claim(term: number, holder: string): boolean {
    const last = this.#claims.at(-1);
    if (last?.term === term && last.holder === holder) return true;
    if (term <= this.fenceTerm) return false;
    this.#claims = [...this.#claims, { term, holder }];
    return true;
  }

  /** A standby that had not seen the last claims becomes the primary. */
  loseClaims(count: number): void {
    this.#claims = this.#claims.slice(0, -count);
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
