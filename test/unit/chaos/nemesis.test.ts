// The nemesis against a stage made by hand: a fault that never hits is told, so that no run passes for want of trouble.
import { describe, expect, test } from 'vitest';
import { neverHit, type Fault, type FaultKind } from '../../chaos/faults.ts';
import type { HistoryRecord } from '../../chaos/history.ts';
import { runNemesis, type NemesisOptions } from '../../chaos/nemesis.ts';

/** Where nothing can be hit; `over` is what a test lets be hit all the same. */
function emptyStage(over: Partial<NemesisOptions['stage']> = {}): NemesisOptions['stage'] {
  const refuse = (): never => {
    throw new Error('it does not run');
  };
  return {
    brokerLink: { cut: () => 0 } as NemesisOptions['stage']['brokerLink'],
    nodeLinks: [],
    launcherPid: 0,
    status: refuse,
    fault: refuse,
    disturb: refuse,
    killSupervisor: refuse,
    handlers: () => Promise.resolve([]),
    ...over,
  };
}

async function carriedOut(
  faults: readonly [FaultKind, string][],
  { stage = emptyStage(), done = [] }: { stage?: NemesisOptions['stage']; done?: readonly string[] } = {},
) {
  const written: HistoryRecord[] = [];
  const tried = await runNemesis({
    stage,
    publishers: { signal: () => false, isDone: (source) => done.includes(source) },
    history: { write: (record) => written.push(record) },
    faults: faults.map(([kind, target]): Fault => ({ kind, target, afterMs: 0, forMs: 0 })),
    // Nothing is tried a second time.
    endsAt: performance.now() + 150,
  });
  return { tried, told: written.map((record) => (record.kind === 'fault' ? record.what : record.kind)) };
}

describe('faults that hit nothing', () => {
  test('a kind that missed twice and never hit is told, one that missed once is not', async () => {
    const { tried, told } = await carriedOut([
      ['kill', 'leader'],
      ['kill-handler', 'deliver'],
      ['kill', 'node-1'],
    ]);
    expect(told).toEqual(['missed kill leader', 'missed kill-handler deliver', 'missed kill node-1']);
    expect(neverHit(tried)).toEqual(['kill']);
  });

  test('one hit is enough for its kind', async () => {
    const fault = async (_action: string, target: string) => {
      if (target !== 'broker') throw new Error('it is being started');
    };
    const faults: [FaultKind, string][] = [
      ['kill', 'leader'],
      ['kill', 'broker'],
      ['kill', 'node-1'],
    ];
    const { tried, told } = await carriedOut(faults, { stage: emptyStage({ fault }) });
    expect(told).toEqual(['missed kill leader', 'kill broker', 'missed kill node-1']);
    expect(neverHit(tried)).toEqual([]);
  });

  test('a target that is there a moment later is hit', async () => {
    let calls = 0;
    const written: HistoryRecord[] = [];
    const tried = await runNemesis({
      stage: emptyStage({
        fault: async () => {
          calls += 1;
          if (calls < 3) throw new Error('it is being started');
        },
      }),
      publishers: { signal: () => false, isDone: () => false },
      history: { write: (record) => written.push(record) },
      faults: [{ kind: 'kill', target: 'leader', afterMs: 0, forMs: 0 }],
      endsAt: performance.now() + 10_000,
    });
    expect(written).toEqual([{ kind: 'fault', what: 'kill leader', detail: '' }]);
    expect(tried).toEqual([{ kind: 'kill', hit: true }]);
  });

  test('a publisher that has published all is left alone: nobody is missed', async () => {
    const { tried, told } = await carriedOut(
      [
        ['kill-publisher', 'one'],
        ['kill-publisher', 'two'],
      ],
      { done: ['one'] },
    );
    expect(told).toEqual(['missed kill-publisher two']);
    expect(tried).toEqual([{ kind: 'kill-publisher', hit: false }]);
  });
});
