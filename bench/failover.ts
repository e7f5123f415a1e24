// How long a cluster is without a leader: when its process dies, when it falls silent, when it hands over. Our elections
// and etcd's take turns in one run, with the same timeouts; a round of ours here is nodes that elect and do nothing else.
// What a whole node adds (the claim in the database, the first write elsewhere) is in failover-system.ts.
import { RaftCluster } from '../test/support/raft-cluster.ts';
import { hasQuantile, measured, quantile, round, unmeasured, type Bench, type Result } from './bench.ts';
import { noRounds, playRound, type Loss, type Rounds } from './election-rounds.ts';
import { measureSystem } from './failover-system.ts';
import type { ClusterOptions, ElectingCluster } from './peers/electing-cluster.ts';
import { EtcdCluster, findEtcd } from './peers/etcd-cluster.ts';
import { costOf } from './process-cost.ts';
import { measureSteadiness } from './steadiness.ts';

const timeouts = [
  { heartbeatMs: 15, electionTimeoutMs: 150 },
  { heartbeatMs: 100, electionTimeoutMs: 1_000 },
];
const sizes = [3, 5];
const losses: readonly Loss[] = ['kill -9', 'SIGSTOP', 'hand-over'];
const costSizes = [3, 5, 7];
const costWatchMs = 5_000;
const termsShareMax = 0.01;

/** By name of the statistic; of etcd's in the same run, or in timeouts. */
interface Goal {
  readonly ofPeer?: number;
  readonly inTimeouts?: number;
}

export const bench: Bench = async ({ rounds }) => {
  const etcd = findEtcd();
  const results: Result[] = [];
  const pooled = { ours: noRounds(), etcd: noRounds() };
  for (const { heartbeatMs, electionTimeoutMs } of timeouts)
    for (const nodes of sizes) {
      const options = { nodes, heartbeatMs, electionTimeoutMs };
      for (const [loss, played] of await playBoth(options, rounds, etcd !== undefined)) {
        results.push(...electedResults(loss, options, played));
        pool(pooled.ours, played.ours);
        pool(pooled.etcd, played.etcd);
      }
    }
  results.push(...steadiness(pooled));
  results.push(...(await measureSteadiness({ rounds })));
  results.push(...(await idleCosts()));
  results.push(...(await measureSystem({ rounds })));
  return etcd === undefined ? [missingEtcd(), ...results] : results;
};

interface Played {
  readonly ours: Rounds;
  readonly etcd: Rounds;
}

async function playBoth(
  options: ClusterOptions,
  rounds: number,
  withEtcd: boolean,
): Promise<Map<Loss, Played>> {
  const clusters: { of: keyof Played; cluster: ElectingCluster }[] = [];
  const played = new Map<Loss, Played>();
  try {
    clusters.push({ of: 'ours', cluster: await RaftCluster.start({ ...options, links: false }) });
    if (withEtcd) clusters.push({ of: 'etcd', cluster: await EtcdCluster.start(options) });
    for (const loss of losses) {
      const both = { ours: noRounds(), etcd: noRounds() };
      for (let turn = 0; turn < rounds; turn++)
        for (const { of, cluster } of clusters) await playRound(cluster, loss, options, both[of]);
      played.set(loss, both);
    }
  } finally {
    await Promise.all(clusters.map(({ cluster }) => cluster.close()));
  }
  return played;
}

function electedResults(loss: Loss, options: ClusterOptions, { ours, etcd }: Played): Result[] {
  const { nodes, heartbeatMs, electionTimeoutMs } = options;
  const statistics: [string, number][] = [
    ['p50', 0.5],
    ['p95', 0.95],
    ['p99', 0.99],
    ['max', 1],
  ];
  return statistics.flatMap(([name, share]): Result[] => {
    if (!hasQuantile(ours.elected, share)) return [];
    const ms = quantile(ours.elected, share);
    const peerMs = hasQuantile(etcd.elected, share) ? quantile(etcd.elected, share) : null;
    const goal = goalOf(loss, name, electionTimeoutMs);
    const inTimeouts = (value: number): string => (value / electionTimeoutMs).toFixed(2);
    return [
      {
        what: `${loss}, ${nodes} nodes at ${heartbeatMs}/${electionTimeoutMs}: elected ${name}, ${inTimeouts(ms)} timeouts${peerMs === null ? '' : ` (etcd ${inTimeouts(peerMs)})`}`,
        unit: 'ms',
        ours: round(ms, 1),
        peer: peerMs === null ? null : round(peerMs, 1),
        ratio: peerMs === null ? null : round(ms / peerMs, 3),
        ...judge(goal, { ms, peerMs, electionTimeoutMs }),
      },
    ];
  });
}

