// Cases that a storm meets too seldom to rely on: each builds one situation on a whole cluster and says what came of it.
import type { NodeId } from '../../nodes/raft/types.ts';
import type { Core } from './core.ts';
import type { Fault, Member, Plan } from './plan.ts';
import { Cluster } from './cluster.ts';
import { Violation } from './trace/rules.ts';

/** For ever, as far as a scenario is concerned. */
const longMs = 1e6;
const timeoutMs = 100;

function planOf(voters: number): Plan {
  return {
    seed: 4_711,
    generations: [
      Array.from({ length: voters }, (_, index) => ({ id: `n${index + 1}`, voter: true, priority: 50 })),
    ],
    operatorPaceTimeouts: 1,
    clockDrift: 0,
    electionTimeoutMs: timeoutMs,
    heartbeatMs: 20,
    latencyMs: 0.5,
    evidence: 0,
    faults: [],
    calmAt: longMs,
    leftOut: null,
  };
}

/** A cluster that agrees on a leader and has had a few heartbeats since. */
function calmCluster(voters: number, core: Core, over: Partial<Plan> = {}) {
  const cluster = new Cluster({ ...planOf(voters), ...over }, core);
  cluster.run(20 * timeoutMs, () => cluster.agreed());
  runFor(cluster, 1);
  const leader = cluster.leaders()[0];
  if (leader === undefined)
    throw new Violation('a calm cluster agrees on a leader', 'no leader to begin with');
  const followers = [...cluster.machines.keys()].filter((id) => id !== leader);
  return { cluster, leader, followers, term: termOf(cluster, leader) };
}

const runFor = (cluster: Cluster, timeouts: number): void =>
  cluster.run(cluster.timeline.now + timeouts * timeoutMs);

function viewOf(cluster: Cluster, id: NodeId) {
  const state = cluster.machines.get(id)?.state;
  if (!state) throw new Error(`${id} is down`);
  return cluster.core.view(state);
}
const termOf = (cluster: Cluster, id: NodeId): number => viewOf(cluster, id).term;

const down = (who: NodeId): Fault => ({ kind: 'crash', who, forMs: longMs, loseVoteFile: false });

/** A follower cut off for five timeouts comes back. @returns the leader's term before and after. */
export function cutOffAndBack(core: Core): { before: number; after: number } {
  const { cluster, leader, followers, term } = calmCluster(3, core);
  const [follower = ''] = followers;
  const others = [...cluster.machines.keys()];
  cluster.begin({ kind: 'cut', from: [follower], to: others, forMs: 5 * timeoutMs });
  cluster.begin({ kind: 'cut', from: others, to: [follower], forMs: 5 * timeoutMs });
  runFor(cluster, 15);
  return { before: term, after: termOf(cluster, leader) };
}

/** One follower hears everybody but the leader. @returns the leader's term before and after. */
export function deafToTheLeader(core: Core): { before: number; after: number } {
  const { cluster, leader, followers, term } = calmCluster(3, core);
  const [follower = ''] = followers;
  cluster.begin({ kind: 'cut', from: [leader], to: [follower], forMs: longMs });
  runFor(cluster, 20);
  return { before: term, after: termOf(cluster, leader) };
}

/** The leader and the first `heirs` of its order die at once. @returns after how many timeouts another leads. */
export function leaderAndHeirsDie(core: Core, heirs: number): number {
  const { cluster, leader } = calmCluster(5, core);
  const dead = [leader, ...viewOf(cluster, leader).order.slice(0, heirs)];
  const diedAt = cluster.timeline.now;
  for (const who of dead) cluster.begin(down(who));
  runFor(cluster, 0.01);
  cluster.run(diedAt + 20 * timeoutMs, () => cluster.leaders().length > 0);
  return cluster.leaders().length > 0 ? (cluster.timeline.now - diedAt) / timeoutMs : Infinity;
}

/** The leader's process dies, and every other node sees it. @returns after how many timeouts another leads. */
export function deathIsSeen(core: Core): number {
  const { cluster, leader } = calmCluster(3, core, { evidence: 1 });
  const diedAt = cluster.timeline.now;
  cluster.begin(down(leader));
  runFor(cluster, 0.01);
  cluster.run(diedAt + 20 * timeoutMs, () => cluster.leaders().length > 0);
  return (cluster.timeline.now - diedAt) / timeoutMs;
}

/** Leadership is handed to `target`. @returns who leads some timeouts later, and in which term. */
export function handOver(
  core: Core,
  choose: (followers: readonly NodeId[]) => { target: NodeId | null; dead: readonly NodeId[] },
): { before: NodeId; after: NodeId | undefined; target: NodeId | null; terms: number; tookTimeouts: number } {
  const { cluster, leader, followers, term } = calmCluster(3, core);
  const { target, dead } = choose(followers);
  for (const who of dead) cluster.begin(down(who));
  runFor(cluster, 0.6);
  cluster.begin({ kind: 'transfer', target });
  const askedAt = cluster.timeline.now;
  const other = () => cluster.leaders().some((id) => id !== leader);
  cluster.run(askedAt + 3 * timeoutMs, other);
  const tookTimeouts = other() ? (cluster.timeline.now - askedAt) / timeoutMs : Infinity;
  runFor(cluster, 1);
  const after = cluster.leaders()[0];
  const terms = after === undefined ? 0 : termOf(cluster, after) - term;
  return { before: leader, after, target, terms, tookTimeouts };
}

