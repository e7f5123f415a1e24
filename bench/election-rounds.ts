// One way of losing a leader, many times over, on one cluster: how long until the next one says so, how many terms that
// took, and which changes nobody asked for.
import { describeError } from '../runtime/failure.ts';
import type { ClusterOptions, ElectingCluster } from './peers/electing-cluster.ts';

export type Loss = 'kill -9' | 'SIGSTOP' | 'hand-over';

export interface Rounds {
  /** From the loss to the next leader's line, ms. */
  readonly elected: number[];
  /** Terms each round used; one is the least. */
  readonly terms: number[];
  /** Terms that passed between the rounds, without cause. */
  spurious: number;
  /** Hand-overs that the leader refused, or that came to nothing. */
  readonly refused: string[];
}
export const noRounds = (): Rounds => ({ elected: [], terms: [], spurious: 0, refused: [] });

const pause = (ms: number) => new Promise((resolve) => setTimeout(resolve, ms));

export async function playRound(
  cluster: ElectingCluster,
  loss: Loss,
  { heartbeatMs, electionTimeoutMs }: ClusterOptions,
  rounds: Rounds,
): Promise<void> {
  const calm = await cluster.settled();
  // Long enough for all to be heard again, and then any moment between two heartbeats.
  await pause(1.5 * electionTimeoutMs + Math.random() * heartbeatMs);
  const before = await cluster.settled();
  rounds.spurious += before.term - calm.term;
  const lostAt = await lose(cluster, loss, before.id, rounds);
  if (lostAt === undefined) return;
  const next = await cluster.elections.after(before.term, 20 * electionTimeoutMs);
  rounds.elected.push(next.at - lostAt);
  rounds.terms.push(next.term - before.term);
  if (loss === 'kill -9') await cluster.restart(before.id);
  if (loss === 'SIGSTOP') cluster.signal(before.id, 'SIGCONT');
  const after = await cluster.settled();
  rounds.spurious += after.term - next.term;
}

/** @returns when; undefined: the leader did not let go. */
async function lose(
  cluster: ElectingCluster,
  loss: Loss,
  leader: string,
  rounds: Rounds,
): Promise<number | undefined> {
  if (loss !== 'hand-over') {
    const at = performance.now();
    cluster.signal(leader, loss === 'kill -9' ? 'SIGKILL' : 'SIGSTOP');
    return at;
  }
  const others = cluster.ids.filter((id) => id !== leader);
  try {
    return await cluster.transfer(leader, others[Math.floor(Math.random() * others.length)] ?? '');
  } catch (error) {
    rounds.refused.push(describeError(error));
    return undefined;
  }
}
