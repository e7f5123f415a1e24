// `baton nodes`: each node as it sees itself, and how long ago the leader heard it; what `status` has no room for.
import type { NodeStatus, SystemStatus } from '../status.ts';
import { readCluster, type SeenCluster } from '../cluster-view.ts';
import { table } from './table.ts';

export interface NodeDetail {
  readonly id: string;
  /** `leader`, `candidate`, `follower`, `learner`, as the election sees it; `unknown` when it does not answer. */
  readonly role: string;
  /** `leading`, `waiting`, `following`, `resigned`: as writes see it. */
  readonly state: string;
  readonly term: number | null;
  readonly generation: number | null;
  /** False while it abstains, having lost its vote file. */
  readonly votes: boolean | null;
  /** Since the leader heard it; null for the leader itself, and when nobody says. */
  readonly heardMsAgo: number | null;
  /** A process id, or on AWS a task with its task definition, which is the release. */
  readonly runs: string | null;
  readonly health: NodeStatus['health'];
  readonly url: string;
}

/** `runsAs`: what is known of a node's process beside what `status` says. */
export async function nodeDetails(
  { nodes, leader }: Pick<SystemStatus, 'nodes' | 'leader'>,
  { withinMs, runsAs = ofProcess }: { withinMs: number; runsAs?: (node: NodeStatus) => string | null },
): Promise<NodeDetail[]> {
  const seen = new Map(await Promise.all(nodes.map(async (node) => [node.id, await look(node)] as const)));
  const heard = new Map(
    (leader === null ? undefined : seen.get(leader))?.members.map(({ id, lastContactMs }) => [
      id,
      lastContactMs,
    ]),
  );
  return nodes.map((node) => {
    const view = seen.get(node.id);
    return {
      id: node.id,
      role: view?.role.kind ?? 'unknown',
      state: view?.state.kind ?? 'unknown',
      term: view?.term ?? null,
      generation: view?.generation ?? null,
      votes: view ? !view.abstaining && (ownEntry(view)?.voter ?? true) : null,
      heardMsAgo: heard.get(node.id) ?? null,
      runs: runsAs(node),
      health: node.health,
      url: node.url,
    };
  });

  /** Undefined when it does not answer, or when another one answers in its name. */
  async function look({ id, url, health }: NodeStatus): Promise<SeenCluster | undefined> {
    if (health !== 'ok') return undefined;
    const view = await readCluster(url, { withinMs }).catch(() => undefined);
    return view?.nodeId === id ? view : undefined;
  }
}

export function nodesText(nodes: readonly NodeDetail[]): string {
  const known = (value: number | null): string => (value === null ? '?' : String(value));
  return table(
    ['NODE', 'ROLE', 'STATE', 'TERM', 'GENERATION', 'VOTES', 'HEARD', 'HEALTH', 'URL', 'RUNS AS'],
    nodes.map(({ id, role, state, term, generation, votes, heardMsAgo, health, url, runs }) => [
      id,
      role,
      state,
      known(term),
      known(generation),
      votes === null ? '?' : votes ? 'yes' : 'no',
      role === 'leader' ? '-' : heardMsAgo === null ? '?' : `${Math.round(heardMsAgo)} ms ago`,
      health,
      url,
      runs ?? '?',
    ]),
  );
}

function ofProcess({ pid }: NodeStatus): string | null {
  return pid === null ? null : `pid ${pid}`;
}
function ownEntry({ nodeId, members }: SeenCluster): SeenCluster['members'][number] | undefined {
  return members.find(({ id }) => id === nodeId);
}
