// A timer that fires exactly when it was asked for finds its work due, whatever the floating point says: a harness in
// virtual time would else feed the same moment for ever.
import { expect, test } from 'vitest';
import { Node } from './node.ts';

/** Near a power of two, where a sum of two times is rounded and their difference is not. */
const moments = Array.from({ length: 500 }, (_, index) => 2_048 - 100 + (index * 100) / 501);

/** Feeds each wake-up at its very moment, for so long. */
function runFor(node: Node, ms: number): void {
  const until = node.now + ms;
  for (;;) {
    const wakes = node.effects.flatMap((effect) => (effect.kind === 'wake' ? [effect.at] : []));
    const at = wakes.at(-1) ?? Infinity;
    if (at > until) return;
    const before = node.now;
    node.now = at;
    node.feed({ kind: 'timer' });
    const again = node.effects.find((effect) => effect.kind === 'wake');
    expect(again?.at, `woken at ${at} after ${before}`).toBeGreaterThan(at);
  }
}

test('a follower whose leader falls silent', () => {
  for (const moment of moments) {
    const node = new Node();
    node.now = moment;
    node.heartbeat('b', 1, 1, { order: ['c', 'a'] });
    runFor(node, 250);
    expect(node.view.leader).toBeNull();
  }
});

test('a leader that nobody answers', () => {
  for (const moment of moments) {
    const node = new Node().lead();
    node.now = moment;
    node.acknowledge('b', { sequence: 1, sentAt: moment });
    node.feed({ kind: 'timer' });
    runFor(node, 150);
    expect(node.view.role.kind).not.toBe('leader');
  }
});
