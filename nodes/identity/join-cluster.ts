// How a node learns which cluster it belongs to, before it may vote: from the database, which made the cluster's uuid
// and keeps every member's generation; or, when the database is away, from its own vote file, if that is of this very
// generation. What was taken on trust is checked as soon as the database answers. Never votes and never writes items.
import { describeError, Failure } from '../../runtime/failure.ts';
import { pause } from '../../runtime/waiting.ts';
import type { Member } from '../../contracts/environment.ts';
import type { Store } from '../store.ts';

export interface ClusterDatabase {
  migrate(): Promise<void>;
  cluster(name: string): Promise<{ clusterId: string }>;
  /** The nodes that were ever admitted, and the generation each last ran in. */
  recorded(): Promise<{ nodes: readonly { readonly id: string; readonly generation: number }[] }>;
  /** @throws Error naming the member that is more than one generation away. */
  admit(node: {
    nodeId: string;
    generation: number;
    members: readonly Pick<Member, 'id' | 'voter'>[];
    /** The term in its vote file; 0 without one. */
    term: number;
  }): Promise<{ recordedTerm: number | null; termAtLeast: number }>;
}
interface Remembered {
  readonly clusterId: string;
  readonly generation: number;
  readonly term: number;
  readonly abstaining: boolean;
}
export interface JoinOptions {
  readonly database: ClusterDatabase;
  readonly cluster: string;
  readonly nodeId: string;
  readonly generation: number;
  readonly members: readonly Member[];
  /** What the vote file says, if there is one. */
  readonly remembered: Remembered | undefined;
  /** Does nothing where there is a vote file. */
  readonly makeFirstVoteFile: (of: { clusterId: string; nodeId: string }) => void;
  /** Makes it count as lost. */
  readonly setVoteFileAside: () => void;
  readonly report: (detail: string) => void;
  readonly tryEveryMs: number;
  readonly signal: AbortSignal;
}
export interface Joined {
  readonly clusterId: string;
  /** Of this node when it started the last time; null when it never did. 0 when the database was not asked. */
  readonly recordedTerm: number | null;
  /** The highest term recorded at this start; 0 when the database was not asked, as a restart needs none. */
  readonly termAtLeast: number;
  /**
   * Settles when the database has agreed; rejects when it is another cluster's, does not admit this node, or knows that its
   * vote file is an older one.
   */
  readonly agreed: Promise<void>;
}

/** Times as long as between other tries: who waits for locks holds others up behind it. */
const busyPauseFactor = 50;

/** @throws Error when the database refuses this node, or the signal is aborted before anybody could say. */
export async function joinCluster(options: JoinOptions): Promise<Joined> {
  const { remembered, generation } = options;
  let isAway = true;
  try {
    return { ...(await askDatabase(options)), agreed: Promise.resolve() };
  } catch (error) {
    if (!mayBeAskedAgain(error)) throw error;
    isAway = error.code !== 'BUSY';
    options.report(`the database is ${isAway ? 'away' : 'busy'}: ${describeError(error)}`);
  }
  // One that is busy has another schema in a moment: nothing is taken on trust there.
  if (!isAway || remembered?.generation !== generation)
    return { ...(await askUntilAnswered(options)), agreed: Promise.resolve() };
  const agreed = askUntilAnswered(options).then(({ recordedTerm }) => {
    const { term, abstaining } = remembered;
    if (abstaining || recordedTerm === null || recordedTerm <= term) return;
    // Terms that it voted in since may hide at the next start how old the file is.
    options.setVoteFileAside();
    throw new Error(
      `the vote file is older (term ${term}) than the last start of ${options.nodeId} (term ${recordedTerm}): it counts as lost, and this node abstains when it is started again`,
    );
  });
  return { clusterId: remembered.clusterId, recordedTerm: 0, termAtLeast: 0, agreed };
}

/**
 * A node that was started on trust may be elected, but writes nothing before the database has agreed: its schema may be that
 * of an older release. @throws Failure DATABASE_UNAVAILABLE until then.
 */
export function claimOnceAgreed(agreed: Promise<void>, claim: Store['claim']): Store['claim'] {
  let hasAgreed = false;
  agreed.then(
    () => (hasAgreed = true),
    () => undefined, // This node is about to stop.
  );
  return async (wanted) => {
    if (!hasAgreed)
      throw new Failure('DATABASE_UNAVAILABLE', 'the database has not agreed to the start of this node yet');
    return await claim(wanted);
  };
}

type Answer = Omit<Joined, 'agreed'>;

async function askDatabase(options: JoinOptions): Promise<Answer> {
  const { database, nodeId, generation, members } = options;
  await database.migrate();
  const { clusterId } = await database.cluster(options.cluster);
  const { nodes } = await database.recorded();
  refuseForeignDatabase(nodeId, options.remembered, { clusterId, nodes });
  // The file before the record: recorded without one, a start that ended in between would have lost its votes.
  if (!nodes.some(({ id }) => id === nodeId)) options.makeFirstVoteFile({ clusterId, nodeId });
  const term = options.remembered?.term ?? 0;
  return { clusterId, ...(await database.admit({ nodeId, generation, members, term })) };
}

/**
 * Before anything of this node is written there.
 * @throws Error when the database is not the one that the vote file knows, or is older than it.
 */
export function refuseForeignDatabase(
  nodeId: string,
  remembered: Pick<Remembered, 'clusterId' | 'generation'> | undefined,
  { clusterId, nodes }: { clusterId: string; nodes: readonly { readonly generation: number }[] },
): void {
  if (remembered === undefined) return;
  if (remembered.clusterId !== clusterId)
    throw new Error(
      `the vote file of ${nodeId} belongs to cluster ${remembered.clusterId}, the database to cluster ${clusterId}: wrong data folder or wrong database`,
    );
  // A generation is recorded before it stands in any vote file.
  const newest = Math.max(...nodes.map(({ generation }) => generation));
  if (nodes.length > 0 && newest < remembered.generation)
    throw new Error(
      `the vote file of ${nodeId} has seen generation ${remembered.generation} of the membership, the database knows ${newest} at most: it was restored from before that. Stop all nodes, and see docs/runbook.md, Restoring the database`,
    );
}

async function askUntilAnswered(options: JoinOptions): Promise<Answer> {
  let waitMs = options.tryEveryMs;
  for (;;) {
    await pause(waitMs, options.signal);
    if (options.signal.aborted) throw new Error('stopped before the database answered');
    try {
      return await askDatabase(options);
    } catch (error) {
      if (!mayBeAskedAgain(error)) throw error;
      waitMs = options.tryEveryMs * (error.code === 'BUSY' ? busyPauseFactor : 1);
    }
  }
}

function mayBeAskedAgain(error: unknown): error is Failure {
  return (
    error instanceof Failure && ['DATABASE_UNAVAILABLE', 'DATABASE_TIMEOUT', 'BUSY'].includes(error.code)
  );
}
