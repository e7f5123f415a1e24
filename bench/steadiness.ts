// What must not change who leads: a main thread that stands still, a follower that restarts, one that is cut off and comes
// back, a bad network. Real processes, reached through fault links; each trial counts the terms that passed.
import { RaftCluster } from '../test/support/raft-cluster.ts';
import { hasQuantile, quantile, round, type Result } from './bench.ts';
import { noRounds, playRound } from './election-rounds.ts';

/** Stalls are twice the timeout. */
const stall = { timeouts: { nodes: 3, heartbeatMs: 10, electionTimeoutMs: 100 }, ms: 200 };
const usual = { nodes: 3, heartbeatMs: 15, electionTimeoutMs: 150 };
const badNetwork = ['loss all 30%', 'duplicate all 50%', 'delay all 20ms+-20'];
/** A hundred rounds make ten minutes of it. */
const badNetworkMsPerRound = 6_000;
const spuriousMax = 1;
const badNetworkTimeoutsMax = 3;

type Trial = (nodes: { readonly leader: string; readonly follower: string }) => Promise<void>;
const pause = (ms: number) => new Promise<void>((resolve) => setTimeout(resolve, ms));

export async function measureSteadiness({ rounds }: { rounds: number }): Promise<Result[]> {
  return [
    ...(await inCluster(stall.timeouts, async (cluster) => [
      await trials(
        cluster,
        rounds,
        `the leader's main thread stalls ${stall.ms} ms at a timeout of 100 ms`,
        async ({ leader }) => {
          cluster.hang(leader, stall.ms);
          await pause(2 * stall.ms);
        },
      ),
      await trials(
        cluster,
        rounds,
        `a follower's main thread stalls ${stall.ms} ms at a timeout of 100 ms`,
        async ({ follower }) => {
          cluster.hang(follower, stall.ms);
          await pause(2 * stall.ms);
        },
      ),
    ])),
    ...(await inCluster(usual, async (cluster) => [
      await trials(cluster, rounds, 'a follower is killed and starts again', ({ follower }) =>
        cluster.restart(follower),
      ),
      await trials(
        cluster,
        rounds,
        'a follower is cut off for four timeouts and returns',
        async ({ follower }) => {
          await cluster.chaos(`partition ${follower}`);
          await pause(4 * usual.electionTimeoutMs);
          await cluster.chaos('heal');
          await pause(2 * usual.electionTimeoutMs);
        },
      ),
      ...(await inBadNetwork(cluster, rounds)),
    ])),
  ];
}

async function inCluster(
  options: typeof usual,
  measure: (cluster: RaftCluster) => Promise<Result[]>,
): Promise<Result[]> {
  const cluster = await RaftCluster.start({ ...options, links: true });
  try {
    return await measure(cluster);
  } finally {
    await cluster.close();
  }
}

async function trials(cluster: RaftCluster, count: number, what: string, trial: Trial): Promise<Result> {
  let changes = 0;
  for (let turn = 0; turn < count; turn++) {
    const before = await cluster.settled();
    const follower = cluster.ids.find((id) => id !== before.id) ?? '';
    await trial({ leader: before.id, follower });
    changes += (await cluster.settled()).term - before.term;
  }
  return {
    what: `${what}: elections in ${count} trials`,
    unit: '',
    ours: changes,
    peer: null,
    ratio: null,
    goal: '0',
    met: changes === 0,
  };
}

async function inBadNetwork(cluster: RaftCluster, rounds: number): Promise<Result[]> {
  const before = await cluster.settled();
  for (const fault of badNetwork) await cluster.chaos(fault);
  const ms = rounds * badNetworkMsPerRound;
  await pause(ms);
  const spurious = (cluster.elections.last?.term ?? before.term) - before.term;
  const losses = noRounds();
  for (let turn = 0; turn < rounds; turn++) await playRound(cluster, 'kill -9', usual, losses);
  await cluster.chaos('heal');
  const share = hasQuantile(losses.elected, 0.95) ? 0.95 : 1;
  const slowest = quantile(losses.elected, share) / usual.electionTimeoutMs;
  const name = 'loss 30 %, duplicates 50 %, jitter 20 ms at 15/150';
  return [
    {
      what: `${name}: changes without cause in ${ms / 1_000} s`,
      unit: '',
      ours: spurious,
      peer: null,
      ratio: null,
      goal: `<= ${spuriousMax}`,
      met: spurious <= spuriousMax,
    },
    {
      what: `${name}: kill -9, elected ${share === 1 ? 'max' : 'p95'}`,
      unit: 'timeouts',
      ours: round(slowest, 2),
      peer: null,
      ratio: null,
      goal: `<= ${badNetworkTimeoutsMax} timeouts`,
      met: slowest <= badNetworkTimeoutsMax,
    },
  ];
}
