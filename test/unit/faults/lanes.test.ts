// One direction of a link by itself: what is lost, doubled, late, overtaken and held back.
import { describe, expect, test, vi } from 'vitest';
import { DatagramLane } from '../../../emulator/faults/datagram-lane.ts';
import { clearRule, type LinkRule } from '../../../emulator/faults/link-rules.ts';
import { StepLane } from '../../../emulator/faults/step-lane.ts';

/** Which of 1,000 datagrams come, in which order. */
function sent(rule: Partial<LinkRule>, name = 'a > b'): number[] {
  vi.useFakeTimers();
  try {
    const lane = new DatagramLane(name);
    lane.setRule({ ...clearRule, ...rule });
    const came: number[] = [];
    for (let number = 0; number < 1_000; number++) {
      lane.pass(() => came.push(number));
      vi.advanceTimersByTime(1);
    }
    vi.runAllTimers();
    return came;
  } finally {
    vi.useRealTimers();
  }
}

describe('datagrams on their way', () => {
  test('without a fault each comes once and at once', () => {
    const lane = new DatagramLane('a > b');
    let came = 0;
    lane.pass(() => came++);
    expect(came).toBe(1);
  });
  test('a share is lost, another comes twice; the same seed does it to the same ones, another link to others', () => {
    const lost = sent({ loss: 0.3 });
    expect(lost.length).toBeGreaterThan(630);
    expect(lost.length).toBeLessThan(770);
    expect(sent({ loss: 0.3 })).toEqual(lost);
    expect(sent({ loss: 0.3, seed: 2 })).not.toEqual(lost);
    expect(sent({ loss: 0.3 }, 'b > a')).not.toEqual(lost);
    expect(sent({ duplicate: 0.5 }).length).toBeGreaterThan(1_400);
    expect(sent({ cut: true })).toEqual([]);
  });
  test('a delay keeps the order, reordering and jitter do not', () => {
    const inOrder = Array.from({ length: 1_000 }, (_, number) => number);
    expect(sent({ delayMs: 20 })).toEqual(inOrder);
    for (const rule of [{ reorder: 0.2 }, { delayMs: 20, jitterMs: 10 }]) {
      const came = sent(rule);
      expect(came).not.toEqual(inOrder);
      expect(came.toSorted((one, other) => one - other)).toEqual(inOrder);
    }
  });
});

describe('steps of a connection', () => {
  test('they come in order and late; a cut holds them all, the close too, until it heals', () => {
    vi.useFakeTimers();
    try {
      const lane = new StepLane();
      const came: string[] = [];
      lane.setRule({ isCut: false, delayMs: 20 });
      lane.add(() => came.push('opened'));
      vi.advanceTimersByTime(19);
      expect(came).toEqual([]);
      vi.advanceTimersByTime(1);
      lane.setRule({ isCut: true, delayMs: 0 });
      lane.add(() => came.push('bytes'));
      lane.add(() => came.push('closed'));
      vi.advanceTimersByTime(60_000);
      expect(came).toEqual(['opened']);
      lane.setRule({ isCut: false, delayMs: 0 });
      expect(came).toEqual(['opened', 'bytes', 'closed']);
    } finally {
      vi.useRealTimers();
    }
  });
});
