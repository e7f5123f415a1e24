// `baton nodes`: each node as it sees itself, and how long ago the leader heard it; what `status` has no room for.
import type { ClusterView, RoleView } from '../../contracts/public-api.ts';
import { readCluster } from '../cluster/read-cluster.ts';
import type { NodeStatus, SystemStatus } from '../cluster/status.ts';
import { plural, table, timeText } from './table.ts';

export type RunsAs =
  | { readonly kind: 'process'; readonly pid: number }
  /** `definition`: with its revision, which is another one for every release. */
  | {
      readonly kind: 'task';
      readonly id: string;
      readonly definition: string;
      readonly since: string | null;
    };
export interface NodeDetail {
  readonly id: string;
  /** As the election sees it; `unknown` when it does not answer. */
  readonly role: RoleView['kind'] | 'unknown';
  /** As writes see it, and as `status` says it. */
  readonly state: NodeStatus['state'];
  readonly term: number | null;
  readonly generation: number | null;
  /** False while it abstains, having lost its vote file. */
  readonly votes: boolean | null;
  /** Since the leader heard it; null for the leader itself, and when nobody says. */
  readonly heardMsAgo: number | null;
  /** Null when it does not run, or nobody says. */
  readonly runsAs: RunsAs | null;
  readonly health: NodeStatus['health'];
  readonly problems: NodeStatus['problems'];
  readonly url: string;
}

/** `runsAs`: what is known of a node's process beside what `status` says. */
export async function nodeDetails(
  { nodes, leader }: Pick<SystemStatus, 'nodes' | 'leader'>,
  { withinMs, runsAs = ofProcess }: { withinMs: number; runsAs?: (node: NodeStatus) => RunsAs | null },
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
      heardMsAgo: rounded(heard.get(node.id)),
      runsAs: runsAs(node),
      health: node.health,
      problems: node.problems,
      url: node.url,
    };
  });

  /** Undefined when it does not answer, or when another one answers in its name. */
  async function look({ id, url, health }: NodeStatus): Promise<ClusterView | undefined> {
    if (health !== 'ok') return undefined;
    const view = await readCluster(url, { withinMs }).catch(() => undefined);
    return view?.nodeId === id ? view : undefined;
  }
}

/** What says nothing of any node is left out, so that a line fits into a terminal: a state that repeats the role, and good health. */
export function nodesText(nodes: readonly NodeDetail[]): string {
  const known = (value: number | null): string => (value === null ? '?' : String(value));
  const columns: readonly (readonly [title: string, of: (node: NodeDetail) => string])[] = [
    ['NODE', ({ id }) => id],
    ['ROLE', ({ role }) => role],
    ['STATE', ({ role, state }) => (usualStates[role] === state ? '' : state)],
    ['HEALTH', healthText],
    ['TERM', ({ term }) => known(term)],
    ['GEN', ({ generation }) => known(generation)],
    ['VOTES', ({ votes }) => (votes === null ? '?' : votes ? 'yes' : 'no')],
    ['HEARD', heardText],
    ['RUNS AS', ({ runsAs }) => runsText(runsAs)],
    ['URL', ({ url }) => url],
  ];
  const shown = columns.filter(([_title, of]) => nodes.some((node) => of(node) !== ''));
  return table(
    shown.map(([title]) => title),
    nodes.map((node) => shown.map(([_title, of]) => of(node))),
  );
}

const usualStates: Partial<Record<NodeDetail['role'], NodeDetail['state']>> = {
  leader: 'leading',
  follower: 'following',
  learner: 'following',
};

function heardText({ role, heardMsAgo }: NodeDetail): string {
  if (role === 'leader') return '-';
  return heardMsAgo === null ? '?' : `${heardMsAgo} ms ago`;
}

/** Of one that answers, how much it has to say in `status`. */
function healthText({ health, problems }: NodeDetail): string {
  if (health !== 'ok') return health;
  return problems.length === 0 ? '' : plural(problems.length, 'problem');
}
function rounded(ms: number | null | undefined): number | null {
  return ms === null || ms === undefined ? null : Math.round(ms);
}
function ofProcess({ pid }: NodeStatus): RunsAs | null {
  return pid === null ? null : { kind: 'process', pid };
}
function runsText(runsAs: RunsAs | null): string {
  switch (runsAs?.kind) {
    case undefined:
      return '?';
    case 'process':
      return `pid ${runsAs.pid}`;
    case 'task':
      return `${runsAs.definition}${runsAs.since === null ? '' : ` since ${timeText(runsAs.since)}`}`;
  }
}
function ownEntry({ nodeId, members }: ClusterView): ClusterView['members'][number] | undefined {
  return members.find(({ id }) => id === nodeId);
}
