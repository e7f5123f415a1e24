// The storm of a seed: how large the cluster is, how it changes, and which faults hit it. Only draws; runs nothing.
import type { NodeId } from '../../nodes/raft/types.ts';
import { Chance } from './chance.ts';
import {
  membersOf,
  type Fault,
  type LeftOut,
  type Member,
  type Plan,
  type PlannedFault,
  type Who,
} from './plan.ts';

const faultsPerStorm = 24;

/** The storm of this seed. */
export function planStorm(seed: number): Plan {
  const chance = new Chance(seed);
  const generations = drawGenerations(chance);
  const everybody = membersOf(generations);
  const electionTimeoutMs = chance.pick([60, 100, 100, 250, 1_000]);
  const faults: PlannedFault[] = [];
  let at = 3 * electionTimeoutMs;
  for (let count = 0; count < faultsPerStorm; count++) {
    faults.push({ at, fault: drawFault(chance, everybody, electionTimeoutMs) });
    at += electionTimeoutMs * chance.between(0.2, 5);
  }
  const calmAt = at + electionTimeoutMs;
  // Most storms leave with the leader, so that calm begins with an election.
  const blow = { kind: 'crash', who: 'leader', forMs: electionTimeoutMs, loseVoteFile: false } as const;
  if (chance.happens(0.7)) faults.push({ at: calmAt - 0.1, fault: blow });
  return {
    seed,
    generations,
    operatorPaceTimeouts: chance.between(0.5, 6),
    clockDrift: chance.pick([0, 0, 0.001, 0.02]),
    electionTimeoutMs,
    heartbeatMs: electionTimeoutMs / chance.pick([3, 5, 5, 8]),
    latencyMs: electionTimeoutMs * chance.pick([0.002, 0.005, 0.02]),
    evidence: chance.pick([0, 0.5, 1]),
    faults,
    calmAt,
    leftOut: drawLeftOut(chance, generations),
  };
}

/** Now and then calm comes for a majority only, and one in it may lead. */
function drawLeftOut(chance: Chance, [members = [], ...later]: readonly Member[][]): LeftOut | null {
  const voters = members.filter(({ voter }) => voter);
  const countMax = Math.floor((voters.length - 1) / 2);
  if (later.length > 0 || countMax < 1 || !chance.happens(0.5)) return null;
  const mixed = voters.map(({ id }) => ({ id, key: chance.next() })).sort((a, b) => a.key - b.key);
  const ids = mixed.slice(0, 1 + chance.below(countMax)).map(({ id }) => id);
  const how = chance.pick(['down', 'cut', 'mute', 'deaf'] as const);
  const someoneMayLead = voters.some(({ id, priority }) => priority > 0 && !ids.includes(id));
  return someoneMayLead ? { ids, how } : null;
}

/** How many vote in each generation; half the storms keep their members. */
const rollings = [
  [3, 4, 5, 4, 3],
  [1, 2, 3],
  [3, 2, 1],
  [4, 5],
  [3, 4, 3],
] as const;

function drawGenerations(chance: Chance): Member[][] {
  const counts = chance.happens(0.3) ? chance.pick(rollings) : [chance.pick([1, 3, 3, 3, 3, 5, 5, 7])];
  const learners = chance.pick([0, 0, 0, 1, 2]);
  const members = Array.from({ length: Math.max(...counts) + learners }, (_, index) => ({
    id: `n${index + 1}`,
    priority: index > 1 && chance.happens(0.1) ? 0 : chance.pick([50, 50, 50, 100]),
  }));
  // The learners stand after the voters, so the first of them becomes a voter where their number grows.
  return counts.map((voters) =>
    members.slice(0, voters + learners).map((member, index) => ({ ...member, voter: index < voters })),
  );
}