/** The database goes away for some nodes. @returns who leads 40 timeouts later. */
export function databaseLost(core: Core, where: 'leader' | 'everywhere') {
  const { cluster, leader, followers, term } = calmCluster(3, core);
  runFor(cluster, 15);
  cluster.begin({
    kind: 'no-database',
    who: where === 'leader' ? [leader] : [leader, ...followers],
    forMs: longMs,
  });
  runFor(cluster, 40);
  const after = cluster.leaders()[0] ?? '';
  return { before: leader, after, terms: termOf(cluster, after) - term };
}

/** Somebody else claims the very term that the next leader is elected in. @returns how many terms later somebody can write. */
export function claimedBySomebodyElse(core: Core): number {
  const { cluster, leader, term } = calmCluster(3, core);
  cluster.begin(down(leader));
  cluster.begin({ kind: 'fence-ahead', terms: 1 });
  runFor(cluster, 0.01);
  cluster.run(cluster.timeline.now + 20 * timeoutMs, () => cluster.writable());
  return cluster.database.fenceTerm - term;
}

/**
 * A leader reaches the database only after its followers, which do not reach it, have taken it for dead and elected another.
 * @returns the claims as they came, and whether they were taken.
 */
export function claimComesLate(core: Core): { claimed: NodeId; taken: boolean }[] {
  const claims: { claimed: NodeId; taken: boolean }[] = [];
  const cluster = new Cluster(planOf(3), core, (record) => {
    if (record.kind === 'claim') claims.push({ claimed: record.node, taken: record.taken });
  });
  cluster.run(20 * timeoutMs, () => cluster.leaders().length > 0);
  const [leader = ''] = cluster.leaders();
  const others = [...cluster.machines.keys()].filter((id) => id !== leader);
  cluster.begin({ kind: 'no-database', who: [leader], forMs: 2.2 * timeoutMs });
  runFor(cluster, 1.6);
  cluster.begin({ kind: 'cut', from: others, to: [leader], forMs: longMs });
  for (const who of others) cluster.begin({ kind: 'false-evidence', who });
  runFor(cluster, 2);
  return claims;
}

const member = (id: NodeId): Member => ({ id, voter: true, priority: 50 });
const generationsOf = (...texts: string[]) => texts.map((text) => text.split(' ').map(member));

/** What failed while `story` ran. */
function violationIn(story: () => void): { claim: string } | null {
  try {
    story();
    return null;
  } catch (error) {
    if (!(error instanceof Violation)) throw error;
    return { claim: error.claim };
  }
}

/**
 * n3 votes for one of two that do not reach each other, loses its vote file before the database knows the term, and is
 * asked by the other one.
 */
export function forgottenVote(core: Core): { claim: string } | null {
  return violationIn(() => {
    const voter = { ...member('n3'), priority: 0 };
    const cluster = new Cluster({ ...planOf(0), generations: [[member('n1'), member('n2'), voter]] }, core);
    const candidates = ['n1', 'n2'];
    cluster.begin({ kind: 'cut', from: candidates, to: candidates, forMs: longMs });
    // Started, and not yet impatient.
    runFor(cluster, 0.5);
    cluster.begin({ kind: 'no-database', who: candidates, forMs: longMs });
    cluster.run(10 * timeoutMs, () => cluster.leaders().length > 0);
    const [leader] = cluster.leaders();
    if (leader === undefined) throw new Violation('a voter votes', 'n3 voted for nobody');
    cluster.begin({ kind: 'crash', who: 'n3', forMs: 1, loseVoteFile: true });
    cluster.begin({ kind: 'cut', from: [leader], to: ['n3'], forMs: longMs });
    cluster.begin({ kind: 'cut', from: ['n3'], to: [leader], forMs: longMs });
    runFor(cluster, 20);
  });
}

/** n1 and n2 stay in the first generation of three, n3 goes to the third one of five with n4 and n5. */
export function threeGenerations(core: Core): { claim: string } | null {
  return violationIn(() => {
    const generations = generationsOf('n1 n2 n3', 'n1 n2 n3 n4', 'n1 n2 n3 n4 n5');
    const cluster = new Cluster({ ...planOf(0), generations, operatorPaceTimeouts: longMs }, core);
    cluster.run(10 * timeoutMs, () => cluster.agreed());
    for (const id of ['n1', 'n2', 'n3']) cluster.begin(down(id));
    runFor(cluster, 1);
    for (const id of ['n1', 'n2']) cluster.order({ kind: 'start', id, generation: 1 });
    for (const id of ['n3', 'n4', 'n5']) cluster.order({ kind: 'start', id, generation: 3 });
    runFor(cluster, 20);
  });
}

/** n2 and n3 elect in the first generation while n1 is cut off; n2 is alone in knowing, and n1 alone goes on to the third. */
export function votesOfTheRemoved(core: Core): { claim: string } | null {
  return violationIn(() => {
    const generations = generationsOf('n1 n2 n3', 'n1 n2', 'n1');
    const cluster = new Cluster({ ...planOf(0), generations, operatorPaceTimeouts: longMs }, core);
    const others = ['n2', 'n3'];
    cluster.begin({ kind: 'cut', from: ['n1'], to: others, forMs: longMs });
    cluster.begin({ kind: 'cut', from: others, to: ['n1'], forMs: longMs });
    runFor(cluster, 10);
    for (const id of ['n1', 'n2']) cluster.order({ kind: 'start', id, generation: 2 });
    cluster.order({ kind: 'stop', id: 'n3' });
    runFor(cluster, 3);
    cluster.order({ kind: 'start', id: 'n1', generation: 3 });
    runFor(cluster, 3);
  });
}
