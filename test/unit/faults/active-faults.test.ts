// What is in force and until when: numbers, healing, and a leader that changes meanwhile.
import { afterEach, beforeEach, describe, expect, test, vi } from 'vitest';
import { ActiveFaults, activeText } from '../../../emulator/faults/active-faults.ts';
import { parseChaos } from '../../../emulator/faults/grammar.ts';
import type { LinkRules } from '../../../emulator/faults/link-rules.ts';

let leader: string;
let rules: LinkRules;
let did: string[];
let faults: ActiveFaults;
const say = (text: string) => faults.carryOut(parseChaos(text));
const process = (what: string) => (name: string) => {
  did.push(`${what} ${name}`);
  return 7;
};

beforeEach(() => {
  vi.useFakeTimers();
  [leader, rules, did] = ['node-1', {}, []];
  faults = new ActiveFaults({
    nodes: ['node-1', 'node-2', 'node-3'],
    leader: async () => leader,
    links: {
      apply: async (next) => {
        rules = next;
      },
    },
    kill: process('kill'),
    pause: process('pause'),
    resume: process('resume'),
    onChange: ({ action, target }) => did.push(`told: ${action} ${target}`),
  });
});
afterEach(() => {
  faults.close();
  vi.useRealTimers();
});

describe('active faults', () => {
  test('the leader is the one of that moment, and the fault heals by itself', async () => {
    expect(await say('partition leader / node-2 one-way for 10s')).toBe(
      '1: partition node-1 / node-2 one-way, heals in 10 s',
    );
    leader = 'node-2';
    await vi.advanceTimersByTimeAsync(9_000);
    expect(rules).toMatchObject({ 'node-1 > node-2': { cut: true } });
    expect(faults.list().map(activeText)).toEqual(['1: partition node-1 / node-2 one-way, heals in 1 s']);
    await vi.advanceTimersByTimeAsync(1_000);
    expect([rules, faults.list()]).toEqual([{}, []]);
    expect(did).toEqual(['told: partition node-1', 'told: heal node-1']);
  });
  test('one of two heals by its number, the rest with `heal`', async () => {
    await say('loss all 10%');
    await say('pause leader');
    expect(await say('heal 2')).toBe('healed: pause node-1');
    expect(did).toContain('resume node-1');
    expect(Object.keys(rules)).toHaveLength(6);
    await expect(say('heal 2')).rejects.toThrow(/no fault has the number 2/);
    await say('heal');
    expect([rules, await say('list')]).toEqual([{}, 'no fault is active']);
  });
  test('names that are wrong change nothing', async () => {
    await expect(say('delay node-9 20ms')).rejects.toThrow(/no node node-9/);
    expect([faults.list(), did]).toEqual([[], []]);
  });
});
