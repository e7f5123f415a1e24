// Makes a failing plan smaller as long as the same claim still fails: fewer faults, generations, nodes, quirks and steps.
// What is left is what the failure takes, and short enough to be read.
import type { NodeId } from '../../nodes/raft/types.ts';
import type { Core } from './core.ts';
import type { Fault, Plan } from './plan.ts';
import { membersOf } from './plan.ts';
import { runStorm } from './storm.ts';

export interface Size {
  readonly nodes: number;
  readonly faults: number;
  readonly steps: number;
}

const runsMax = 400;
const roundsMax = 4;
const halvingsMax = 5;

export function shrink(plan: Plan, core: Core): { plan: Plan; before: Size; after: Size } {
  const first = runStorm(plan, core);
  const claim = first.violation?.claim;
  let best = plan;
  let steps = first.steps;
  let runs = 0;
  /** One that fails alike is kept. */
  const take = (smaller: Plan): boolean => {
    if (runs >= runsMax) return false;
    runs += 1;
    const result = runStorm(smaller, core);
    if (result.violation?.claim !== claim) return false;
    best = smaller;
    steps = result.steps;
    return true;
  };
  for (let round = 0; round < roundsMax; round++) {
    const before = best;
    leaveOutFaults(best, take);
    // Each starts from what the one before it left.
    fewerGenerations(best).some(take);
    for (const { id } of membersOf(best.generations)) {
      const smaller = without(best, id);
      if (smaller) take(smaller);
    }
    for (const plainer of plainerOf(best)) take({ ...best, ...plainer });
    for (let halvings = 0; halvings < halvingsMax && take(halfAsLong(best)); halvings++);
    if (best === before) break;
  }
  return { plan: best, before: sizeOf(plan, first.steps), after: sizeOf(best, steps) };
}

const sizeOf = ({ generations, faults }: Plan, steps: number): Size => ({
  nodes: membersOf(generations).length,
  faults: faults.length,
  steps,
});

/** Half of them at once, then a quarter and so on, down to each by itself. */
function leaveOutFaults(plan: Plan, take: (smaller: Plan) => boolean): void {
  let { faults } = plan;
  for (let size = Math.ceil(faults.length / 2); size >= 1; size = size === 1 ? 0 : Math.ceil(size / 2))
    for (let index = 0; index < faults.length;) {
      const fewer = faults.toSpliced(index, size);
      if (take({ ...plan, faults: fewer })) faults = fewer;
      else index += size;
    }
}

function fewerGenerations(plan: Plan): Plan[] {
  const { generations, faults } = plan;
  if (generations.length < 2) return [];
  return [generations.slice(0, 1), generations.slice(0, -1), generations.slice(1)].map((fewer) => {
    const ids = new Set(membersOf(fewer).map(({ id }) => id));
    const gone = membersOf(generations).filter(({ id }) => !ids.has(id));
    return {
      ...plan,
      generations: fewer,
      faults: gone.reduce((left, { id }) => withoutNode(left, id), faults),
    };
  });
}

/** Null: somebody has to vote, and a rolling change adds and takes away one voter at a time. */
function without(plan: Plan, id: NodeId): Plan | null {
  const generations = plan.generations.map((members) => members.filter((member) => member.id !== id));
  if (!generations.every((members) => members.some(({ voter }) => voter))) return null;
  const faults = withoutNode(plan.faults, id);
  const [members = []] = generations;
  const leftOut = plan.leftOut && { ...plan.leftOut, ids: plan.leftOut.ids.filter((other) => other !== id) };
  // Calm is promised to a majority.
  if (leftOut && 2 * leftOut.ids.length >= members.filter(({ voter }) => voter).length) return null;
  return { ...plan, generations, faults, leftOut };
}

function withoutNode(faults: Plan['faults'], id: NodeId): Plan['faults'] {
  return faults.flatMap(({ at, fault }) => {
    const fewer = spare(fault, id);
    return fewer ? [{ at, fault: fewer }] : [];
  });
}

/** The fault as it is without this node; null when it was about nobody else. */
function spare(fault: Fault, id: NodeId): Fault | null {
  const rest = <T>(ids: readonly T[]): T[] => ids.filter((other) => other !== id);
  const linksOf = (links: readonly (readonly [NodeId, NodeId])[]) =>
    links.filter((ends) => !ends.includes(id));
  switch (fault.kind) {
    case 'cut':
      return { ...fault, from: rest(fault.from), to: rest(fault.to) };
    case 'mesh':
      return { ...fault, pairs: linksOf(fault.pairs) };
    case 'noise':
      return { ...fault, links: fault.links && linksOf(fault.links) };
    case 'no-database':
      return { ...fault, who: rest(fault.who) };
    case 'transfer':
      return fault.target === id ? null : fault;
    case 'fence-ahead':
    case 'claims-lost':
      return fault;
    case 'crash':
    case 'crash-midway':
    case 'reconfigure':
    case 'pause':
    case 'disk-full':
    case 'slow-disk':
    case 'clock-leap':
    case 'unfit':
    case 'false-evidence':
      return fault.who === id ? null : fault;
  }
}

function plainerOf({ leftOut, clockDrift, evidence }: Plan): Partial<Plan>[] {
  const plainer: Partial<Plan>[] = [];
  if (leftOut) plainer.push({ leftOut: null });
  if (clockDrift > 0) plainer.push({ clockDrift: 0 });
  if (evidence > 0) plainer.push({ evidence: 0 });
  return plainer;
}

/** The faults follow each other twice as fast. */
function halfAsLong({ faults, calmAt, ...plan }: Plan): Plan {
  return { ...plan, calmAt: calmAt / 2, faults: faults.map(({ at, fault }) => ({ at: at / 2, fault })) };
}
