// Admitting a node to a generation of the membership: the record under a lock, the rule from the election core, which the
// simulator runs too. Never admits without having recorded it.
import type { Member } from '../../contracts/environment.ts';
import { admit as judge } from '../raft/membership.ts';
import type { Queries, Query } from './pool.ts';

/** What the database remembers of the nodes that ever ran, and the last term that was claimed. */
export interface Recorded {
  readonly nodes: readonly { readonly id: string; readonly generation: number; readonly term: number }[];
  readonly fenceTerm: number;
}

export async function readRecorded(query: Query, what: string): Promise<Recorded> {
  const nodes = await query<{ id: string; generation: number; term: number }>(
    what,
    'SELECT node_id AS id, generation, term FROM members',
  );
  const [fence] = await query<{ term: number }>(what, 'SELECT term FROM fence WHERE id = 1');
  return { nodes, fenceTerm: fence?.term ?? 0 };
}

export interface Admitted {
  /** Of this node when it started the last time; null when it never did. */
  readonly recordedTerm: number | null;
  /** The highest term that is recorded: see nodes/raft/membership.ts. */
  readonly termAtLeast: number;
}

/** @throws Error saying why this start would not be safe and what to do about it. */
export async function admit(
  queries: Queries,
  node: {
    nodeId: string;
    generation: number;
    members: readonly Pick<Member, 'id' | 'voter'>[];
    term: number;
  },
): Promise<Admitted> {
  const { nodeId: id, generation, term } = node;
  const voters = node.members.filter(({ voter }) => voter).map((member) => member.id);
  const what = `admitting ${id}`;
  return queries.urgently(what, async (query) => {
    await query(what, 'BEGIN');
    try {
      // A node that freezes in here loses its session after two seconds, and the lock with it.
      await query(what, 'LOCK TABLE members IN EXCLUSIVE MODE');
      const { nodes, fenceTerm } = await readRecorded(query, what);
      const generations = await query<{ generation: number; voters: string[] }>(
        what,
        'SELECT generation, voters FROM generations',
      );
      const admission = judge(
        { id, generation, voters },
        {
          nodes: new Map(nodes.map((row) => [row.id, row])),
          votersOf: new Map(generations.map((row) => [row.generation, row.voters])),
          fenceTerm,
        },
      );
      if (admission.kind === 'refused') throw new Error(admission.reason);
      await query(
        what,
        'INSERT INTO generations (generation, voters) VALUES ($1, $2) ON CONFLICT (generation) DO NOTHING',
        [generation, voters.toSorted()],
      );
      await query(
        what,
        `INSERT INTO members (node_id, generation, term) VALUES ($1, $2, $3)
         ON CONFLICT (node_id) DO UPDATE SET generation = excluded.generation,
           term = greatest(members.term, excluded.term), seen_at = clock_timestamp()`,
        [id, generation, term],
      );
      await query(what, 'COMMIT');
      const { term: recordedTerm = null } = nodes.find((row) => row.id === id) ?? {};
      return { recordedTerm, termAtLeast: admission.termAtLeast };
    } catch (error) {
      // Without a connection there is nothing to roll back.
      await query(what, 'ROLLBACK').catch(() => undefined);
      throw error;
    }
  });
}
