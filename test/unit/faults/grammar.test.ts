// The language of faults: what is understood, what is refused with the way out, and that it reads back the same.
import { describe, expect, test } from 'vitest';
import { faultText, parseChaos } from '../../../emulator/faults/grammar.ts';
import { laneName, lanesOf, linkRules } from '../../../emulator/faults/link-rules.ts';

const nodes = ['node-1', 'node-2', 'node-3'];
function injected(text: string) {
  const command = parseChaos(text);
  if (command.kind !== 'inject') throw new Error(`${text} injects nothing`);
  return command;
}
function networkFault(text: string) {
  const { fault } = injected(text);
  if (!('from' in fault)) throw new Error(`${text} is no fault of the network`);
  return fault;
}

describe('the language of faults', () => {
  test.each([
    'partition node-1 / node-2,node-3',
    'partition leader',
    'delay node-1 20ms+-5',
    'delay all 100ms',
    'loss node-1 / node-2 30% one-way',
    'duplicate all 50%',
    'loss all 7%',
    'reorder node-2,node-3 25%',
    'pause leader',
    'kill broker',
  ])('%s reads back as it was written', (text) => {
    expect(faultText(injected(text).fault)).toBe(text);
  });

  test('every fault ends by itself: after 30 s when nothing else is said, and after an hour at most', () => {
    expect(injected('partition leader').forMs).toBe(30_000);
    expect(injected('pause leader for 5s')).toMatchObject({ forMs: 5_000 });
    expect(injected('loss all 1% for 2m seed 9')).toMatchObject({ forMs: 120_000, seed: 9 });
    expect(() => parseChaos('pause leader for 61m')).toThrow(/an hour at most/);
  });

  test.each([
    ['', /no fault ""/],
    ['explode node-1', /no fault "explode"/],
    ['partition', /which nodes/],
    ['partition a / b / c', /two sides/],
    ['partition node_1', /no name of a node/],
    ['delay node-1 20', /no delay/],
    ['delay node-1 70000ms', /no delay/],
    ['loss node-1 0%', /no share/],
    ['loss node-1 101%', /no share/],
    ['kill', /needs a service/],
    ['kill a b', /not understood/],
    ['heal now', /no whole number/],
    ['pause leader for ever', /no time/],
  ])('%j is refused, and the grammar is shown', (text, why) => {
    expect(() => parseChaos(text)).toThrow(why);
    expect(() => parseChaos(text)).toThrow(/partition <nodes>/);
  });
});

describe('which links a fault touches', () => {
  const lanes = (text: string) => [...lanesOf(networkFault(text), nodes)].sort();

  test('one node alone stands for all its links, both ways; one-way for what it sends', () => {
    expect(lanes('partition node-1')).toEqual([
      'node-1 > node-2',
      'node-1 > node-3',
      'node-2 > node-1',
      'node-3 > node-1',
    ]);
    expect(lanes('partition node-1 one-way')).toEqual(['node-1 > node-2', 'node-1 > node-3']);
    expect(lanes('loss all 5%')).toHaveLength(6);
    expect(lanes('partition node-1,node-2')).toHaveLength(4);
  });
  test('a name that is no node’s, and a node cut from itself, are refused', () => {
    expect(() => lanes('partition node-9')).toThrow(/no node node-9; there are node-1/);
    expect(() => lanes('partition node-1 / node-1')).toThrow(/no link/);
  });
  test('faults on one link add up', () => {
    const faults = ['delay all 20ms+-5', 'delay node-1 / node-2 10ms', 'loss node-1 50%', 'loss node-2 50%'];
    const rules = linkRules(
      faults.map((text) => ({ fault: networkFault(text), seed: 1 })),
      nodes,
    );
    expect(rules[laneName('node-1', 'node-2')]).toMatchObject({ delayMs: 30, jitterMs: 5, loss: 0.75 });
    expect(rules[laneName('node-3', 'node-1')]).toMatchObject({ delayMs: 20, loss: 0.5, cut: false });
  });
});