function goalOf(loss: Loss, statistic: string, electionTimeoutMs: number): Goal {
  switch (loss) {
    case 'kill -9':
      return statistic === 'p50' ? { ofPeer: electionTimeoutMs <= 150 ? 1 / 5 : 1 / 30 } : {};
    case 'SIGSTOP':
      if (statistic === 'p50') return { inTimeouts: 1.05 };
      if (statistic === 'p95') return { inTimeouts: 1.2 };
      return statistic === 'p99' ? { inTimeouts: 1.6 } : {};
    case 'hand-over':
      if (statistic === 'p50') return { ofPeer: 0.7 };
      return statistic === 'p95' ? { ofPeer: 0.8 } : {};
  }
}

function judge(
  { ofPeer, inTimeouts }: Goal,
  { ms, peerMs, electionTimeoutMs }: { ms: number; peerMs: number | null; electionTimeoutMs: number },
): Pick<Result, 'goal' | 'met'> {
  if (inTimeouts !== undefined)
    return { goal: `<= ${inTimeouts} timeouts`, met: ms <= inTimeouts * electionTimeoutMs };
  if (ofPeer === undefined || peerMs === null) return { goal: null, met: null };
  return { goal: `<= ${round(ofPeer, 3)} of etcd`, met: ms <= ofPeer * peerMs };
}

function steadiness({ ours, etcd }: Played): Result[] {
  const rows = (of: Rounds) => ({
    terms: of.terms.filter((terms) => terms > 1).length / of.terms.length,
    spurious: of.spurious,
    refused: of.refused.length,
  });
  const [own, peer] = [rows(ours), etcd.terms.length > 0 ? rows(etcd) : null];
  const row = (
    what: string,
    of: keyof typeof own,
    goal: Pick<Result, 'goal' | 'met'>,
    unit = '',
  ): Result => ({
    what,
    unit,
    ours: round(own[of], 3),
    peer: peer && round(peer[of], 3),
    ratio: null,
    ...goal,
  });
  return [
    row(`of ${ours.terms.length} rounds, share that needed more than one term`, 'terms', {
      goal: `<= ${termsShareMax}`,
      met: own.terms <= termsShareMax,
    }),
    row('changes of leadership without cause', 'spurious', { goal: '0', met: own.spurious === 0 }),
    row('hand-overs that came to nothing', 'refused', { goal: null, met: null }),
  ];
}

async function idleCosts(): Promise<Result[]> {
  const results: Result[] = [];
  for (const nodes of costSizes) {
    const cluster = await RaftCluster.start({ nodes, heartbeatMs: 15, electionTimeoutMs: 150, links: false });
    try {
      const cost = await costOf(
        cluster.ids.map((id) => cluster.pid(id)),
        costWatchMs,
      );
      if (cost)
        results.push(
          measured(
            `election alone, ${nodes} nodes at 15/150, idle: a node's share of a core (and ${round(cost.rssMb)} MB)`,
            '%',
            cost.cpu,
            nodes === 3 ? 2 : undefined,
          ),
        );
    } finally {
      await cluster.close();
    }
  }
  return results;
}

function pool(into: Rounds, from: Rounds): void {
  into.elected.push(...from.elected);
  into.terms.push(...from.terms);
  into.refused.push(...from.refused);
  into.spurious += from.spurious;
}

const missingEtcd = (): Result =>
  unmeasured('etcd is not installed, so ours ran alone (apt-get install etcd-server)', '');