function drawFault(chance: Chance, members: readonly Member[], timeoutMs: number): Fault {
  const ids = members.map(({ id }) => id);
  const who = (): Who => (chance.happens(0.6) ? 'leader' : chance.pick(ids));
  const forMs = timeoutMs * chance.between(0.3, 5);
  const dice = chance.next();
  if (dice < 0.3) return { kind: 'crash', who: who(), forMs, loseVoteFile: chance.happens(0.1) };
  if (dice < 0.38) {
    const inWrite = chance.happens(0.7);
    return { kind: 'crash-midway', who: chance.pick(ids), inWrite, effects: chance.below(5), forMs };
  }
  if (dice < 0.48) {
    // A collection is short, SIGSTOP is as long as it likes.
    const pausedMs = chance.happens(0.4) ? forMs / 10 : forMs;
    return { kind: 'pause', who: who(), clockToo: chance.happens(0.2), forMs: pausedMs };
  }
  if (dice < 0.53) return { kind: 'mesh', pairs: drawMesh(chance, ids), forMs };
  if (dice < 0.61) {
    const some = ids.filter(() => chance.happens(0.4));
    const from = chance.happens(0.5) ? [who()] : some;
    return { kind: 'cut', from, to: chance.happens(0.5) ? ids : [chance.pick(ids)], forMs };
  }
  if (dice < 0.7)
    return {
      kind: 'noise',
      forMs,
      loss: chance.between(0, 0.4),
      duplicate: chance.between(0, 0.5),
      delayMs: timeoutMs * chance.pick([0.02, 0.1, 0.3, 1]),
      links: chance.happens(0.5) ? null : drawLinks(chance, ids),
    };
  if (dice < 0.74) return { kind: 'disk-full', who: chance.pick(ids), forMs };
  if (dice < 0.76)
    return {
      kind: 'slow-disk',
      who: chance.pick(ids),
      writeMs: timeoutMs * chance.pick([0.1, 0.6, 2]),
      forMs,
    };
  if (dice < 0.77) {
    const settings = { timeoutFactor: chance.pick([0.7, 1, 1.4]), priority: chance.pick([50, 100]) };
    return { kind: 'reconfigure', who: who(), settings, forMs };
  }
  if (dice < 0.79) {
    const byTimeouts = chance.happens(0.5) ? chance.between(0.2, 20) : -chance.between(0.1, 2);
    return { kind: 'clock-leap', who: who(), byMs: timeoutMs * byTimeouts };
  }
  if (dice < 0.81) return { kind: 'unfit', who: who(), forMs };
  if (dice < 0.84) return { kind: 'no-database', who: chance.happens(0.5) ? ids : [who()], forMs: 4 * forMs };
  if (dice < 0.94) return { kind: 'transfer', target: chance.happens(0.5) ? null : chance.pick(ids) };
  if (dice < 0.98) return { kind: 'false-evidence', who: chance.pick(ids) };
  if (dice < 0.99) return { kind: 'fence-ahead', terms: 1 + chance.below(3) };
  return { kind: 'claims-lost', claims: 1 + chance.below(3) };
}

type Pairs = [NodeId, NodeId][];

const drawLinks = (chance: Chance, ids: readonly NodeId[]): Pairs =>
  everyPair(ids)
    .flatMap(([a, b]): Pairs => [
      [a, b],
      [b, a],
    ])
    .filter(() => chance.happens(0.4));

function drawMesh(chance: Chance, ids: readonly NodeId[]): Pairs {
  const mixed = ids.map((id) => ({ id, key: chance.next() })).sort((a, b) => a.key - b.key);
  const nodes = mixed.map(({ id }) => id);
  const shape = chance.pick([chain, ring, hub, groups, threeAndTwo]);
  return shape(nodes, chance);
}
const chain = (nodes: readonly NodeId[]): Pairs =>
  nodes.slice(1).map((node, index) => [nodes[index] ?? node, node]);
const ring = (nodes: readonly NodeId[]): Pairs => [
  ...chain(nodes),
  ...nodes.slice(0, 1).map((first): [NodeId, NodeId] => [nodes.at(-1) ?? first, first]),
];
const hub = ([middle = '', ...rest]: readonly NodeId[]): Pairs => rest.map((node) => [middle, node]);
const groups = (nodes: readonly NodeId[], chance: Chance): Pairs => {
  const groupOf = new Map(nodes.map((node) => [node, chance.below(3)]));
  return everyPair(nodes).filter(([a, b]) => groupOf.get(a) === groupOf.get(b));
};
/** Three that all reach each other, and each further node reaches one of them only (Cloudflare, 2 November 2020). */
const threeAndTwo = (nodes: readonly NodeId[]): Pairs => {
  const [first, second, third, ...rest] = nodes;
  const core = [first, second, third].filter((node) => node !== undefined);
  const hangers = rest.map((node, index): [NodeId, NodeId] => [
    (index % 2 === 0 ? second : third) ?? node,
    node,
  ]);
  return [...everyPair(core), ...hangers];
};
const everyPair = (nodes: readonly NodeId[]): Pairs =>
  nodes.flatMap((a, index) => nodes.slice(index + 1).map((b): [NodeId, NodeId] => [a, b]));
