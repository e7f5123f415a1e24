// Who may start in which generation of the membership. Generations change one voter at a time, and any two that run
// at the same time are neighbours: then every majority of one shares a voter with every majority of the other, and that
// voter's one vote a term decides (dissertation 4.1). Two that are further apart can elect two leaders in one term, even
// one after the other; so each node records its term when it starts, and who enters a generation begins with the highest
// one recorded: a majority of the generation before the last has recorded the terms it voted in by then.
// Pure: the record of who runs, or last ran, in which generation is kept by the caller, under a lock.
import type { NodeId } from './types.ts';

/** What is recorded when a node asks to start. A node writes its own entry under the same lock, before it may vote. */
export interface MembershipRecord {
  /** By node: the generation it runs in or last ran in, and its term when it started there. Only nodes that ever ran. */
  readonly nodes: ReadonlyMap<NodeId, { readonly generation: number; readonly term: number }>;
  /** The voters of each generation that any node ever started in. */
  readonly votersOf: ReadonlyMap<number, readonly NodeId[]>;
  /** The last term that was claimed. */
  readonly fenceTerm: number;
}

export interface StartRequest {
  readonly id: NodeId;
  readonly generation: number;
  readonly voters: readonly NodeId[];
}

export type Admission =
  | { readonly kind: 'admitted'; readonly termAtLeast: number }
  /** Why this start would not be safe, and what to do about it. */
  | { readonly kind: 'refused'; readonly reason: string };

/** Once admitted and recorded, with its term, a node may start. */
export function admit(start: StartRequest, record: MembershipRecord): Admission {
  const reason = refusalOf(start, record);
  if (reason !== null) return { kind: 'refused', reason };
  const terms = [...record.nodes.values()].map(({ term }) => term);
  return { kind: 'admitted', termAtLeast: Math.max(0, record.fenceTerm, ...terms) };
}

function refusalOf(
  { id, generation, voters }: StartRequest,
  { nodes, votersOf }: MembershipRecord,
): string | null {
  const own = nodes.get(id)?.generation;
  const wanted = `${id} is configured for generation ${generation} of the membership`;
  if (own !== undefined && generation < own)
    return `${wanted}, but has run in ${own}: the generation never falls. Give it the members of generation ${own}`;
  const known = votersOf.get(generation);
  if (known && !sameSet(known, voters))
    return `${wanted} with the voters ${list(voters)}, but that generation has the voters ${list(known)}: a change of voters needs the next number`;
  if (known === undefined && votersOf.size > 0) {
    const newest = newestOf(votersOf);
    if (generation !== newest + 1)
      return `${wanted}, but the newest one is ${newest}: change one voter at a time, and go to ${newest + 1} first`;
  }
  for (const [other, ran] of nodes)
    if (ran.generation > generation + 1)
      return `${wanted}, but ${other} has gone on to ${ran.generation}: give it the members of generation ${newestOf(votersOf)}, or leave it stopped when it was removed`;
  const before = votersOf.get(generation - 1);
  if (before === undefined) return null;
  if (changes(before, voters) > 1)
    return `${wanted} with the voters ${list(voters)}, but generation ${generation - 1} has ${list(before)}: change one voter at a time`;
  for (const other of new Set([...before, ...voters])) {
    // Its own former start has ended: one process per identity.
    const ran = other === id ? undefined : nodes.get(other)?.generation;
    if (ran !== undefined && ran < generation - 1)
      return `${wanted}, but ${other} runs or last ran in ${ran}: bring it to generation ${generation - 1} first`;
  }
  return null;
}

const newestOf = (votersOf: ReadonlyMap<number, unknown>): number => Math.max(...votersOf.keys());
const list = (ids: readonly NodeId[]): string => [...ids].sort().join(', ');

function changes(one: readonly NodeId[], other: readonly NodeId[]): number {
  return one.filter((id) => !other.includes(id)).length + other.filter((id) => !one.includes(id)).length;
}
const sameSet = (one: readonly NodeId[], other: readonly NodeId[]): boolean => changes(one, other) === 0;
