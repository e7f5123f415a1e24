// What the active faults mean for each direction of each link between two nodes. Several faults on one link add up: any
// cut cuts, delays are added, shares are independent of each other. Pure.
import type { NetworkFault } from './grammar.ts';

export interface LinkRule {
  readonly cut: boolean;
  readonly delayMs: number;
  /** Up to so much more or less. */
  readonly jitterMs: number;
  readonly loss: number;
  readonly duplicate: number;
  readonly reorder: number;
  readonly seed: number;
}
/** The rule of each lane, by `laneName`; a lane that is not in it is clear. */
export type LinkRules = Readonly<Record<string, LinkRule>>;

/** One direction of a link. */
export const laneName = (from: string, to: string): string => `${from} > ${to}`;

export const clearRule: LinkRule = {
  cut: false,
  delayMs: 0,
  jitterMs: 0,
  loss: 0,
  duplicate: 0,
  reorder: 0,
  seed: 1,
};

export function linkRules(
  faults: readonly { readonly fault: NetworkFault; readonly seed: number }[],
  nodes: readonly string[],
): LinkRules {
  const rules: Record<string, LinkRule> = {};
  for (const { fault, seed } of faults)
    for (const lane of lanesOf(fault, nodes))
      rules[lane] = { ...withFault(rules[lane] ?? clearRule, fault), seed };
  return rules;
}

/** @throws Error when a name is no node's, or no link is left. */
export function lanesOf({ from, to, oneWay }: NetworkFault, nodes: readonly string[]): ReadonlySet<string> {
  const known = (names: readonly string[]): readonly string[] => {
    if (names.includes('all')) return nodes;
    const stranger = names.find((name) => !nodes.includes(name));
    if (stranger !== undefined)
      throw new Error(`there is no node ${stranger}; there are ${nodes.join(', ')}`);
    return names;
  };
  const others = from.includes('all') ? nodes : nodes.filter((node) => !from.includes(node));
  const targets = to === null ? others : known(to);
  const lanes = new Set<string>();
  for (const one of known(from))
    for (const other of targets) {
      if (one === other) continue;
      lanes.add(laneName(one, other));
      if (!oneWay) lanes.add(laneName(other, one));
    }
  if (lanes.size === 0) throw new Error('there is no link between these nodes');
  return lanes;
}

function withFault(rule: LinkRule, fault: NetworkFault): LinkRule {
  switch (fault.kind) {
    case 'partition':
      return { ...rule, cut: true };
    case 'delay':
      return { ...rule, delayMs: rule.delayMs + fault.ms, jitterMs: rule.jitterMs + fault.jitterMs };
    case 'loss':
    case 'duplicate':
    case 'reorder':
      return { ...rule, [fault.kind]: 1 - (1 - rule[fault.kind]) * (1 - fault.share) };
  }
}
